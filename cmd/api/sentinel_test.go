package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"rescind/internal/testservers"
)

func TestSentinel(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	t.Run("a failover during a job and single submissions loses nothing and repeats nothing", func(t *testing.T) {
		const (
			items   = 20_000
			notify  = 300 // items of another job, which want an email
			singles = 400 // of which every other one does
		)
		authority := testservers.NewAuthority()
		redis := testservers.StartWatchedRedis(t, authority)
		p := prepareProduction(t, testservers.Postgres(t), redis.URL(), testservers.SMTP(t), "SSL_CERT_FILE="+authority.File(t))
		_, apiAdmin := p.startAPI()
		_, firstAdmin := p.startWorker()
		_, secondAdmin := p.startWorker()
		ready := func() bool {
			return status(t, "http://"+apiAdmin+"/readyz") == 200 && p.must(http.MethodGet, "/readyz", "", "").str("state") == "ok" &&
				status(t, "http://"+firstAdmin+"/readyz") == 200 && status(t, "http://"+secondAdmin+"/readyz") == 200
		}
		until(t, "all are ready", ready)
		p.query(func(conn *pgx.Conn) error {
			_, err := conn.Exec(t.Context(), `INSERT INTO invites
				SELECT 'acme', n, 'Ada', 'ada' || n || '@example.com', 'Go', now() FROM generate_series(10001, 10000 + $1::bigint) n
				UNION ALL
				SELECT 'acme', n, 'Ada', 'ada' || n || '@example.com', 'Go', now() FROM generate_series(5001, 5000 + $2::bigint) n`, items, notify)
			return err
		})

		job := p.must(http.MethodPost, "/jobs", reportIDs(10_001, items, false), "").str("id")
		told := p.must(http.MethodPost, "/jobs", reportIDs(5_001, notify, true), "").str("id")
		var ids []string
		var submitting sync.WaitGroup
		failing, failed := make(chan struct{}), make(chan struct{})
		submitting.Go(func() {
			for i := range singles {
				switch i {
				case singles / 4:
					close(failing)
				case singles / 2: // the second half of them may meet the new primary
					<-failed
				}
				a, err := p.do(http.MethodPost, "/assessments/invite/revoke", revokeBody(600+i+1, i%2 == 0), "respond-async")
				if err != nil || a.code != http.StatusAccepted {
					t.Errorf("%v: %d %v", err, a.code, a.body)
					continue
				}
				ids = append(ids, a.str("id"))
			}
		})
		<-failing
		until(t, "the job is under way", func() bool { return count(p.must(http.MethodGet, "/jobs/"+job, "", ""), "REVOKED") > 0 })
		redis.FailOver()
		close(failed)
		submitting.Wait()

		for _, id := range ids {
			if a := p.final(id); a.str("status") != "REVOKED" {
				t.Errorf("%v", a.body)
			}
		}
		for id, want := range map[string]int{job: items, told: notify} {
			a := p.ended(id)
			if a.str("state") != "COMPLETED" || count(a, "REVOKED") != want {
				t.Errorf("job: %v", a.body)
			}
			p.recount(a)
		}
		if revoked := p.revokedInvites(); revoked != items+notify+singles {
			t.Errorf("%d invites are revoked", revoked)
		}
		until(t, "all emails are settled", func() bool {
			return p.count(`SELECT count(*) FROM notifications WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED')`) == 0
		})
		mails := make(map[string]int)
		for _, mail := range p.mail.Messages() {
			mails[mail.To[0]]++
		}
		if len(mails) != notify+singles/2 {
			t.Errorf("%d candidates were told", len(mails))
		}
		for address, times := range mails {
			if times != 1 {
				t.Errorf("%d emails to one candidate (%d characters)", times, len(address))
			}
		}
		until(t, "all are ready again", ready)
	})
}

// reportIDs returns the body of a job with n invites.
func reportIDs(first, n int, notify bool) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(first + i)
	}
	return fmt.Sprintf(`{"report_ids": [%s], "notify_candidate": %v}`, strings.Join(all, ","), notify)
}
