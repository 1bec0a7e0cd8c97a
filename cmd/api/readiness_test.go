package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"rescind/internal/testservers"
)

// readiness returns the response of an address to /readyz.
func (p *production) readiness(addr string) answer {
	p.t.Helper()
	return client{p.t, "http://" + addr, p.key}.must(http.MethodGet, "/readyz", "", "")
}

// says reports whether a response has a state of the process and a reason.
func (a answer) says(code int, state, reason string) bool {
	return a.code == code && a.str("state") == state && strings.Contains(fmt.Sprint(a.body), reason)
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	t.Run("a process is not ready while its database is read-only, and is ready soon after", func(t *testing.T) {
		database := testservers.StartPostgres(t)
		p := startProductionOn(t, database.URL())
		_, apiAdmin := p.startAPI()
		_, workerAdmin := p.startWorker()
		set := func(value string) {
			t.Helper()
			conn, err := pgx.Connect(t.Context(), database.URL())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close(t.Context()) }()
			for _, statement := range []string{`ALTER SYSTEM SET default_transaction_read_only = ` + value, `SELECT pg_reload_conf()`} {
				if _, err := conn.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
		}
		set("on")
		for _, admin := range []string{apiAdmin, workerAdmin} {
			until(t, "it is read-only", func() bool { return p.readiness(admin).says(503, "unavailable", "read-only") })
		}
		if a := p.revoke(1, false, "respond-async"); a.code != 503 || a.str("code") != "unavailable" {
			t.Errorf("%d %v", a.code, a.body)
		}
		set("off")
		for _, admin := range []string{apiAdmin, workerAdmin} {
			until(t, "it is ready", func() bool { return p.readiness(admin).says(200, "ok", "") })
		}
		if a := p.revoke(1, true, "wait=30"); a.code != 200 {
			t.Errorf("%d %v", a.code, a.body)
		}
	})
	t.Run("with a read-only Redis the API is degraded and accepts, and no worker is ready", func(t *testing.T) {
		p := startProduction(t)
		_, apiAdmin := p.startAPI()
		_, workerAdmin := p.startWorker()
		options, err := redis.ParseURL(p.redis.URL())
		if err != nil {
			t.Fatal(err)
		}
		own := redis.NewClient(options)
		defer func() { _ = own.Close() }()
		primary, err := url.Parse(testservers.Redis(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := own.ReplicaOf(t.Context(), primary.Hostname(), primary.Port()).Err(); err != nil {
			t.Fatal(err)
		}
		until(t, "the API says it", func() bool { return p.readiness(apiAdmin).says(200, "degraded", "read-only replica") })
		until(t, "the worker says it", func() bool { return p.readiness(workerAdmin).says(503, "unavailable", "read-only replica") })
		accepted := p.revoke(1, false, "respond-async")
		if accepted.code != 202 {
			t.Errorf("%d %v", accepted.code, accepted.body)
		}
		if err := own.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
			t.Fatal(err)
		}
		until(t, "the worker is ready", func() bool { return p.readiness(workerAdmin).says(200, "ok", "") })
		if a := p.final(accepted.str("id")); a.str("status") != "REVOKED" {
			t.Errorf("%v", a.body)
		}
	})
}
