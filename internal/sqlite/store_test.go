package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
	"rescind/internal/sqlite"
	"rescind/internal/storetest"
	"rescind/internal/uuidv7"
)

// open opens the file at path until the test ends.
func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "rescind.db") }

// openRaw opens the file like another program.
func openRaw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
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

// seed adds the account acme with n invites from first on.
func seed(t testing.TB, store *sqlite.Store, first, n int) {
	t.Helper()
	if err := store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme"}); err != nil {
		t.Fatal(err)
	}
	invites := make([]revocation.Invite, n)
	for i := range invites {
		invites[i] = revocation.Invite{ReportID: int64(first + i), CandidateEmail: "ada@acme.example", SentAt: time.Unix(1, 0)}
	}
	if err := store.UpsertInvites(t.Context(), "acme", invites); err != nil {
		t.Fatal(err)
	}
}

func request(reportID int) revocation.Submission {
	return revocation.Submission{ID: uuidv7.New(), Account: "acme", ReportID: int64(reportID), Notify: true}
}

// submit makes revocations of n invites from first on.
func submit(t testing.TB, store *sqlite.Store, first, n int) []revocation.Ref {
	t.Helper()
	flush, refs := make([]revocation.Submission, n), make([]revocation.Ref, n)
	for i := range flush {
		flush[i] = request(first + i)
		refs[i] = revocation.Ref{Account: "acme", ID: flush[i].ID}
	}
	accepted, err := store.Submit(t.Context(), flush)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accepted {
		if a.Err != nil || !a.Created {
			t.Fatalf("got %+v, want a fresh one", a)
		}
	}
	return refs
}

// begin begins the upload of a job.
func begin(t testing.TB, store *sqlite.Store) revocation.FinalJob {
	t.Helper()
	final := revocation.FinalJob{JobValues: revocation.JobValues{Notify: true}}
	final.NewJob = revocation.NewJob{ID: revocation.JobID(uuidv7.New()), Account: "acme", RequestedBy: uuidv7.New(), Route: revocation.RouteJobs}
	if _, err := store.BeginJob(t.Context(), final.NewJob, time.Hour); err != nil {
		t.Fatal(err)
	}
	return final
}

// add uploads n items, of the invites from first on.
func add(t testing.TB, store *sqlite.Store, final *revocation.FinalJob, first, n int) {
	t.Helper()
	items := make([]revocation.Item, n)
	for i := range items {
		items[i] = revocation.Item{Row: final.Total + i + 1, ReportID: int64(first + i)}
	}
	if err := store.AddItems(t.Context(), final.NewJob, items, time.Hour); err != nil {
		t.Fatal(err)
	}
	final.Total += n
}

