package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/testservers"
)

// production is an API and workers on real servers, with one account of 1,000 invites.
type production struct {
	client
	env      []string
	database string
	redis    *testservers.RedisServer
	mail     *testservers.SMTPServer
}

func startProduction(t *testing.T) *production {
	t.Helper()
	return startProductionOn(t, testservers.Postgres(t))
}

func startProductionOn(t *testing.T, database string) *production {
	t.Helper()
	redis := testservers.StartRedis(t)
	p := prepareProduction(t, database, redis.URL(), testservers.SMTP(t))
	p.redis = redis
	return p
}

// prepareProduction creates the tables, the account and its key. settings are added to the default ones, or replace them.
func prepareProduction(t *testing.T, database, redis string, mail *testservers.SMTPServer, settings ...string) *production {
	t.Helper()
	p := &production{database: database, mail: mail}
	p.env = []string{
		"DATABASE_URL=" + p.database, "REDIS_URL=" + redis,
		"SMTP_URL=" + p.mail.URL(), "MAIL_FROM=Recruiting <recruiting@example.com>",
		"BACKOFF_BASE=100ms", "BACKOFF_MAX=500ms", "MAX_ATTEMPTS=100", "RATE_LIMIT=100000",
	}
	p.env = append(p.env, settings...)
	mustCommand(t, p.env, "", "migrate")
	mustCommand(t, p.env, "", "account", "set", "acme", "--name", "Acme")
	mustCommand(t, p.env, invitesCSV(1000), "invites", "import", "--account", "acme", "-")
	p.client = client{t, "", strings.TrimSpace(mustCommand(t, p.env, "", "key", "create", "--account", "acme"))}
	return p
}

// startAPI starts an API, makes the client use it, and returns it with its operators' address.
func (p *production) startAPI() (api *running, admin string) {
	p.t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(p.t))
	admin = fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(p.t))
	api = start(p.t, append(p.env, "HTTP_ADDR="+addr, "ADMIN_ADDR="+admin), programs.api, "serve")
	p.url = "http://" + addr
	until(p.t, "the API is alive", func() bool { return status(p.t, p.url+"/healthz") == 200 })
	return api, admin
}

func (p *production) startWorker() (worker *running, admin string) {
	p.t.Helper()
	admin = fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(p.t))
	worker = start(p.t, append(p.env, "ADMIN_ADDR="+admin), programs.worker)
	until(p.t, "the worker is alive", func() bool { return status(p.t, "http://"+admin+"/healthz") == 200 })
	return worker, admin
}

