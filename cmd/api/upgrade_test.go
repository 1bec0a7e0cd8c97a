package main

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// nextStep is what a step of the next version may do: tables and columns more, and a check that is not made of old
// rows. It is the whole of a step, its number included, so that these programs are of the version before.
const nextStep = `
	SET LOCAL lock_timeout = '500ms';
	ALTER TABLE revocations ADD COLUMN tomorrow integer NOT NULL DEFAULT 0, ADD CONSTRAINT revocations_tomorrow_check CHECK (tomorrow >= 0) NOT VALID;
	ALTER TABLE work_items ADD COLUMN tomorrow text;
	ALTER TABLE invites ADD COLUMN tomorrow text;
	ALTER TABLE jobs ADD COLUMN tomorrow text;
	ALTER TABLE notifications ADD COLUMN tomorrow text;
	CREATE TABLE tomorrows (account_id text COLLATE "C" PRIMARY KEY);
	INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`

func TestUpgrade(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	t.Run("tables are migrated under load, and the programs of the previous version continue and can restart", func(t *testing.T) {
		const items, singles = 20_000, 400
		p := startProduction(t)
		p.startAPI()
		p.startWorker()
		p.manyInvites(1000 + items)
		job := p.must(http.MethodPost, "/jobs", reportIDs(1001, items, false), "").str("id")

		first := p.client // of the first API
		ids := make([]string, singles)
		var submitted atomic.Int64
		var all sync.WaitGroup
		for part := range 4 {
			all.Go(func() {
				for i := part; i < singles; i += 4 {
					for ids[i] == "" {
						a, err := first.do(http.MethodPost, "/assessments/invite/revoke", revokeBody(i+1, true), "respond-async")
						switch {
						case err != nil:
							t.Error(err)
							return
						case a.code == http.StatusAccepted || a.code == http.StatusOK:
							ids[i] = a.str("id")
						case a.code != http.StatusServiceUnavailable || a.str("code") != "unavailable":
							t.Errorf("%d %v", a.code, a.body)
							return
						}
					}
					submitted.Add(1)
				}
			})
		}
		until(t, "the load is on", func() bool { return submitted.Load() > singles/8 })
		mustCommand(t, p.env, "", "migrate") // must change nothing
		until(t, "the next version's step is taken", func() bool { return p.take(nextStep) })
		mustCommand(t, p.env, "", "migrate") // of the previous version: must do no harm
		p.startWorker()
		p.startAPI()
		all.Wait()
		for _, id := range ids {
			if a := p.final(id); a.str("status") != "REVOKED" {
				t.Errorf("%v", a.body)
			}
			if a := p.settled(id); a.notification() != "SENT" {
				t.Errorf("%v", a.body)
			}
		}
		a := p.ended(job)
		if count(a, "REVOKED") != items {
			t.Errorf("job: %v", a.body)
		}
		p.recount(a)
		if revoked := p.revokedInvites(); revoked != items+singles {
			t.Errorf("%d invites are revoked", revoked)
		}
		if got := len(p.mail.Messages()); got != singles {
			t.Errorf("%d emails", got)
		}
	})
	t.Run("on tables of the previous version neither service starts, and both print what to do", func(t *testing.T) {
		p := startProduction(t)
		if !p.take(`DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`) {
			t.Fatal("the version is held by others")
		}
		for _, service := range []*running{
			start(t, append(p.env, "HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0"), programs.api, "serve"),
			start(t, append(p.env, "ADMIN_ADDR=127.0.0.1:0"), programs.worker),
		} {
			until(t, "it has ended", func() bool {
				select {
				case <-service.done:
					return true
				default:
					return false
				}
			})
			if code := service.cmd.ProcessState.ExitCode(); code == 0 || !strings.Contains(service.log(), "run the migrate command") {
				t.Errorf("exit %d: %s", code, service.log())
			}
		}
	})
}

// take runs statements in one transaction, and reports whether it got their locks in time.
func (p *production) take(statements string) (taken bool) {
	p.t.Helper()
	p.query(func(conn *pgx.Conn) error {
		_, err := conn.Exec(p.t.Context(), "BEGIN;"+statements+";COMMIT")
		taken = err == nil
		if err != nil && !strings.Contains(err.Error(), "55P03") && !strings.Contains(err.Error(), "40P01") {
			return err
		}
		return nil
	})
	return taken
}
