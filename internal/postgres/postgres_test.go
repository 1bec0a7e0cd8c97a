package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/postgres"
	"rescind/internal/revocation"
	"rescind/internal/storetest"
	"rescind/internal/testservers"
	"rescind/internal/uuidv7"
)

func TestMain(m *testing.M) { testservers.Main(m) }

func open(t *testing.T, url string) *postgres.Store {
	t.Helper()
	if _, err := postgres.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	return openMigrated(t, url)
}

func openMigrated(t *testing.T, url string) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (storetest.Store, storetest.Tables) {
		url := testservers.PostgresWith(t, postgres.Migrate)
		return openMigrated(t, url), tables{url}
	})
}

// world is a store with an account that has pending revocations, and another connection to its database.
type world struct {
	t     *testing.T
	url   string
	store *postgres.Store
	other *pgx.Conn
	refs  []revocation.Ref
}

func newWorld(t *testing.T, invites int) *world {
	t.Helper()
	w := &world{t: t, url: testservers.PostgresWith(t, postgres.Migrate)}
	w.store = openMigrated(t, w.url)
	var err error
	if w.other, err = pgx.Connect(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.other.Close(context.WithoutCancel(t.Context())) })
	w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme"}))
	all, flush := make([]revocation.Invite, invites), make([]revocation.Submission, invites)
	for i := range all {
		all[i] = revocation.Invite{ReportID: int64(i + 1), CandidateEmail: "ada@example.com", SentAt: time.Now()}
		flush[i] = revocation.Submission{ID: uuidv7.New(), Account: "acme", ReportID: int64(i + 1), RequestedBy: uuidv7.New()}
		w.refs = append(w.refs, revocation.Ref{Account: "acme", ID: flush[i].ID})
	}
	w.must(w.store.UpsertInvites(t.Context(), "acme", all))
	_, err = w.store.Submit(t.Context(), flush)
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) status(ref revocation.Ref) revocation.Status {
	w.t.Helper()
	r, err := w.store.Revocation(w.t.Context(), ref.Account, ref.ID)
	w.must(err)
	return r.Status
}

// hold runs statements in a transaction of the other connection, and leaves it open until release.
func (w *world) hold(statements ...string) (release func()) {
	w.t.Helper()
	tx, err := w.other.Begin(w.t.Context())
	w.must(err)
	for _, statement := range statements {
		_, err := tx.Exec(w.t.Context(), statement)
		w.must(err)
	}
	return func() { w.must(tx.Rollback(w.t.Context())) }
}