// bulk creates a job of n invites, from first on.
func bulk(t testing.TB, store *sqlite.Store, first, n int) revocation.Job {
	t.Helper()
	final := begin(t, store)
	add(t, store, &final, first, n)
	job, err := store.FinalizeJob(t.Context(), final)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func read(t *testing.T, store *sqlite.Store, ref revocation.Ref) revocation.Revocation {
	t.Helper()
	r, err := store.Revocation(t.Context(), ref.Account, ref.ID)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantCode(t *testing.T, want revocation.Code, err error) {
	t.Helper()
	if err == nil || revocation.ErrorCode(err) != want {
		t.Errorf("got the error %v, want one of code %q", err, want)
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	// Each store gets a copy of one empty file, because migrating hundreds of files takes long.
	path := file(t)
	first, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	empty, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Run(t, func(t *testing.T) (storetest.Store, storetest.Tables) {
		path := file(t)
		if err := os.WriteFile(path, empty, 0o600); err != nil {
			t.Fatal(err)
		}
		return open(t, path), tables{path}
	})
}

func TestOpen(t *testing.T) {
	t.Run("what was accepted is there after opening the file again", func(t *testing.T) {
		path := file(t)
		first, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		seed(t, first, 1, 1)
		ref := submit(t, first, 1, 1)[0]
		want := read(t, first, ref)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, read(t, open(t, path), ref)); diff != "" {
			t.Errorf("revocation (-want +got):\n%s", diff)
		}
	})
	t.Run("what was accepted is there after a crash", func(t *testing.T) {
		path := file(t)
		store := open(t, path)
		seed(t, store, 1, 1)
		ref := submit(t, store, 1, 1)[0]
		// A killed process leaves what is on the disk while it runs.
		left := file(t)
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(left+suffix, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(read(t, store, ref), read(t, open(t, left), ref)); diff != "" {
			t.Errorf("revocation (-want +got):\n%s", diff)
		}
	})
	t.Run("several at once on a new file", func(t *testing.T) {
		openTogether(t, file(t))
	})
	t.Run("several at once on a file that has to be migrated", func(t *testing.T) {
		path := file(t)
		if err := open(t, path).Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := openRaw(t, path).ExecContext(t.Context(), `
			DROP TABLE notifications; DROP TABLE idempotency_keys; DROP TABLE work_items; DROP TABLE revocations;
			DROP TABLE invites; DROP TABLE api_keys; DROP TABLE accounts;
			DROP TABLE jobs; DROP TABLE chunks; DROP TABLE job_mail_counts; DROP TABLE mail_senders; DROP TABLE events;
			DELETE FROM goose_db_version WHERE version_id > 0`); err != nil {
			t.Fatal(err)
		}
		openTogether(t, path)
	})
	t.Run("a path with signs that mean something in a URI", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a b?mode=memory#é%20&.db")
		store := open(t, path)
		seed(t, store, 1, 1)
		submit(t, store, 1, 1)
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	})
	t.Run("a relative path", func(t *testing.T) {
		t.Chdir(t.TempDir())
		seed(t, open(t, "rescind.db"), 1, 1)
		if _, err := os.Stat("rescind.db"); err != nil {
			t.Error(err)
		}
	})
	t.Run("a directory that is not there", func(t *testing.T) {
		_, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "nowhere", "rescind.db"))
		wantCode(t, revocation.CodeUnavailable, err)
	})
	t.Run("a file of another kind", func(t *testing.T) {
		path := file(t)
		if err := os.WriteFile(path, []byte("This is a letter to my aunt, and no database at all."), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := sqlite.Open(t.Context(), path)
		wantCode(t, revocation.CodeInternal, err)
	})
}

// openTogether opens the file eight times at once, and checks that each store can be used.
func openTogether(t *testing.T, path string) {
	t.Helper()
	var opening sync.WaitGroup
	for range 8 {
		opening.Go(func() {
			store, err := sqlite.Open(t.Context(), path)
			if err == nil {
				err = errors.Join(store.Ping(t.Context()), store.Close())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	opening.Wait()
}

func TestStore_Close(t *testing.T) {
	store, err := sqlite.Open(t.Context(), file(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, revocation.CodeUnavailable, store.Ping(t.Context()))
	_, err = store.Submit(t.Context(), []revocation.Submission{request(1)})
	wantCode(t, revocation.CodeUnavailable, err)
}

func TestStore_otherProcesses(t *testing.T) {
	t.Parallel()
	t.Run("what one writes the other reads", func(t *testing.T) {
		path := file(t)
		one, other := open(t, path), open(t, path)
		seed(t, one, 1, 1)
		ref := submit(t, other, 1, 1)[0]
		if diff := cmp.Diff(read(t, one, ref), read(t, other, ref)); diff != "" {
			t.Errorf("revocation (-one +other):\n%s", diff)
		}
	})
	t.Run("a long write of another holds up writes and no reads", func(t *testing.T) {
		path := file(t)
		store := open(t, path)
		seed(t, store, 1, 2)
		ref := submit(t, store, 1, 1)[0]
		holder, err := openRaw(t, path).Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		hold := func(statement string) {
			t.Helper()
			if _, err := holder.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		hold("BEGIN IMMEDIATE")
		read(t, store, ref)
		if err := store.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err = store.Submit(short, []revocation.Submission{request(2)})
		wantCode(t, revocation.CodeUnavailable, err)
		_, err = store.Submit(t.Context(), []revocation.Submission{request(2)})
		wantCode(t, revocation.CodeLockTimeout, err)
		hold("ROLLBACK")
		if err := holder.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Submit(t.Context(), []revocation.Submission{request(2)}); err != nil {
			t.Error(err)
		}
	})
}
