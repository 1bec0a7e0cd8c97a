package app_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"rescind/internal/app"
	"rescind/internal/config"
	"rescind/internal/mail"
	"rescind/internal/postgres"
	"rescind/internal/queue"
	"rescind/internal/revocation"
	"rescind/internal/secrets"
	"rescind/internal/telemetry"
	"rescind/internal/testservers"
	"rescind/internal/uuidv7"
)

// An account whose invites are at an upstream, its API key for the service, and its key at the upstream.
const (
	upstreamAccount = "canary-upstream"
	upstreamSecret  = "canary-upstream-secret"
	upstreamKey     = "canary-upstream-key"
)

// services are an API and a worker on real servers. Each has its own tracing, like two processes.
type services struct {
	t    *testing.T
	api  service
	mail *testservers.SMTPServer
	up   *testservers.PlatformServer
}

func startServices(t *testing.T) *services {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	url, redisURL := testservers.Postgres(t), testservers.Redis(t)
	s := &services{t: t, mail: testservers.SMTP(t), up: testservers.Platform(t, upstreamKey)}
	_, err := postgres.Migrate(t.Context(), url)
	must(err)
	secretsKey := base64.StdEncoding.EncodeToString(make([]byte, 32))

	running, ctx := errgroup.WithContext(context.WithoutCancel(t.Context()))
	ctx, stop := context.WithCancel(ctx)
	process := func(name string) (*postgres.Store, *app.Instruments, *telemetry.Tracing, app.WorkerOptions) {
		tracing, err := telemetry.StartTracing(ctx, name, slog.New(slog.DiscardHandler))
		must(err)
		store, err := postgres.Open(ctx, url, tracing.Queries()...)
		must(err)
		t.Cleanup(func() { _ = store.Close() })
		redis, err := queue.NewRedis(redisURL)
		must(err)
		t.Cleanup(func() { _ = redis.Close() })
		instruments := app.NewInstruments(store, redis, tracing)
		return store, instruments, tracing, app.WorkerOptions{
			Store: store, Redis: redis, Instruments: instruments, Log: slog.New(slog.DiscardHandler),
		}
	}
	store, instruments, apiTracing, shared := process("api")
	s.fill(store, secretsKey)
	public := listen(t)
	server := app.NewAPI(app.APIOptions{
		Listener: public, Store: store, Redis: shared.Redis, RateLimit: 1000, JobMaxItems: 1000, Instruments: instruments, Log: shared.Log,
	})
	_, _, workerTracing, options := process("worker")
	mailer, err := mail.Open(mail.Options{URL: s.mail.URL(), From: "rescind@localhost"})
	must(err)
	t.Cleanup(func() { _ = mailer.Close() })
	options.Mailer = mailer
	options.Retry = config.Retry{BackoffBase: time.Second, BackoffMax: time.Second, MaxAttempts: 3}
	options.Upstream = config.Upstream{UpstreamTimeout: 10 * time.Second, Secrets: config.Secrets{SecretsKey: secretsKey}}
	worker, err := app.NewWorker(options)
	must(err)
	running.Go(func() error { return server.Run(ctx) })
	running.Go(func() error { return worker.Run(ctx) })
	s.api = service{t: t, url: "http://" + public.Addr().String(), stop: func() {
		stop()
		for _, err := range []error{running.Wait(), apiTracing.Stop(), workerTracing.Stop()} {
			must(err)
		}
	}}
	return s
}

// fill creates both accounts, and invites for the account on the database.
func (s *services) fill(store *postgres.Store, secretsKey string) {
	s.t.Helper()
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	box, err := secrets.New(secretsKey, "")
	must(err)
	sealed, err := box.Seal([]byte(upstreamKey), upstreamAccount)
	must(err)
	upstream := s.up.URL()
	for _, change := range []revocation.AccountChange{
		{ID: account}, {ID: upstreamAccount, Upstream: &revocation.UpstreamChange{URL: &upstream, SealedKey: sealed}},
	} {
		must(store.SetAccount(s.t.Context(), change))
		key := map[string]string{account: secret, upstreamAccount: upstreamSecret}[change.ID]
		must(store.AddKey(s.t.Context(), revocation.APIKey{
			ID: uuidv7.New(), Account: change.ID, Hash: revocation.HashSecret(key), Scopes: revocation.Scopes,
		}))
	}
	var invites []revocation.Invite
	for i := range tries {
		invites = append(invites, revocation.Invite{
			ReportID: int64(i + 1), CandidateEmail: address, AssessmentName: "canary", SentAt: time.Now(),
		})
	}
	must(store.UpsertInvites(s.t.Context(), account, invites))
}

// tries is how many requests of each kind the test sends. A dispatcher that enqueues the work first begins a trace of its
// own, so one request may not be enough.
const tries = 5

func TestTracing_Services(t *testing.T) {
	c := collect(t)
	s := startServices(t)
	for i := range tries {
		body := fmt.Sprintf("report_id,notify_candidate\n%d,true\n", i+1)
		if status, text := s.api.call(http.MethodPost, s.api.url+"/jobs", body, "Content-Type", "text/csv"); status != http.StatusAccepted {
			t.Fatalf("%d %s", status, text)
		}
		s.api.until("the email has arrived", func() bool { return len(s.mail.Messages()) == i+1 })
		body = fmt.Sprintf(`{"report_id": %d}`, i+1)
		status, text := s.api.call(http.MethodPost, s.api.url+"/assessments/invite/revoke", body, "apiKey", upstreamSecret, "Prefer", "wait=30")
		if status != http.StatusOK || !strings.Contains(text, `"REVOKED"`) {
			t.Fatalf("%d %s", status, text)
		}
	}
	s.api.stop()

	t.Run("a job, its items and its emails are in one trace", func(t *testing.T) {
		const job = "POST /jobs"
		c.contains(t, job,
			job+" > add items > batch start > COMMIT",
			job+" > finalize job > batch start > COMMIT",
			job+" > enqueue account tasks > jobs task > redis evalsha",
			job+" > enqueue account tasks > jobs task > batch start > COMMIT",
			job+" > enqueue account tasks > jobs task > mail task > deliver email > batch start > COMMIT",
		)
	})
	t.Run("a request, its batch and its call to the upstream are in one trace", func(t *testing.T) {
		const request = "POST /assessments/invite/revoke"
		c.contains(t, request,
			request+" > flush > batch start > COMMIT",
			request+" > enqueue > carry out > batch start > COMMIT",
			request+" > enqueue > carry out > upstream task > batch start > COMMIT",
			request+" > enqueue > carry out > upstream task > call upstream",
		)
	})
	t.Run("no trace contains an account, a candidate, a key or an address of a server", func(t *testing.T) {
		_, upstreamPort, err := net.SplitHostPort(strings.TrimPrefix(strings.TrimSuffix(s.up.URL(), "/api"), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		c.omits(t, "canary", "127.0.0.1", "localhost", ":"+upstreamPort, s.mail.Addr())
	})
}
