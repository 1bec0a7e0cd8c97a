package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"rescind/internal/testservers"
)

// TestBackup takes a dump under load, continues, and restores the dump as the documentation describes: with a Redis that has
// more tasks than the database needs, with one that has fewer, and with an empty one.
func TestBackup(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	for name, before := range map[string]func(*production){
		"beside a newer Redis": func(*production) {},
		"beside an older Redis": func(p *production) {
			p.redis.Kill()
			p.redis.Start() // with the data on its disk
		},
		"beside an empty Redis": func(p *production) { p.inRedis("FLUSHALL") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProduction(t)
			api, _ := p.startAPI()
			worker, _ := p.startWorker()
			done := p.accept(1, 30)
			for _, id := range done {
				p.settled(id)
			}
			job := p.must(http.MethodPost, "/jobs", reportIDs(31, 200, true), "wait=30").str("id")
			p.ended(job)
			until(t, "the job's emails are sent", func() bool { return len(p.mail.Messages()) == 230 })
			ended := p.stateOf(done)
			worker.kill()
			waiting := p.accept(301, 330)
			p.inRedis("SAVE")

			dump := filepath.Join(t.TempDir(), "rescind.dump")
			var under atomic.Bool
			var loading sync.WaitGroup
			under.Store(true)
			loading.Go(func() { // submissions continue while the dump is taken, so it contains some of them
				for report := 401; under.Load() && report <= 600; report++ {
					if _, err := p.do(http.MethodPost, "/assessments/invite/revoke", revokeBody(report, true), "respond-async"); err != nil {
						t.Error(err)
					}
				}
			})
			postgresTool(t, "pg_dump", "--format=custom", "--file="+dump, "--dbname="+p.database)
			under.Store(false)
			loading.Wait()

			// What was waiting is done, more comes that the dump does not know, and the last of it waits in Redis.
			worker, _ = p.startWorker()
			for _, id := range append(waiting, p.accept(701, 720)...) {
				p.settled(id)
			}
			worker.kill()
			lost := p.accept(721, 740)
			api.kill()
			sent := p.mailsTo()

			before(p)
			p.restore(dump)
			spool := t.TempDir()
			p.startAPI()
			p.env = append(p.env, "SMTP_URL=file:"+spool)
			held, _ := p.startWorker()
			if diff := cmp.Diff(ended, p.stateOf(done)); diff != "" {
				t.Errorf("what had ended is another (-want +got):\n%s", diff)
			}
			for _, id := range waiting {
				if a := p.final(id); a.str("status") != "REVOKED" || p.settled(id).notification() != "SENT" {
					t.Errorf("%v", a.body)
				}
			}
			p.recount(p.ended(job))
			for _, id := range lost {
				if a := p.must(http.MethodGet, "/revocations/"+id, "", ""); a.code != http.StatusNotFound {
					t.Errorf("the dump does not know %s, and it is answered with %d %v", id, a.code, a.body)
				}
			}
			until(t, "nothing waits", func() bool {
				return p.count(`SELECT (SELECT count(*) FROM work_items) + (SELECT count(*) FROM notifications WHERE status NOT IN ('SENT'))`) == 0
			})
			if n := p.count(`SELECT count(*) FROM invites i WHERE revoked_at IS NOT NULL AND NOT EXISTS (
				SELECT FROM revocations r WHERE r.id = i.revoked_by AND r.status = 'REVOKED')`); n != 0 {
				t.Errorf("%d invites are revoked by what the dump does not know", n)
			}
			// The candidates of what waited were told before the restore: the second email went to the directory.
			if diff := cmp.Diff(sent, p.mailsTo()); diff != "" {
				t.Errorf("emails while they were held back (-before +after):\n%s", diff)
			}
			twice := 0
			for _, address := range spooled(t, spool) {
				if sent[address] > 0 {
					twice++
				}
			}
			if twice < len(waiting) {
				t.Errorf("%d second emails are in the directory", twice)
			}
			if code := held.terminate(); code != 0 {
				t.Errorf("exit %d", code)
			}

			// From then on all is as usual: what was lost is submitted again, and its candidates are told.
			p.env = append(p.env, "SMTP_URL="+p.mail.URL())
			p.startWorker()
			for _, id := range p.accept(721, 740) {
				if a := p.settled(id); a.str("status") != "REVOKED" || a.notification() != "SENT" {
					t.Errorf("%v", a.body)
				}
			}
			for address, n := range p.mailsTo() {
				if n != 1 {
					t.Errorf("%d emails to %s", n, address)
				}
			}
		})
	}
}

// accept submits the invites one after the other, and returns the ids.
func (p *production) accept(from, to int) (ids []string) {
	p.t.Helper()
	for report := from; report <= to; report++ {
		a := p.revoke(report, true, "respond-async")
		if a.code != http.StatusAccepted && a.code != http.StatusOK {
			p.t.Fatalf("%d %v", a.code, a.body)
		}
		ids = append(ids, a.str("id"))
	}
	return ids
}

// stateOf returns the states of revocations.
func (p *production) stateOf(ids []string) (states []map[string]any) {
	p.t.Helper()
	for _, id := range ids {
		states = append(states, p.must(http.MethodGet, "/revocations/"+id, "", "").body)
	}
	return states
}

// mailsTo counts the emails that the mail server has accepted, by recipient.
func (p *production) mailsTo() map[string]int {
	counts := make(map[string]int)
	for _, m := range p.mail.Messages() {
		counts[m.To[0]]++
	}
	return counts
}

// spooled returns the recipients of the emails in a directory.
func spooled(t *testing.T, dir string) (addresses []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "\nTo: ")
		line, _, _ := strings.Cut(rest, "\r\n\r\n")
		_, address, _ := strings.Cut(line, "<")
		address, _, _ = strings.Cut(address, ">")
		addresses = append(addresses, address)
	}
	return addresses
}

// restore creates a database from a dump and makes the services use it.
func (p *production) restore(dump string) {
	p.t.Helper()
	p.database = testservers.Postgres(p.t)
	postgresTool(p.t, "pg_restore", "--clean", "--if-exists", "--exit-on-error", "--dbname="+p.database, dump)
	p.env = append(p.env, "DATABASE_URL="+p.database)
	mustCommand(p.t, p.env, "", "migrate")
}

func postgresTool(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testservers.Program(t, program), args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

func (p *production) inRedis(command ...any) {
	p.t.Helper()
	options, err := redis.ParseURL(p.redis.URL())
	if err != nil {
		p.t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }() // nothing is left to be done on it
	if err := client.Do(context.WithoutCancel(p.t.Context()), command...).Err(); err != nil {
		p.t.Fatalf("%s: %v", fmt.Sprint(command...), err)
	}
}