// status returns the status of a GET, or 0 without a response.
func status(t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func TestServices(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	t.Run("a hundred requests at once for one invite: one REVOKED, one email", func(t *testing.T) {
		t.Parallel()
		p := startProduction(t)
		p.startAPI()
		first := p.client
		p.startAPI()
		p.startWorker()
		p.startWorker()
		answers := make([]answer, 100)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() {
				c := []client{first, p.client}[i%2]
				a, err := c.do(http.MethodPost, "/assessments/invite/revoke", revokeBody(7, true), "wait=30")
				if err != nil {
					t.Error(err)
				}
				answers[i] = a
			})
		}
		all.Wait()
		revoked := make(map[string]bool)
		for _, a := range answers {
			switch a.str("status") {
			case "REVOKED":
				revoked[a.str("id")] = true
			case "ALREADY_REVOKED":
			default:
				t.Errorf("%d %v", a.code, a.body)
			}
		}
		if len(revoked) != 1 {
			t.Fatalf("%d revocations are REVOKED", len(revoked))
		}
		for id := range revoked {
			p.settled(id)
		}
		if got := p.mail.Messages(); len(got) != 1 || got[0].To[0] != "candidate7@example.com" {
			t.Errorf("%d emails: %+v", len(got), got)
		}
	})
	t.Run("with Redis away it accepts, and carries out when Redis is back; emptied, it loses nothing", func(t *testing.T) {
		t.Parallel()
		p := startProduction(t)
		_, apiAdmin := p.startAPI()
		_, workerAdmin := p.startWorker()
		until(t, "both are ready", func() bool {
			return status(t, "http://"+apiAdmin+"/readyz") == 200 && status(t, "http://"+workerAdmin+"/readyz") == 200
		})
		p.redis.Kill()
		var ids []string
		accept := func(from, to int) {
			t.Helper()
			for report := from; report <= to; report++ {
				a := p.revoke(report, true, "respond-async")
				if a.code != 202 {
					t.Fatalf("%d %v", a.code, a.body)
				}
				ids = append(ids, a.str("id"))
			}
		}
		accept(1, 50)
		until(t, "the API is degraded and ready, the worker is not ready", func() bool {
			a := p.must(http.MethodGet, "/readyz", "", "")
			return a.code == 200 && a.str("state") == "degraded" && status(t, "http://"+workerAdmin+"/readyz") == 503
		})
		p.redis.Start()
		accept(51, 100)
		p.redis.Kill() // with whatever was in it
		p.redis.Start()
		for _, id := range ids {
			if a := p.final(id); a.str("status") != "REVOKED" {
				t.Errorf("%v", a.body)
			}
		}
		for _, id := range ids {
			if a := p.settled(id); a.notification() != "SENT" {
				t.Errorf("%v", a.body)
			}
		}
		if got := len(p.mail.Messages()); got != len(ids) {
			t.Errorf("%d emails for %d revocations", got, len(ids))
		}
	})
	t.Run("with the database killed nothing is accepted, and what was accepted before is carried out after", func(t *testing.T) {
		t.Parallel()
		database := testservers.StartPostgres(t)
		p := startProductionOn(t, database.URL())
		p.startAPI()
		var ids []string
		for report := 1; report <= 20; report++ {
			ids = append(ids, p.revoke(report, true, "respond-async").str("id"))
		}
		database.Kill()
		for report := 21; report <= 30; report++ {
			a := p.revoke(report, true, "")
			if a.code != 503 || a.header.Get("Retry-After") == "" || a.str("code") != "unavailable" && a.str("code") != "outcome_unknown" {
				t.Errorf("%d %v %v", a.code, a.header, a.body)
			}
		}
		until(t, "the API is not ready", func() bool { return status(t, p.url+"/readyz") == 503 })
		if got := status(t, p.url+"/healthz"); got != 200 {
			t.Errorf("alive: %d", got)
		}
		database.Start()
		p.startWorker()
		for _, id := range ids {
			if a := p.final(id); a.str("status") != "REVOKED" {
				t.Errorf("%v", a.body)
			}
		}
	})
	t.Run("workers that are killed lose nothing and revoke nothing twice", func(t *testing.T) {
		t.Parallel()
		p := startProduction(t)
		p.startAPI()
		var ids []string
		var mu sync.Mutex
		var all sync.WaitGroup
		stop := make(chan struct{})
		all.Go(func() {
			for {
				worker, _ := p.startWorker()
				select {
				case <-time.After(300 * time.Millisecond):
					worker.kill()
				case <-stop:
					return
				}
			}
		})
		var submitting sync.WaitGroup
		for part := range 4 {
			submitting.Go(func() {
				for i := range 100 {
					a, err := p.do(http.MethodPost, "/assessments/invite/revoke", revokeBody(part*100+i+1, false), "respond-async")
					if err != nil || a.code != 202 {
						t.Errorf("%v: %d %v", err, a.code, a.body)
						continue
					}
					mu.Lock()
					ids = append(ids, a.str("id"))
					mu.Unlock()
					time.Sleep(5 * time.Millisecond) // spread over several lives of the workers
				}
			})
		}
		submitting.Wait()
		close(stop)
		all.Wait()
		for _, id := range ids {
			if a := p.final(id); a.str("status") != "REVOKED" {
				t.Errorf("%v", a.body)
			}
		}
	})
	t.Run("a revocation that another transaction blocks is ERROR_REVOKING, and is carried out later", func(t *testing.T) {
		t.Parallel()
		p := startProduction(t)
		p.startAPI()
		p.startWorker()
		conn, err := pgx.Connect(t.Context(), p.database)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(t.Context()) }()
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// The lock lets readers pass, so the submission is accepted, but the revocation cannot lock its row.
		if _, err := tx.Exec(t.Context(), `LOCK TABLE invites IN EXCLUSIVE MODE`); err != nil {
			t.Fatal(err)
		}
		a := p.revoke(1, true, "wait=30")
		if a.code != 202 || a.str("status") != "ERROR_REVOKING" || a.header.Get("Retry-After") == "" ||
			a.header.Get("Location") != "/revocations/"+a.str("id") || a.str("next_attempt_at") == "" {
			t.Errorf("%d %v %v", a.code, a.header, a.body)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		done := p.final(a.str("id"))
		if done.str("status") != "REVOKED" || done.body["attempts"].(float64) < 2 || done.body["last_error"] != nil {
			t.Errorf("%v", done.body)
		}
	})
	t.Run("both stop under load with status 0 and lose nothing", func(t *testing.T) {
		t.Parallel()
		p := startProduction(t)
		api, _ := p.startAPI()
		worker, _ := p.startWorker()
		var mu sync.Mutex
		var ids []string
		var all sync.WaitGroup
		for part := range 8 {
			all.Go(func() {
				for i := range 100 {
					a, err := p.do(http.MethodPost, "/assessments/invite/revoke", revokeBody(part*100+i+1, true), "wait=5")
					if err != nil { // it has stopped
						return
					}
					mu.Lock()
					ids = append(ids, a.str("id"))
					mu.Unlock()
				}
			})
		}
		until(t, "some are accepted", func() bool { mu.Lock(); defer mu.Unlock(); return len(ids) > 50 })
		if exit := worker.terminate(); exit != 0 {
			t.Errorf("worker: exit %d", exit)
		}
		if exit := api.terminate(); exit != 0 {
			t.Errorf("API: exit %d", exit)
		}
		all.Wait()
		p.startAPI()
		p.startWorker()
		sent := 0
		for _, id := range ids {
			if a := p.final(id); a.str("status") != "REVOKED" {
				t.Errorf("%v", a.body)
			}
			if a := p.settled(id); a.notification() == "SENT" {
				sent++
			} else {
				t.Errorf("%v", a.body)
			}
		}
		if got := len(p.mail.Messages()); got < sent {
			t.Errorf("%d emails for %d that are SENT", got, sent)
		}
	})
}
