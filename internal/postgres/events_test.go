package postgres_test

import (
	"context"
	"os/exec"
	"testing"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
	"rescind/internal/testservers"
	"rescind/internal/uuidv7"
)

// addKey writes one event of acme.
func (w *world) addKey(store interface {
	AddKey(ctx context.Context, key revocation.APIKey) error
},
) {
	w.t.Helper()
	id := uuidv7.New()
	w.must(store.AddKey(w.t.Context(), revocation.APIKey{ID: id, Account: "acme", Hash: revocation.HashSecret(id.String())}))
}

// Open transactions, in this database and in another one of the server, delay no event. A cursor stays valid in a database that
// was restored from a dump.
func TestStore_EventsAfterRestore(t *testing.T) {
	w := newWorld(t, 1)
	w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{ID: "zenith"}))
	defer w.hold(`UPDATE accounts SET event_number = event_number + 1 WHERE account_id = 'zenith'`)()
	restored := testservers.Postgres(t)
	elsewhere, err := pgx.Connect(t.Context(), restored)
	w.must(err)
	defer func() { _ = elsewhere.Close(context.WithoutCancel(t.Context())) }()
	forgotten, err := elsewhere.Begin(t.Context())
	w.must(err)
	_, err = forgotten.Exec(t.Context(), `CREATE TABLE forgotten (n int)`)
	w.must(err)

	filter := revocation.EventFilter{Account: "acme", Limit: 2}
	var seen []int64
	read := func(store interface {
		Events(ctx context.Context, f revocation.EventFilter) (revocation.EventPage, error)
	},
	) {
		t.Helper()
		for {
			page, err := store.Events(t.Context(), filter)
			w.must(err)
			for _, e := range page.Events {
				seen = append(seen, e.Number)
			}
			filter.After = &page.Next
			if len(page.Events) < filter.Limit {
				return
			}
		}
	}
	for range 3 {
		w.addKey(w.store)
	}
	read(w.store)
	if len(seen) != 4 { // of the account and three keys
		t.Fatalf("events %v beside open transactions", seen)
	}
	w.addKey(w.store)
	w.must(forgotten.Rollback(t.Context()))

	dump := exec.CommandContext(t.Context(), testservers.PostgresProgram(t, "pg_dump"), "--dbname="+w.url, "--format=custom")
	restore := exec.CommandContext(t.Context(), testservers.PostgresProgram(t, "pg_restore"), "--dbname="+restored, "--exit-on-error")
	restore.Stdin, err = dump.StdoutPipe()
	w.must(err)
	w.must(dump.Start())
	if out, err := restore.CombinedOutput(); err != nil {
		t.Fatalf("restore: %v: %s", err, out)
	}
	w.must(dump.Wait())
	w.addKey(w.store) // after the dump
	newest, err := w.store.Events(t.Context(), revocation.EventFilter{Account: "acme", Latest: true, Limit: 1})
	w.must(err)

	again := open(t, restored)
	if _, err := again.Events(t.Context(), revocation.EventFilter{Account: "acme", After: &newest.Next, Limit: 1}); revocation.ErrorCode(err) != revocation.CodeInvalid {
		t.Errorf("a cursor from after the dump: %v", err)
	}
	w.addKey(again)
	if _, err := again.Events(t.Context(), revocation.EventFilter{Account: "acme", After: &newest.Next, Limit: 1}); revocation.ErrorCode(err) != revocation.CodeInvalid {
		t.Errorf("a cursor whose number another event has: %v", err)
	}
	read(again)
	for i, number := range seen {
		if number != int64(i+1) {
			t.Fatalf("numbers %v", seen)
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d events before and after the restore, want 6", len(seen))
	}
}
