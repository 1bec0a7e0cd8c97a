package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/testservers"
)

// patience is for what would otherwise never come.
const patience = 30 * time.Second

func TestMigrate(t *testing.T) {
	t.Run("with a table in use, it gives way to others and goes on when the table is free", func(t *testing.T) {
		url := firstVersion(t)
		report, others := connect(t, url), connect(t, url)
		reading, err := report.Begin(t.Context())
		must(t, err)
		_, err = reading.Exec(t.Context(), `SELECT count(*) FROM revocations`)
		must(t, err)

		type result struct {
			steps int
			err   error
		}
		migrated := make(chan result, 1)
		go func() {
			steps, err := Migrate(t.Context(), url)
			migrated <- result{steps, err}
		}()
		for range 2 { // it tries more than once
			for waiting, until := false, time.Now().Add(patience); !waiting; {
				must(t, others.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks
					WHERE relation = 'revocations'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted)`).Scan(&waiting))
				if time.Now().After(until) {
					t.Fatal("it never waited for the table")
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			_, err = others.Exec(ctx, `INSERT INTO revocations (account_id, id, report_id, notify, requested_by)
				VALUES ('acme', gen_random_uuid(), 1, false, gen_random_uuid())`)
			cancel()
			if err != nil {
				t.Fatalf("a process of the version before: %v", err)
			}
		}
		select {
		case r := <-migrated:
			t.Fatalf("it went on beside a reader: %+v", r)
		default:
		}
		must(t, reading.Rollback(t.Context()))
		if r := <-migrated; r.err != nil || r.steps == 0 {
			t.Errorf("%+v", r)
		}
		var kept int
		must(t, others.QueryRow(t.Context(), `SELECT count(*) FROM revocations WHERE job_id IS NULL`).Scan(&kept))
		if kept != 2 {
			t.Errorf("%d rows of the version before", kept)
		}
	})
	t.Run("on tables of the version before a process does not start", func(t *testing.T) {
		if err := open(t, firstVersion(t)).CheckSchema(t.Context()); !errors.Is(err, ErrNotMigrated) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("on tables that are ahead it starts", func(t *testing.T) {
		url := firstVersion(t)
		_, err := Migrate(t.Context(), url)
		must(t, err)
		_, err = connect(t, url).Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
		must(t, err)
		must(t, open(t, url).CheckSchema(t.Context()))
		if steps, err := Migrate(t.Context(), url); err != nil || steps != 0 {
			t.Errorf("another migration: %d steps, %v", steps, err)
		}
	})
}

// firstVersion makes a database with the tables of the first version.
func firstVersion(t *testing.T) (url string) {
	t.Helper()
	url = testservers.Postgres(t)
	db, provider, err := migrations(url)
	must(t, err)
	_, err = provider.UpTo(t.Context(), 1)
	must(t, errors.Join(err, db.Close()))
	return url
}

func open(t *testing.T, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
