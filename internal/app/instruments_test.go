package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/app"
	"rescind/internal/config"
	"rescind/internal/revocation"
	"rescind/internal/sqlite"
	"rescind/internal/standalone"
	"rescind/internal/testservers"
	"rescind/internal/uuidv7"
)

func TestMain(m *testing.M) { testservers.Main(m) }

// eventually is how long a test waits for a condition. It is long enough for a slow machine.
const eventually = time.Minute

// Values that no metric and no trace may contain.
const (
	account = "canary-account"
	secret  = "canary-secret"
	held    = "canary-held"
	upURL   = "https://canary-upstream.example"
	address = "canary@candidate.example"
)

// service is a standalone process with an API and a worker that share one set of instruments.
type service struct {
	t          *testing.T
	url, admin string
	stop       func()
}

func start(t *testing.T) service {
	t.Helper()
	dir := t.TempDir()
	prepare(t, filepath.Join(dir, standalone.DatabaseFile))
	settings, err := config.LoadStandalone([]string{"RATE_LIMIT=1000"})
	if err != nil {
		t.Fatal(err)
	}
	public, admin := listen(t), listen(t)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- standalone.Run(ctx, standalone.Options{
			Dir: dir, Settings: settings, Listener: public, Admin: admin,
			Log: slog.New(slog.DiscardHandler), Ready: func() { close(ready) },
		})
	}()
	end := sync.OnceFunc(func() {
		stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(eventually):
			t.Error("it did not stop")
		}
	})
	t.Cleanup(end)
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return service{t, "http://" + public.Addr().String(), "http://" + admin.Addr().String(), end}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// prepare fills a database before the service opens it: invites 1 to 9 may be revoked, and 10 was sent before the plan
// change.
func prepare(t *testing.T, path string) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	planChange, url := time.Now().Add(-time.Hour), upURL
	must(store.SetAccount(t.Context(), revocation.AccountChange{ID: account, PlanChangedAt: &planChange}))
	must(store.AddKey(t.Context(), revocation.APIKey{
		ID: uuidv7.New(), Account: account, Hash: revocation.HashSecret(secret), Scopes: revocation.Scopes,
	}))
	var invites []revocation.Invite
	for id := range int64(10) {
		sent := time.Now()
		if id == 9 {
			sent = planChange.Add(-time.Hour)
		}
		invites = append(invites, revocation.Invite{ReportID: id + 1, CandidateEmail: address, AssessmentName: "Go", SentAt: sent})
	}
	must(store.UpsertInvites(t.Context(), account, invites))
	must(store.SetAccount(t.Context(), revocation.AccountChange{
		ID: held, Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte("sealed")},
	}))
	must(store.HoldUpstream(t.Context(), revocation.Upstream{Account: held, URL: url, SealedKey: []byte("sealed")}, revocation.HoldUnauthorized, time.Hour))
	must(store.Close())
}

func (s service) call(method, url, body string, header ...string) (status int, text string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("apiKey", secret)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

func (s service) revoke(report int, want int, header ...string) {
	s.t.Helper()
	body := fmt.Sprintf(`{"report_id": %d, "notify_candidate": %t}`, report, report == 1)
	status, text := s.call(http.MethodPost, s.url+"/assessments/invite/revoke", body, append(header, "Prefer", "wait=30")...)
	if status != want {
		s.t.Fatalf("%d %s", status, text)
	}
}

// scrape reads all metrics.
func (s service) scrape() (text string, values map[string]float64) {
	s.t.Helper()
	status, text := s.call(http.MethodGet, s.admin+"/metrics", "")
	if status != http.StatusOK {
		s.t.Fatalf("%d %s", status, text)
	}
	values = make(map[string]float64)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if i := strings.LastIndexByte(line, ' '); i > 0 && !strings.HasPrefix(line, "#") {
			v, err := strconv.ParseFloat(line[i+1:], 64)
			if err != nil {
				s.t.Fatal(err)
			}
			values[line[:i]] = v
		}
	}
	return text, values
}

func (s service) until(what string, met func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(eventually); !met(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("after %s, still not: %s", eventually, what)
		}
	}
}