func TestStore_Contention(t *testing.T) {
	t.Run("an invite that another transaction holds does not hold up the others", func(t *testing.T) {
		w := newWorld(t, 5)
		release := w.hold(`SELECT FROM invites WHERE report_id = 3 FOR UPDATE`)
		began := time.Now()
		done, err := w.store.CarryOut(t.Context(), w.refs, revocation.Decide)
		w.must(err)
		if waited := time.Since(began); waited > 900*time.Millisecond {
			t.Logf("it took %s, which may have been a wait for the lock", waited)
		}
		for _, d := range done.Decisions {
			if held := d.ReportID == 3; held != (d.Kind == revocation.Postpone) || held == d.HasStatus() {
				t.Errorf("report %d: %+v", d.ReportID, d)
			}
		}
		r, err := w.store.Revocation(t.Context(), "acme", w.refs[2].ID)
		w.must(err)
		if r.Status != revocation.StatusPending || r.Attempts != 0 {
			t.Errorf("contention was counted as an attempt: %+v", r)
		}
		release()
		var due []revocation.DueAttempt
		for deadline := time.Now().Add(30 * time.Second); len(due) == 0 && time.Now().Before(deadline); {
			due, err = w.store.ClaimDue(t.Context(), 10, []time.Duration{time.Minute})
			w.must(err)
		}
		if len(due) != 1 || due[0].Ref != w.refs[2] {
			t.Fatalf("due: %+v", due)
		}
		_, err = w.store.CarryOut(t.Context(), w.refs, revocation.Decide)
		w.must(err)
		if got := w.status(w.refs[2]); got != revocation.StatusRevoked {
			t.Errorf("released, it is %s", got)
		}
	})
	t.Run("what another transaction holds is passed over by the rule, and left as it is", func(t *testing.T) {
		w := newWorld(t, 5)
		release := w.hold(`SELECT FROM invites WHERE report_id = 3 FOR UPDATE`, `SELECT FROM work_items WHERE report_id = 4 FOR UPDATE`)
		done, err := w.store.RevokeFast(t.Context(), w.refs)
		w.must(err)
		release()
		if len(done.Decisions) != 3 {
			t.Errorf("decided: %+v", done.Decisions)
		}
		for i, want := range []revocation.Status{"REVOKED", "REVOKED", "PENDING", "PENDING", "REVOKED"} {
			if got := w.status(w.refs[i]); got != want {
				t.Errorf("report %d is %s, want %s", i+1, got, want)
			}
		}
	})
	t.Run("a work item that another transaction holds is busy", func(t *testing.T) {
		w := newWorld(t, 3)
		release := w.hold(`SELECT FROM work_items WHERE report_id = 2 FOR UPDATE`)
		done, err := w.store.CarryOut(t.Context(), w.refs, revocation.Decide)
		w.must(err)
		if len(done.Decisions) != 2 || len(done.Locked) != 1 || done.Locked[0] != w.refs[1] {
			t.Errorf("done: %+v", done)
		}
		release()
	})
	t.Run("a table that is locked is a lock timeout, for which the rows are not lost", func(t *testing.T) {
		w := newWorld(t, 2)
		release := w.hold(`LOCK TABLE invites IN ACCESS EXCLUSIVE MODE`)
		_, err := w.store.CarryOut(t.Context(), w.refs, revocation.Decide)
		if revocation.ErrorCode(err) != revocation.CodeLockTimeout {
			t.Errorf("error %v", err)
		}
		policy := revocation.RetryPolicy{Base: time.Second, Max: time.Second, MaxAttempts: 2}
		done, err := w.store.RecordOutcomes(t.Context(), w.refs, func(held []revocation.LockedRevocation) []revocation.Decision {
			return revocation.DecideFailed(held, revocation.Failure{Code: revocation.CodeLockTimeout, Detail: "held"}, policy)
		})
		w.must(err)
		if len(done.Decisions) != 2 || w.status(w.refs[0]) != revocation.StatusErrorRevoking {
			t.Errorf("recorded %+v", done)
		}
		release()
	})
	t.Run("a deadlock is told as one", func(t *testing.T) {
		w := newWorld(t, 1)
		w.raise("invites", "40P01")
		_, err := w.store.CarryOut(t.Context(), w.refs, revocation.Decide)
		if revocation.ErrorCode(err) != revocation.CodeDeadlock {
			t.Errorf("error %v", err)
		}
	})
}

