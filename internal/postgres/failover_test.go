package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/postgres"
	"rescind/internal/revocation"
	"rescind/internal/testservers"
	"rescind/internal/uuidv7"
)

// seconds is much longer than a store may take to find a server that can be written to, and much shorter than the lifetime of
// a connection in the pool.
const seconds = 30 * time.Second

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(seconds); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// submit submits a revocation of an invite of acme.
func submit(ctx context.Context, store *postgres.Store, report int64) error {
	accepted, err := store.Submit(ctx, []revocation.Submission{{ID: uuidv7.New(), Account: "acme", ReportID: report}})
	if err != nil {
		return err
	}
	return accepted[0].Err
}

// readOnly reports whether Ping returns that the database is read-only.
func readOnly(ctx context.Context, store *postgres.Store) bool {
	known, ok := errors.AsType[*revocation.Error](store.Ping(ctx))
	return ok && known.Code == revocation.CodeUnavailable && strings.Contains(known.Detail, "read-only")
}

// prepareServer gives a new server the tables and an account with invites.
func prepareServer(t *testing.T, url string) {
	t.Helper()
	store := open(t, url)
	if err := store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme"}); err != nil {
		t.Fatal(err)
	}
	invites := make([]revocation.Invite, 100)
	for i := range invites {
		invites[i] = revocation.Invite{ReportID: int64(i + 1), SentAt: time.Now()}
	}
	if err := store.UpsertInvites(t.Context(), "acme", invites); err != nil {
		t.Fatal(err)
	}
}

func TestStore_Failover(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 8 s")
	}
	t.Run("a standby is not taken, and the primary of before neither when it is back to be read alone", func(t *testing.T) {
		ctx := t.Context()
		primary := testservers.StartPostgres(t)
		prepareServer(t, primary.URL())
		standby := primary.Standby()
		both := strings.Replace(primary.URL(), primary.Address(), primary.Address()+","+standby.Address(), 1)
		store, err := postgres.Open(ctx, both)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		if err := errors.Join(submit(ctx, store, 1), store.Ping(ctx)); err != nil {
			t.Fatal(err)
		}
		if err := execute(ctx, primary.URL(), `ALTER SYSTEM SET default_transaction_read_only = on`); err != nil { // from its next start
			t.Fatal(err)
		}
		until(t, "the standby has all", func() bool { return caughtUp(t, primary.URL()) })
		primary.Kill()

		until(t, "a standby alone is found out", func() bool { return readOnly(ctx, store) })
		if err := submit(ctx, store, 2); revocation.ErrorCode(err) != revocation.CodeUnavailable {
			t.Errorf("on a standby: %v", err)
		}
		standby.Promote()
		primary.Start()
		until(t, "it can be written to", func() bool { return submit(ctx, store, 2) == nil })
		for _, err := range atOnce(ctx, store, 40) { // with new connections
			if err != nil {
				t.Error(err)
			}
		}
		if err := store.Ping(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Run("a session that is read-only for its life is given up", func(t *testing.T) {
		ctx := t.Context()
		url := testservers.Postgres(t)
		prepareServer(t, url)
		// Such a store uses any server.
		store, err := postgres.Open(ctx, url+"&target_session_attrs=any")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		set := func(setting string) {
			t.Helper()
			if err := execute(ctx, url, fmt.Sprintf(`BEGIN READ WRITE;
				DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I %s', current_database()); END $$; COMMIT`, setting)); err != nil {
				t.Fatal(err)
			}
		}
		set(`SET default_transaction_read_only = on`)
		for _, err := range atOnce(ctx, store, 20) {
			if revocation.ErrorCode(err) != revocation.CodeUnavailable {
				t.Errorf("read-only: %v", err)
			}
		}
		set(`RESET default_transaction_read_only`)
		until(t, "it can be written to", func() bool { return submit(ctx, store, 1) == nil })
		for _, err := range atOnce(ctx, store, 20) {
			if err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("asking whether it is ready is enough to find such sessions", func(t *testing.T) {
		ctx := t.Context()
		server := testservers.StartPostgres(t)
		prepareServer(t, server.URL())
		store, err := postgres.Open(ctx, server.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		if err := store.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		for _, now := range []string{"on", "off", "on", "off"} {
			if err := execute(ctx, server.URL(), `ALTER SYSTEM SET default_transaction_read_only = `+now); err != nil {
				t.Fatal(err)
			}
			if err := execute(ctx, server.URL(), `SELECT pg_reload_conf()`); err != nil {
				t.Fatal(err)
			}
			until(t, "it says that read-only is "+now, func() bool { return readOnly(ctx, store) == (now == "on") })
		}
		if err := errors.Join(store.Ping(ctx), submit(ctx, store, 1)); err != nil {
			t.Error(err)
		}
	})
}

// atOnce submits n invites at once, and returns the error of each.
func atOnce(ctx context.Context, store *postgres.Store, n int) []error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = submit(ctx, store, int64(i+10)) })
	}
	all.Wait()
	return errs
}

// execute runs a statement on a new connection.
func execute(ctx context.Context, url, statement string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// caughtUp reports whether the standby of a primary has replayed everything.
func caughtUp(t *testing.T, url string) (all bool) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), `
		SELECT coalesce(bool_and(replay_lsn >= pg_current_wal_lsn()), false) FROM pg_stat_replication`).Scan(&all); err != nil {
		t.Fatal(err)
	}
	return all
}