func TestInstruments(t *testing.T) {
	s := start(t)
	s.revoke(1, 200, "Idempotency-Key", "first") // with an email
	s.revoke(1, 200, "Idempotency-Key", "first") // replayed
	s.revoke(2, 422, "Idempotency-Key", "first")
	s.revoke(1, 200) // ALREADY_REVOKED
	s.revoke(10, 200)
	s.revoke(11, 404)
	status, text := s.call(http.MethodPost, s.url+"/jobs", "report_id,client_reference\n2,a\n3,b\n1,c\n11,d\nnonsense,e\n", "Content-Type", "text/csv")
	if status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	s.until("all is counted", func() bool {
		_, values := s.scrape()
		return values[`rescind_notifications_total{status="sent"}`] == 1 && values[`rescind_job_items_total{status="revoked"}`] == 2
	})

	text, values := s.scrape()
	want := map[string]float64{
		`rescind_submissions_total{result="accepted"}`:                                               3,
		`rescind_submissions_total{result="joined"}`:                                                 1,
		`rescind_submissions_total{result="mismatch"}`:                                               1,
		`rescind_submissions_total{result="not_found"}`:                                              1,
		`rescind_submissions_total{result="failed"}`:                                                 0,
		`rescind_flush_size_sum`:                                                                     6,
		`rescind_batch_size_sum{class="single"}`:                                                     3,
		`rescind_batch_size_sum{class="items"}`:                                                      4,
		`rescind_batch_size_count{class="upstream"}`:                                                 0,
		`rescind_batch_size_sum{class="mail"}`:                                                       1,
		`rescind_attempts_total{outcome="revoked"}`:                                                  3,
		`rescind_attempts_total{outcome="already_revoked"}`:                                          2,
		`rescind_attempts_total{outcome="not_allowed"}`:                                              1,
		`rescind_attempts_total{outcome="not_found"}`:                                                1,
		`rescind_attempts_total{outcome="error_revoking"}`:                                           0,
		`rescind_attempts_total{outcome="cancelled"}`:                                                0,
		`rescind_attempts_total{outcome="retried"}`:                                                  0,
		`rescind_attempts_total{outcome="postponed"}`:                                                0,
		`rescind_attempts_to_outcome_sum`:                                                            7,
		`rescind_attempts_to_outcome_count`:                                                          7,
		`rescind_jobs_total`:                                                                         1,
		`rescind_job_items_total{status="revoked"}`:                                                  2,
		`rescind_job_items_total{status="already_revoked"}`:                                          1,
		`rescind_job_items_total{status="not_found"}`:                                                1,
		`rescind_job_items_total{status="invalid"}`:                                                  1,
		`rescind_notifications_total{status="sent"}`:                                                 1,
		`rescind_notifications_total{status="unknown"}`:                                              0,
		`rescind_dispatched_total{cause="lost",kind="revocation"}`:                                   0,
		`rescind_dispatched_total{cause="due",kind="email"}`:                                         0,
		`rescind_upstream_held_accounts{reason="secret_unreadable"}`:                                 0,
		`rescind_collector_success{collector="database"}`:                                            1,
		`rescind_collector_success{collector="redis"}`:                                               1,
		`rescind_redis_evicts`:                                                                       0,
		`rescind_queue_tasks{queue="single",state="archived"}`:                                       0,
		`rescind_upstream_calls_total{outcome="revoked"}`:                                            0,
		`rescind_upstream_held_accounts{reason="upstream_unauthorized"}`:                             1,
		`rescind_http_requests_total{method="POST",route="/assessments/invite/revoke",status="404"}`: 1,
	}
	got := make(map[string]float64, len(want))
	for name := range want {
		if v, ok := values[name]; ok {
			got[name] = v
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, class := range revocation.Classes {
		for _, name := range []string{"rescind_backlog", "rescind_backlog_oldest_seconds"} {
			if _, ok := values[fmt.Sprintf("%s{class=%q}", name, class)]; !ok {
				t.Errorf("%s of class %s is missing", name, class)
			}
		}
	}
	if strings.Contains(text, "canary") {
		t.Error("the metrics contain an account, a secret or a candidate")
	}
	checkDocumented(t, text)

	t.Run("the operators' address serves the queues, read-only, and profiles", func(t *testing.T) {
		for path, want := range map[string]string{
			"/queues": `id="root"`, "/queues/api/queues": `"queue":"single"`, "/debug/pprof/": "goroutine", "/readyz": `"state":"ok"`,
		} {
			if status, text := s.call(http.MethodGet, s.admin+path, ""); status != http.StatusOK || !strings.Contains(text, want) {
				t.Errorf("%s: %d %s", path, status, text)
			}
		}
		if status, _ := s.call(http.MethodDelete, s.admin+"/queues/api/queues/single", ""); status != http.StatusMethodNotAllowed {
			t.Errorf("a request to delete a queue is answered with %d", status)
		}
		if status, _ := s.call(http.MethodGet, s.url+"/queues", ""); status != http.StatusNotFound {
			t.Errorf("the public address answers with %d", status)
		}
	})
}

// checkDocumented fails the test for a metric that the list in package telemetry lacks.
func checkDocumented(t *testing.T, text string) {
	t.Helper()
	list, err := os.ReadFile(filepath.Join("..", "telemetry", "doc.go"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) > 2 && words[1] == "TYPE" && strings.HasPrefix(words[2], "rescind_") && !bytes.Contains(list, []byte(words[2])) {
			t.Errorf("%s is not in the list of metrics", words[2])
		}
	}
}

func TestInstruments_DatabaseAndRedisAway(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "rescind.db"))
	if err != nil {
		t.Fatal(err)
	}
	redis := standalone.StartRedis()
	instruments := app.NewInstruments(store, redis.Client(), nil)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := redis.Close(); err != nil {
		t.Fatal(err)
	}
	listener := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- app.Admin(ctx, app.AdminOptions{Listener: listener, Instruments: instruments, Log: slog.New(slog.DiscardHandler)})
	}()
	s := service{t, "", "http://" + listener.Addr().String(), stop}
	text, values := s.scrape()
	for _, name := range []string{`rescind_collector_success{collector="database"}`, `rescind_collector_success{collector="redis"}`} {
		if v, ok := values[name]; !ok || v != 0 {
			t.Errorf("%s is %v (exported: %t), want 0", name, v, ok)
		}
	}
	if v, ok := values[`rescind_submissions_total{result="accepted"}`]; !ok || v != 0 {
		t.Errorf("the other metrics are missing:\n%s", text)
	}
	for _, name := range []string{"rescind_backlog", "rescind_queue_tasks", "rescind_redis_evicts"} {
		if strings.Contains(text, name) {
			t.Errorf("%s is exported although it could not be read", name)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