// raise makes every change to a table fail with an SQLSTATE.
func (w *world) raise(table, state string) {
	w.t.Helper()
	for _, statement := range []string{
		fmt.Sprintf(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN RAISE EXCEPTION 'failed on purpose' USING ERRCODE = '%s'; END $$`, state),
		fmt.Sprintf(`CREATE TRIGGER fail BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION fail()`, table),
	} {
		_, err := w.other.Exec(w.t.Context(), statement)
		w.must(err)
	}
}

func TestStore_Faults(t *testing.T) {
	terminate := func(w *world) {
		_, err := w.other.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		w.must(err)
	}
	t.Run("a connection that is cut under a transaction is told, and nothing of it stays", func(t *testing.T) {
		w := newWorld(t, 2)
		_, err := w.store.CarryOut(t.Context(), w.refs, func(held []revocation.LockedRevocation) []revocation.Decision {
			terminate(w)
			return revocation.Decide(held)
		})
		if revocation.ErrorCode(err) != revocation.CodeConnectionLost {
			t.Errorf("error %v", err)
		}
		if got := w.status(w.refs[0]); got != revocation.StatusPending {
			t.Errorf("it is %s", got)
		}
		_, err = w.store.CarryOut(t.Context(), w.refs, revocation.Decide)
		w.must(err)
	})
	t.Run("a server that is not there makes the store unavailable, and so do missing tables", func(t *testing.T) {
		store, err := postgres.Open(t.Context(), fmt.Sprintf("postgres://nobody:secret@127.0.0.1:%d/none", testservers.FreePort(t)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		if err := store.Ping(t.Context()); revocation.ErrorCode(err) != revocation.CodeUnavailable {
			t.Errorf("no server: %v", err)
		}
		empty, err := postgres.Open(t.Context(), testservers.Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = empty.Close() }()
		if err := empty.Ping(t.Context()); revocation.ErrorCode(err) != revocation.CodeUnavailable {
			t.Errorf("no tables: %v", err)
		}
		if err := empty.CheckSchema(t.Context()); !errors.Is(err, postgres.ErrNotMigrated) {
			t.Errorf("no tables: %v", err)
		}
	})
	t.Run("several migrations at once take turns", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes 10 s")
		}
		url := testservers.Postgres(t)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if _, err := postgres.Migrate(t.Context(), url); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		store := open(t, url)
		if err := store.CheckSchema(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// waitingJobs runs the statements about jobs that wait, in an account with limits.
func waitingJobs(t *testing.T, w *world) {
	limit, none := 1_000_000, -1
	w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme", ConfirmAbove: &limit, ApproveAbove: &limit}))
	for _, kind := range []revocation.JobChangeKind{revocation.ChangeStart, revocation.ChangeCancel} {
		held := revocation.NewJob{ID: revocation.JobID(uuidv7.New()), Account: "acme", Route: revocation.RouteJobs}
		_, err := w.store.BeginJob(t.Context(), held, time.Minute)
		w.must(err)
		w.must(w.store.AddItems(t.Context(), held, []revocation.Item{{Row: 1, ReportID: 1}}, time.Minute))
		_, err = w.store.FinalizeJob(t.Context(), revocation.FinalJob{
			NewJob: held, Total: 1, JobValues: revocation.JobValues{NotBefore: time.Now().Add(time.Hour)},
		})
		w.must(err)
		_, err = w.store.ChangeJob(t.Context(), "acme", held.ID, revocation.JobChange{Kind: kind, By: revocation.ByKey(uuidv7.New())})
		w.must(err)
		_, err = w.store.Jobs(t.Context(), revocation.JobFilter{Account: "acme", Limit: 10, Scan: 10, States: []revocation.JobState{revocation.JobScheduled}})
		w.must(err)
		// The rest of the test must not find the job.
		_, err = w.store.ChangeJob(t.Context(), "acme", held.ID, revocation.JobChange{Kind: revocation.ChangeCancel, By: revocation.ByKey(uuidv7.New())})
		w.must(err)
		_, err = w.store.CancelChunk(t.Context(), "acme")
		w.must(err)
	}
	_, err := w.store.PendingWork(t.Context())
	w.must(err)
	_, err = w.store.ClearDropped(t.Context(), 10)
	w.must(err)
	w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme", ConfirmAbove: &none, ApproveAbove: &none}))
}

// TestStore_Plans plans statements while the tables are empty, and runs them with the same plans when the tables are large.
// They must use the keys, and so touch only a few pages for each row.
func TestStore_Plans(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 4 s")
	}
	w := newWorld(t, 1)
	all := func(from, to int64) {
		flush, refs := []revocation.Submission{}, []revocation.Ref{}
		for report := from; report <= to; report++ {
			s := revocation.Submission{ID: uuidv7.New(), Account: "acme", ReportID: report, Notify: true, IdempotencyKey: fmt.Sprint(report)}
			flush, refs = append(flush, s), append(refs, revocation.Ref{Account: "acme", ID: s.ID})
		}
		_, err := w.store.Submit(t.Context(), flush)
		w.must(err)
		policy := revocation.RetryPolicy{MaxAttempts: 9}
		_, err = w.store.RecordOutcomes(t.Context(), refs, func(held []revocation.LockedRevocation) []revocation.Decision {
			return revocation.DecideFailed(held, revocation.Failure{Code: revocation.CodeDeadlock}, policy)
		})
		w.must(err)
		due, err := w.store.ClaimDue(t.Context(), len(refs), []time.Duration{time.Minute})
		w.must(err)
		for i, d := range due {
			refs[i] = d.Ref
		}
		half := len(refs) / 2
		ruled, err := w.store.RevokeFast(t.Context(), refs[:half])
		w.must(err)
		done, err := w.store.CarryOut(t.Context(), refs[half:], revocation.Decide)
		w.must(err)
		if len(due) != len(refs) || len(ruled.Decisions)+len(done.Decisions) != len(refs) {
			t.Fatalf("%d due and %d+%d carried out of %d", len(due), len(ruled.Decisions), len(done.Decisions), len(refs))
		}
		w.must(w.store.Release(t.Context(), due, 0)) // their rows do not exist any more
		for _, s := range flush {
			got, err := w.store.Revocation(t.Context(), "acme", s.ID)
			w.must(err)
			page, err := w.store.Revocations(t.Context(), revocation.Filter{Account: "acme", ReportID: s.ReportID, Limit: 3})
			w.must(err)
			if len(page.Entries) == 0 || page.Entries[0].ID != got.ID {
				t.Fatalf("report %d: %v", s.ReportID, page)
			}
		}
		notifications := make([]revocation.NotificationRef, len(refs))
		for i, ref := range refs {
			notifications[i] = revocation.NotificationRef{Account: ref.Account, Revocation: ref.ID}
		}
		emails, err := w.store.ClaimNotifications(t.Context(), "sender", notifications, time.Minute)
		w.must(err)
		for _, email := range emails {
			_, err := w.store.CommitNotification(t.Context(), email, time.Minute)
			w.must(err)
			w.must(w.store.SettleNotification(t.Context(), email, revocation.Settlement{Status: revocation.NotificationSent}))
		}
		_, _, err = w.store.ClaimDueNotifications(t.Context(), 10, []time.Duration{time.Minute})
		w.must(err)
	}
	// A job of the same reports, whose items get work items. TestStore_ChunkPlans carries out chunks.
	job := func(from, to int64) {
		fresh := revocation.NewJob{ID: revocation.JobID(uuidv7.New()), Account: "acme", Route: revocation.RouteJobs}
		_, err := w.store.BeginJob(t.Context(), fresh, time.Minute)
		w.must(err)
		items := []revocation.Item{}
		for report := from; report <= to; report++ {
			items = append(items, revocation.Item{Row: len(items) + 1, ReportID: report})
		}
		w.must(w.store.AddItems(t.Context(), fresh, items, time.Minute))
		sealed, err := w.store.FinalizeJob(t.Context(), revocation.FinalJob{NewJob: fresh, Total: len(items), JobValues: revocation.JobValues{Notify: true}})
		w.must(err)
		pending, err := w.store.PendingWork(t.Context())
		w.must(err)
		if len(pending.AccountTasks) == 0 {
			t.Fatal("no work for a job")
		}
		w.must(w.store.SpillChunk(t.Context(), revocation.Chunk{Account: "acme", Job: fresh.ID, First: 1, Last: len(items)}))
		due, err := w.store.ClaimDueItems(t.Context(), "acme", len(items), []time.Duration{time.Minute})
		w.must(err)
		refs := make([]revocation.Ref, len(due))
		for i, d := range due {
			refs[i] = d.Ref
		}
		done, err := w.store.CarryOut(t.Context(), refs, revocation.Decide)
		w.must(err)
		if len(done.Ended) != 1 || done.Ended[0] != sealed.ID {
			t.Fatalf("%d of %d items: %v ended", len(done.Decisions), len(items), done.Ended)
		}
		_, err = w.store.CarryOutChunk(t.Context(), "acme")
		w.must(err)
		_, err = w.store.Results(t.Context(), revocation.ResultFilter{Account: "acme", Job: fresh.ID, Limit: 100})
		w.must(err)
		_, _, err = w.store.ClaimJobNotifications(t.Context(), "sender", "acme", 10, time.Minute)
		w.must(err)
		retry := revocation.NewJob{
			ID: revocation.JobID(uuidv7.New()), Account: "acme", RetryOf: fresh.ID, Route: revocation.RouteRetry, IdempotencyKey: fmt.Sprint(from),
		}
		_, err = w.store.BeginJob(t.Context(), retry, time.Minute)
		w.must(err)
		w.must(w.store.RenewUpload(t.Context(), retry, 0))
		_, err = w.store.BoundJob(t.Context(), retry)
		w.must(err)
		waitingJobs(t, w)
	}
	_, err := w.store.CarryOut(t.Context(), w.refs, revocation.Decide)
	w.must(err)
	_, err = w.other.Exec(t.Context(), `INSERT INTO invites SELECT 'acme', n, '', '', '', now() FROM generate_series(2, 40) n`)
	w.must(err)
	all(2, 20)
	job(2, 20)
	_, err = w.other.Exec(t.Context(), `ANALYZE`) // discards all plans
	w.must(err)
	all(21, 30)
	job(21, 30)
	_, err = w.other.Exec(t.Context(), `
		ALTER TABLE invites SET (autovacuum_enabled = false);
		ALTER TABLE revocations SET (autovacuum_enabled = false);
		ALTER TABLE work_items SET (autovacuum_enabled = false);
		ALTER TABLE notifications SET (autovacuum_enabled = false);
		ALTER TABLE idempotency_keys SET (autovacuum_enabled = false);
		ALTER TABLE jobs SET (autovacuum_enabled = false);
		INSERT INTO accounts (account_id, name, contact) VALUES ('other', '', '');
		INSERT INTO jobs (account_id, id, state, requested_by, route, total, revoked, queued_at, counted_at, finished_at)
			SELECT 'acme', overlay(gen_random_uuid()::text PLACING '00000000' FROM 29)::uuid, 'COMPLETED', gen_random_uuid(), 'jobs',
				1, 1, now() - interval '2 days', now() - interval '2 days', now() - interval '2 days'
			FROM generate_series(1, 50000);
		INSERT INTO jobs (account_id, id, state, requested_by, route, total, due_at, counted_at)
			SELECT 'other', overlay(gen_random_uuid()::text PLACING '00000000' FROM 29)::uuid, 'SCHEDULED', gen_random_uuid(), 'jobs',
				1, now() + interval '1 day', now()
			FROM generate_series(1, 50000);
		INSERT INTO jobs (account_id, id, state, requested_by, route, total, expires_at, preview)
			SELECT 'other', overlay(gen_random_uuid()::text PLACING '00000000' FROM 29)::uuid, 'PREVIEWED', gen_random_uuid(), 'jobs',
				1, now() + interval '1 day', true
			FROM generate_series(1, 50000);
		INSERT INTO invites SELECT 'acme', n, '', '', '', now() FROM generate_series(41, 100000) n;
		INSERT INTO revocations SELECT 'acme', gen_random_uuid(), n, true, NULL, gen_random_uuid() FROM generate_series(41, 100000) n;
		INSERT INTO work_items (account_id, revocation_id, report_id, single, notify, requested_by, next_check_at)
			SELECT account_id, gen_random_uuid(), report_id, true, true, id, now() + interval '1 day' FROM revocations WHERE report_id > 40;
		INSERT INTO notifications (account_id, revocation_id, report_id, next_check_at)
			SELECT account_id, id, report_id, now() + interval '1 day' FROM revocations WHERE report_id > 40;
		INSERT INTO idempotency_keys SELECT 'acme', 'revoke', n, sha256(''), gen_random_uuid() FROM generate_series(41, 100000) n`)
	w.must(err)
	// A connection adds to the server's counters when it ends.
	w.must(w.other.Close(t.Context()))
	w.other, err = pgx.Connect(t.Context(), w.url)
	w.must(err)
	_, err = w.other.Exec(t.Context(), `SELECT pg_stat_reset()`)
	w.must(err)
	all(31, 40)
	job(31, 40)
	w.must(w.store.Close())
	for table, blocks := range w.touched(6, `
		SELECT relname, heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read FROM pg_statio_user_tables
		WHERE relname IN ('invites', 'revocations', 'work_items', 'notifications', 'idempotency_keys', 'jobs') AND idx_blks_hit > 0`) {
		if perRow := blocks / 10; perRow > 600 { // reading the whole table once would touch many times as many
			t.Errorf("%s: %d pages were touched for each of 10 rows among 100,000", table, perRow)
		}
	}
}

// touched returns how many pages of each of n tables the server has counted. It counts those of a connection when that ends.
func (w *world) touched(n int, query string) map[string]int64 {
	w.t.Helper()
	pages := make(map[string]int64)
	for until := time.Now().Add(30 * time.Second); len(pages) < n && time.Now().Before(until); {
		rows, err := w.other.Query(w.t.Context(), query)
		w.must(err)
		var table string
		var blocks int64
		_, err = pgx.ForEachRow(rows, []any{&table, &blocks}, func() error { pages[table] = blocks; return nil })
		w.must(err)
	}
	if len(pages) != n {
		w.t.Fatalf("counters of %v alone", pages)
	}
	return pages
}
