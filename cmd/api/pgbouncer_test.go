package main

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"rescind/internal/testservers"
)

func TestPgBouncer(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	// startPooled migrates without the pooler, because a migration needs more than one transaction in a session.
	startPooled := func(t *testing.T, parameters string) *production {
		p := startProduction(t)
		p.env = append(p.env, "DATABASE_URL="+testservers.PgBouncer(t, p.database)+parameters)
		return p
	}
	t.Run("submissions, jobs, a cancellation and emails behind a pooler of transactions", func(t *testing.T) {
		const items, singles = 20_000, 200
		p := startPooled(t, "&default_query_exec_mode=cache_describe")
		p.startAPI()
		p.startWorker()
		p.startWorker()
		p.manyInvites(items)
		job := p.upload(items, "")
		cancelled := p.upload(items, "") // finds nothing left to revoke, where it is not cancelled first
		if a := p.must(http.MethodPost, "/jobs/"+cancelled+"/cancel", "", ""); a.code != http.StatusAccepted && a.code != http.StatusConflict {
			t.Errorf("cancel: %d %v", a.code, a.body)
		}
		var all sync.WaitGroup
		for part := range 8 {
			all.Go(func() {
				for i := range singles / 8 {
					report := part*singles/8 + i + 1
					a, err := p.do(http.MethodPost, "/assessments/invite/revoke", revokeBody(report, true), "wait=30")
					if err != nil || a.code != http.StatusOK || a.str("status") != "REVOKED" && a.str("status") != "ALREADY_REVOKED" {
						t.Errorf("%v: %d %v", err, a.code, a.body)
					}
					if a.str("status") == "REVOKED" && p.settled(a.str("id")).notification() != "SENT" {
						t.Errorf("the email of %d is not sent", report)
					}
				}
			})
		}
		all.Wait()
		for _, id := range []string{job, cancelled} {
			p.recount(p.ended(id))
		}
		if revoked := p.revokedInvites(); revoked != items {
			t.Errorf("%d invites are revoked", revoked)
		}
	})
	t.Run("the sessions are unchanged for other users of the pool", func(t *testing.T) {
		p := startPooled(t, "&default_query_exec_mode=cache_describe")
		p.startAPI()
		p.startWorker()
		p.final(p.revoke(1, false, "").str("id"))
		before := p.database
		p.database = strings.TrimPrefix(p.env[len(p.env)-1], "DATABASE_URL=")
		for range 20 { // whichever sessions these are
			if n := p.count(`SELECT count(*) FROM pg_settings WHERE source = 'session' AND name IN ('lock_timeout', 'plan_cache_mode', 'enable_seqscan', 'jit', 'idle_in_transaction_session_timeout')`); n != 0 {
				t.Fatalf("%d settings were left behind", n)
			}
		}
		p.database = before
	})
	t.Run("without the parameter, the log states what to add", func(t *testing.T) {
		p := startPooled(t, "")
		api, _ := p.startAPI()
		worker, _ := p.startWorker()
		until(t, "the log says it", func() bool {
			for report := range 20 {
				if _, err := p.do(http.MethodPost, "/assessments/invite/revoke", revokeBody(report+1, false), "respond-async"); err != nil {
					t.Fatal(err)
				}
			}
			return strings.Contains(api.log()+worker.log(), "default_query_exec_mode=cache_describe")
		})
	})
}
