package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/testservers"
)

// maxWait bounds the wait for what must happen.
const maxWait = 30 * time.Second

func TestMigrate(t *testing.T) {
	t.Run("with a table in use, it gives way to others and continues when the table is free", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes 4 s")
		}
		url := migrated(t)
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
			steps, err := migrate(t.Context(), url, withNextStep(t))
			migrated <- result{steps, err}
		}()
		for range 2 { // it tries more than once
			for waiting, until := false, time.Now().Add(maxWait); !waiting; {
				must(t, others.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks
					WHERE relation = 'revocations'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted)`).Scan(&waiting))
				if time.Now().After(until) {
					t.Fatal("it never waited for the table")
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), maxWait)
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
		if r := <-migrated; r.err != nil || r.steps != 1 {
			t.Errorf("%+v", r)
		}
		var kept int
		must(t, others.QueryRow(t.Context(), `SELECT count(*) FROM revocations WHERE job_id IS NULL`).Scan(&kept))
		if kept != 2 {
			t.Errorf("%d rows of the version before", kept)
		}
	})
	t.Run("a process does not start without tables, or on those of the version before", func(t *testing.T) {
		url := testservers.Postgres(t)
		if err := open(t, url).CheckSchema(t.Context()); !errors.Is(err, ErrNotMigrated) {
			t.Errorf("no tables: %v", err)
		}
		_, err := Migrate(t.Context(), url)
		must(t, err)
		_, err = connect(t, url).Exec(t.Context(), `DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`)
		must(t, err)
		if err := open(t, url).CheckSchema(t.Context()); !errors.Is(err, ErrNotMigrated) {
			t.Errorf("a step is missing: %v", err)
		}
	})
	t.Run("a process starts on tables that are ahead", func(t *testing.T) {
		url := testservers.Postgres(t)
		_, err := migrate(t.Context(), url, withNextStep(t))
		must(t, err)
		must(t, open(t, url).CheckSchema(t.Context()))
		if steps, err := Migrate(t.Context(), url); err != nil || steps != 0 {
			t.Errorf("another migration: %d steps, %v", steps, err)
		}
	})
	t.Run("down and up again", func(t *testing.T) {
		url := migrated(t)
		db, provider, err := migrations(url, files)
		must(t, err)
		_, err = provider.DownTo(t.Context(), 0)
		must(t, errors.Join(err, db.Close()))
		var left int
		must(t, connect(t, url).QueryRow(t.Context(), `SELECT count(*) FROM pg_tables
			WHERE schemaname = 'public' AND tablename <> 'goose_db_version'`).Scan(&left))
		if left != 0 {
			t.Errorf("%d tables are left", left)
		}
		_, err = Migrate(t.Context(), url)
		must(t, err)
	})
}

// migrated returns the URL of a new database with the tables of this version.
func migrated(t *testing.T) string {
	t.Helper()
	return testservers.PostgresWith(t, Migrate)
}

// withNextStep returns the migrations and one more, as the next version may bring it.
func withNextStep(t *testing.T) fs.FS {
	t.Helper()
	steps, err := fs.ReadDir(files, ".")
	must(t, err)
	next := make(fstest.MapFS, len(steps)+1)
	for _, step := range steps {
		content, err := fs.ReadFile(files, step.Name())
		must(t, err)
		next[step.Name()] = &fstest.MapFile{Data: content}
	}
	next[fmt.Sprintf("%05d_next.sql", len(steps)+1)] = &fstest.MapFile{Data: []byte(`-- +goose Up
ALTER TABLE revocations ADD COLUMN tomorrow integer NOT NULL DEFAULT 0;
`)}
	return next
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
