package api_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rescind/internal/api"
)

func fixed(name string, critical bool, state api.State, reason string) api.Check {
	return api.Check{Name: name, Critical: critical, Run: func(context.Context) (api.State, string) { return state, reason }}
}

func TestHealth(t *testing.T) {
	for name, c := range map[string]struct {
		checks []api.Check
		status int
		golden string
	}{
		"all is well":      {[]api.Check{fixed("database", true, api.StateOK, ""), fixed("redis", false, api.StateOK, "")}, 200, "ready"},
		"redis is away":    {[]api.Check{fixed("database", true, api.StateOK, ""), fixed("redis", false, api.StateUnavailable, "It cannot be reached.")}, 200, "ready_degraded"},
		"redis evicts":     {[]api.Check{fixed("redis", false, api.StateDegraded, "Its maxmemory-policy is not noeviction."), fixed("database", true, api.StateOK, "")}, 200, "ready_evicting"},
		"database is away": {[]api.Check{fixed("database", true, api.StateUnavailable, "It cannot be reached."), fixed("redis", false, api.StateUnavailable, "It cannot be reached.")}, 503, "unready"},
		"a worker's redis": {[]api.Check{fixed("database", true, api.StateOK, ""), fixed("redis", true, api.StateDegraded, "Its maxmemory-policy is not noeviction.")}, 503, "unready_worker"},
		"no checks":        {nil, 200, "ready_nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			health := api.NewHealth(c.checks...)
			w := newWorld(t, func(o *api.Options, _ *httptest.Server) { o.Health = health })
			a := w.call(http.MethodGet, "/readyz", "", "apiKey", "")
			a.want(t, c.status, "")
			golden(t, c.golden, a.body)
			if (a.header.Get("Retry-After") != "") != (c.status == 503) {
				t.Errorf("%v", a.header)
			}
			alive := w.call(http.MethodGet, "/healthz", "", "apiKey", "")
			alive.want(t, http.StatusOK, "")
			golden(t, "alive", alive.body)

			admin := httptest.NewServer(api.Admin(health, http.NotFoundHandler()))
			defer admin.Close()
			for path, want := range map[string]answer{"/readyz": a, "/healthz": alive} {
				if status, body, media := fetch(t, admin.URL+path); status != want.status || body != want.body || media != want.header.Get("Content-Type") {
					t.Errorf("the operators' address answers %d %s", status, body)
				}
			}
		})
	}
}

func fetch(t *testing.T, url string) (status int, body, media string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header.Get("Content-Type")
}

func TestAdmin(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "rescind_up 1\n") })
	admin := httptest.NewServer(api.Admin(api.NewHealth(), metrics))
	defer admin.Close()
	for path, want := range map[string]string{
		"/metrics": "rescind_up 1", "/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile",
		"/debug/pprof/cmdline": "api.test", "/debug/pprof/symbol": "num_symbols",
	} {
		if status, body, _ := fetch(t, admin.URL+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _, _ := fetch(t, admin.URL+"/revocations"); status != http.StatusNotFound {
		t.Errorf("the API is on the operators' address: %d", status)
	}
}

// ready returns the body of /readyz without a server, which a synctest bubble does not support.
func ready(health *api.Health) string {
	recorder := httptest.NewRecorder()
	api.Admin(health, http.NotFoundHandler()).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	return recorder.Body.String()
}

func TestHealth_inTime(t *testing.T) {
	t.Run("concurrent probes share one check a second", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var checks atomic.Int32
			health := api.NewHealth(api.Check{Name: "database", Run: func(context.Context) (api.State, string) {
				checks.Add(1)
				return api.StateOK, ""
			}})
			var probes sync.WaitGroup
			for range 50 {
				probes.Go(func() { ready(health) })
			}
			probes.Wait()
			if n := checks.Load(); n != 1 {
				t.Errorf("%d checks, want 1", n)
			}
			time.Sleep(1001 * time.Millisecond)
			ready(health)
			if n := checks.Load(); n != 2 {
				t.Errorf("%d checks after a second, want 2", n)
			}
		})
	})
	t.Run("parts are checked concurrently, each for at most 2 s", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			slow := func(ctx context.Context) (api.State, string) {
				<-ctx.Done()
				time.Sleep(time.Millisecond) // too late
				return api.StateOK, ""
			}
			health := api.NewHealth(
				api.Check{Name: "a", Run: slow}, api.Check{Name: "b", Run: slow}, fixed("c", true, api.StateOK, ""))
			began := time.Now()
			body := ready(health)
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			if want := `{"state":"degraded","parts":[{"name":"a","state":"unavailable","reason":"It did not answer in time."},{"name":"b","state":"unavailable","reason":"It did not answer in time."},{"name":"c","state":"ok"}]}`; body != want {
				t.Error(body)
			}
			time.Sleep(time.Second)
		})
	})
}
