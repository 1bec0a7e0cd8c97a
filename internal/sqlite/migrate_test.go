package sqlite

import (
	"database/sql"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := open(path, 1, url.Values{"_journal_mode": {"WAL"}, "_foreign_keys": {"1"}, "_txlock": {"immediate"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// withNextStep returns the migrations and one more, as the next version may bring it.
func withNextStep(t *testing.T) fs.FS {
	t.Helper()
	steps, err := fs.ReadDir(files, ".")
	if err != nil {
		t.Fatal(err)
	}
	next := make(fstest.MapFS, len(steps)+1)
	for _, step := range steps {
		content, err := fs.ReadFile(files, step.Name())
		if err != nil {
			t.Fatal(err)
		}
		next[step.Name()] = &fstest.MapFile{Data: content}
	}
	next[fmt.Sprintf("%05d_next.sql", len(steps)+1)] = &fstest.MapFile{Data: []byte(`-- +goose Up
ALTER TABLE revocations ADD COLUMN tomorrow INTEGER NOT NULL DEFAULT 0;
`)}
	return next
}

func TestMigrate(t *testing.T) {
	t.Run("a step of the next version loses nothing, and this version still works", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "rescind.db")
		submit := func(report int64) revocation.Revocation {
			t.Helper()
			store, err := Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close() //nolint:errcheck // not what is tested
			name := "Acme"
			if err := store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme", Name: &name}); err != nil {
				t.Fatal(err)
			}
			if err := store.UpsertInvites(t.Context(), "acme", []revocation.Invite{{ReportID: report, SentAt: time.Now()}}); err != nil {
				t.Fatal(err)
			}
			accepted, err := store.Submit(t.Context(), []revocation.Submission{{ID: uuidv7.New(), Account: "acme", ReportID: report}})
			if err != nil || accepted[0].Err != nil {
				t.Fatal(err, accepted)
			}
			r, err := store.Revocation(t.Context(), "acme", accepted[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		before := submit(1)
		if err := migrate(t.Context(), openFile(t, path), withNextStep(t)); err != nil {
			t.Fatal(err)
		}
		submit(2)
		if diff := cmp.Diff(before, submit(1)); diff != "" { // it joins what is under way
			t.Errorf("(-before +after):\n%s", diff)
		}
	})
	t.Run("down and up again", func(t *testing.T) {
		db := openFile(t, filepath.Join(t.TempDir(), "rescind.db"))
		provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := provider.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := provider.DownTo(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_schema
			WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'goose_db_version'`).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d tables are left: %v", left, err)
		}
		if _, err := provider.Up(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
