package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"rescind/internal/worker"

	"github.com/jackc/pgx/v5"

	"rescind/internal/postgres"
	"rescind/internal/revocation"
	"rescind/internal/testservers"
	"rescind/internal/uuidv7"
)

// openAhead opens a store whose database's clock is ahead of this process's by offset, which may be negative.
func openAhead(t *testing.T, offset time.Duration) *postgres.Store {
	t.Helper()
	server := testservers.Postgres(t)
	open(t, server) // migrates it
	conn, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // not what is tested
	statements := `CREATE SCHEMA ahead;`
	for _, clock := range []string{"now", "clock_timestamp"} {
		statements += fmt.Sprintf(`CREATE FUNCTION ahead.%[1]s() RETURNS timestamptz LANGUAGE sql AS $$
			SELECT pg_catalog.%[1]s() + interval '%[2]d seconds' $$;`, clock, int(offset.Seconds()))
	}
	if _, err := conn.Exec(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("search_path", "ahead,pg_catalog,public")
	u.RawQuery = query.Encode()
	store, err := postgres.Open(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// callee is an upstream that revokes every invite, and a queue that loses every task.
type callee struct{ calls int }

func (*callee) Admit(ctx context.Context, _ revocation.Target) error { return ctx.Err() }

func (c *callee) Revoke(context.Context, revocation.Target, int64, bool) revocation.Reply {
	c.calls++
	return revocation.Reply{Status: revocation.StatusRevoked}
}

func (*callee) Ready(context.Context) error { return nil }

func (*callee) EnqueueRevocations(context.Context, int, []revocation.Ref) error { return nil }

func (*callee) EnqueueNotifications(context.Context, []revocation.NotificationRef) error { return nil }

func (*callee) EnqueueAccountTasks(context.Context, revocation.AccountTask, []string) error {
	return nil
}

func (*callee) Publish(context.Context, []revocation.ID) error { return nil }

func (*callee) open(context.Context, revocation.Upstream) (revocation.Secret, error) {
	return "key", nil
}

// atBothClocks runs test with a database whose clock is an hour ahead of the process's, and with one whose clock is behind.
func atBothClocks(t *testing.T, test func(t *testing.T, store *postgres.Store, offset time.Duration, must func(error))) {
	for name, offset := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run("the database's clock is an hour "+name, func(t *testing.T) {
			t.Parallel()
			test(t, openAhead(t, offset), offset, func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// The database's clock decides how long a hold lasts, whatever the clock of the process shows.
func TestClock_HoldOfAnUpstream(t *testing.T) {
	atBothClocks(t, func(t *testing.T, store *postgres.Store, _ time.Duration, must func(error)) {
		address := "https://platform.example"
		must(store.SetAccount(t.Context(), revocation.AccountChange{
			ID: "acme", Upstream: &revocation.UpstreamChange{URL: &address, SealedKey: []byte("sealed")},
		}))
		id := uuidv7.New()
		_, err := store.Submit(t.Context(), []revocation.Submission{{ID: id, Account: "acme", ReportID: 1, RequestedBy: uuidv7.New()}})
		must(err)
		_, err = store.CarryOut(t.Context(), []revocation.Ref{{Account: "acme", ID: id}}, revocation.Decide) // leaves it to the upstream
		must(err)
		var c callee
		caller := worker.NewUpstreamRunner(worker.UpstreamRunnerOptions{
			Store: store, Platform: &c, Open: c.open, Queue: &c, Outcomes: &c,
			Policy:   revocation.RetryPolicy{Base: time.Second, Max: time.Second, MaxAttempts: 3},
			Stopping: func(context.Context) bool { return false }, Log: slog.New(slog.DiscardHandler),
		})
		upstream, err := store.Upstream(t.Context(), "acme")
		must(err)
		must(store.HoldUpstream(t.Context(), *upstream, revocation.HoldUnavailable, 10*time.Minute))
		must(caller.RunAccountTask(t.Context(), "acme"))
		pending, err := store.PendingWork(t.Context())
		must(err)
		if len(pending.AccountTasks) != 0 {
			t.Errorf("work on hold for ten minutes: %v", pending.AccountTasks)
		}
		accounts, err := store.Accounts(t.Context())
		must(err)
		if c.calls != 0 || !accounts[0].Upstream.Held {
			t.Errorf("on hold for ten minutes, %d calls were made; listed as held: %t", c.calls, accounts[0].Upstream.Held)
		}
		must(store.HoldUpstream(t.Context(), *upstream, revocation.HoldUnavailable, 0))
		pending, err = store.PendingWork(t.Context())
		must(err)
		if len(pending.AccountTasks) != 1 {
			t.Errorf("work with the hold over: %v", pending.AccountTasks)
		}
		must(caller.RunAccountTask(t.Context(), "acme"))
		accounts, err = store.Accounts(t.Context())
		must(err)
		if c.calls != 1 || accounts[0].Upstream.Held {
			t.Errorf("with the hold over, %d calls were made; listed as held: %t", c.calls, accounts[0].Upstream.Held)
		}
	})
}

// The database's clock decides how long something is kept, whatever the clock of the process shows.
func TestClock_Retention(t *testing.T) {
	atBothClocks(t, func(t *testing.T, store *postgres.Store, offset time.Duration, must func(error)) {
		must(store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme"}))
		must(store.UpsertInvites(t.Context(), "acme", []revocation.Invite{{ReportID: 1, CandidateName: "Ada", SentAt: time.Now().Add(offset)}}))
		id := uuidv7.New()
		_, err := store.Submit(t.Context(), []revocation.Submission{{ID: id, Account: "acme", ReportID: 1, RequestedBy: uuidv7.New()}})
		must(err)
		_, err = store.CarryOut(t.Context(), []revocation.Ref{{Account: "acme", ID: id}}, revocation.Decide)
		must(err)
		must(store.FinishImport(t.Context(), "acme", nil, revocation.Import{}))
		job := revocation.NewJob{
			ID: revocation.JobID(uuidv7.New()), Account: "acme", RequestedBy: uuidv7.New(), Route: revocation.RouteJobs,
		}
		_, err = store.BeginJob(t.Context(), job, time.Minute)
		must(err)
		for what, remove := range map[string]func(age time.Duration) (int, error){
			"a revocation": func(age time.Duration) (int, error) { return store.Expire(t.Context(), age, 10) },
			"an event":     func(age time.Duration) (int, error) { return store.ExpireEvents(t.Context(), age, 10) },
			"a candidate":  func(age time.Duration) (int, error) { return store.ForgetOld(t.Context(), age, 10) },
		} {
			for _, step := range []struct {
				age  time.Duration
				want bool
			}{{30 * time.Minute, false}, {-time.Minute, true}} {
				n, err := remove(step.age)
				must(err)
				if n > 0 != step.want {
					t.Errorf("%s, kept for %v: %d removed", what, step.age, n)
				}
			}
		}
		for want, lease := range []time.Duration{time.Minute, -time.Minute} {
			must(store.RenewUpload(t.Context(), job, lease))
			n, err := store.DropSilentUploads(t.Context())
			must(err)
			if n != want {
				t.Errorf("with a lease of %v, %d uploads dropped, want %d", lease, n, want)
			}
		}
	})
}
