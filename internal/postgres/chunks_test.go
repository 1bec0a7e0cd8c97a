package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// upload creates a job of acme with consecutive reports and an INVALID row, and finalizes it.
func (w *world) upload(from, to int64) revocation.Job {
	w.t.Helper()
	job := w.receive(from, to)
	sealed, err := w.store.FinalizeJob(w.t.Context(), revocation.FinalJob{NewJob: job, Total: int(to-from) + 2, Invalid: 1, JobValues: revocation.JobValues{Notify: true}})
	w.must(err)
	return sealed
}

func (w *world) receive(from, to int64) revocation.NewJob {
	w.t.Helper()
	job := revocation.NewJob{ID: revocation.JobID(uuidv7.New()), Account: "acme", Route: revocation.RouteJobs}
	_, err := w.store.BeginJob(w.t.Context(), job, time.Minute)
	w.must(err)
	for report := from; report <= to; report++ { // one by one, so that all but the first are added to an existing chunk
		w.must(w.store.AddItems(w.t.Context(), job, []revocation.Item{{Row: int(report-from) + 1, ReportID: report}}, time.Minute))
	}
	w.must(w.store.AddItems(w.t.Context(), job, []revocation.Item{{Row: int(to-from) + 2, Invalid: "no"}}, time.Minute))
	return job
}

// readAll reads the waiting items of a job with all kinds of filters.
func (w *world) readAll(job revocation.Job) {
	w.t.Helper()
	ctx := w.t.Context()
	for _, status := range []revocation.Status{"", revocation.StatusPending, revocation.StatusRevoked} {
		_, err := w.store.Results(ctx, revocation.ResultFilter{Account: "acme", Job: job.ID, Statuses: oneStatus(status), Limit: 10})
		w.must(err)
		_, err = w.store.Results(ctx, revocation.ResultFilter{Account: "acme", Job: job.ID, Statuses: oneStatus(status), After: 3, Limit: 10})
		w.must(err)
		for _, filter := range []revocation.Filter{
			{}, {JobID: job.ID}, {Before: job.ID.Item(1)}, {CreatedAfter: job.CreatedAt().Add(-time.Hour), CreatedBefore: job.CreatedAt()},
		} {
			if filter.Account, filter.Limit = "acme", 10; status != revocation.StatusRevoked || filter.JobID == job.ID {
				filter.Statuses = oneStatus(status) // reading a page of one status takes the longest
			}
			_, err = w.store.Revocations(ctx, filter)
			w.must(err)
		}
	}
	for row := 1; row < job.Total; row++ {
		r, err := w.store.Revocation(ctx, "acme", job.ID.Item(row))
		w.must(err)
		if r.Status != revocation.StatusPending || r.Job != job.ID {
			w.t.Fatalf("row %d is %+v", row, r)
		}
	}
	page, err := w.store.Revocations(ctx, revocation.Filter{Account: "acme", ReportID: w.firstReport(job), JobID: job.ID, Limit: 10})
	w.must(err)
	if len(page.Entries) != 1 {
		w.t.Fatalf("by report: %+v", page)
	}
	_, err = w.store.PendingWork(ctx)
	w.must(err)
	_, err = w.store.Backlog(ctx)
	w.must(err)
}

func (w *world) firstReport(job revocation.Job) int64 {
	w.t.Helper()
	r, err := w.store.Revocation(w.t.Context(), "acme", job.ID.Item(1))
	w.must(err)
	return r.ReportID
}

// TestStore_ChunkPlans is TestStore_Plans for statements that read chunks. They must also read no more chunks than needed.
func TestStore_ChunkPlans(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 2 s")
	}
	w := newWorld(t, 1)
	const each, rows = 10, 40 // of a job, and of four
	jobs := func(from int64) {
		t.Helper()
		for n, end := range []func(job revocation.Job){
			func(revocation.Job) {},
			func(job revocation.Job) {
				_, err := w.store.ChangeJob(t.Context(), "acme", job.ID, revocation.JobChange{Kind: revocation.ChangeCancel, By: revocation.Actor{Type: revocation.ActorService}})
				w.must(err)
			},
			func(job revocation.Job) {
				w.must(w.store.SpillChunk(t.Context(), revocation.Chunk{Account: "acme", Job: job.ID, First: 1, Last: job.Total}))
			},
		} {
			job := w.upload(from, from+each-1)
			w.readAll(job)
			end(job)
			take := w.store.CarryOutChunk
			if n == 1 {
				take = w.store.CancelChunk
			}
			c, err := take(t.Context(), "acme")
			w.must(err)
			if spilled := n == 2; !spilled && (c.Job != job.ID || c.Done.Counts.Sum() != each) {
				t.Fatalf("%+v of %+v", c, job)
			}
		}
		w.must(w.store.DropJob(t.Context(), "acme", w.receive(from, from+each-1).ID))
		for n := 1; n > 0; {
			var err error
			n, err = w.store.ClearDropped(t.Context(), 3)
			w.must(err)
		}
	}
	_, err := w.other.Exec(t.Context(), `INSERT INTO invites SELECT 'acme', n, '', '', '', now() FROM generate_series(2, 40) n`)
	w.must(err)
	jobs(2)
	_, err = w.other.Exec(t.Context(), `ANALYZE`) // discards all plans
	w.must(err)
	jobs(2 + each)
	// A job that is served after others, a job that is being received, and a job of another account.
	_, err = w.other.Exec(t.Context(), `
		ALTER TABLE chunks SET (autovacuum_enabled = false, toast.autovacuum_enabled = false);
		ALTER TABLE revocations SET (autovacuum_enabled = false);
		ALTER TABLE invites SET (autovacuum_enabled = false);
		INSERT INTO accounts (account_id) VALUES ('zenith');
		CREATE TEMPORARY TABLE large AS SELECT 'acme' AS account, '01000000-0000-7000-8000-000000000000'::uuid AS id, 'RUNNING' AS state
			UNION ALL SELECT 'acme', '01000000-0000-7000-8001-000000000000', 'RECEIVING'
			UNION ALL SELECT 'zenith', '01000000-0000-7000-8002-000000000000', 'QUEUED';
		INSERT INTO jobs (account_id, id, state, requested_by, route, total, served_at, started_at)
			SELECT account, id, state, id, 'jobs', 1000000, 'infinity', now() FROM large;
		INSERT INTO chunks SELECT account, id, n * 2500 + 1, n * 2500 + 2500,
			ARRAY (SELECT (random() * 1e15)::bigint + n + m FROM generate_series(1, 2500) m) FROM large, generate_series(0, 399) n;
		INSERT INTO invites SELECT 'acme', n, '', '', '', now() FROM generate_series(41, 100000) n;
		INSERT INTO revocations SELECT 'acme', gen_random_uuid(), n, true, NULL, gen_random_uuid() FROM generate_series(41, 100000) n;
		INSERT INTO work_items (account_id, revocation_id, report_id, single, account_scheduled, notify, next_check_at)
			SELECT account_id, id, report_id, false, true, true, now() + interval '1 day' FROM revocations WHERE report_id > 40`)
	w.must(err)
	// A connection adds to the server's counters when it ends.
	w.must(w.other.Close(t.Context()))
	w.other, err = pgx.Connect(t.Context(), w.url)
	w.must(err)
	_, err = w.other.Exec(t.Context(), `SELECT pg_stat_reset()`)
	w.must(err)
	jobs(2 + 2*each)
	w.must(w.store.Close())
	counted := w.touched(4, `
		SELECT relname, heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read FROM pg_statio_user_tables
		WHERE relname IN ('invites', 'revocations', 'chunks') AND idx_blks_hit > 0
		UNION ALL SELECT 'arrays', toast_blks_hit + toast_blks_read FROM pg_statio_user_tables
		WHERE relname = 'chunks' AND toast_blks_hit > 0`)
	for table, most := range map[string]int64{
		// For the rows as in TestStore_Plans. For the arrays, less than a statement that reads all of them would touch.
		"invites": 600 * rows, "revocations": 600 * rows, "chunks": 600 * rows, "arrays": 1000,
	} {
		if counted[table] > most {
			t.Errorf("%s: %d pages were touched, want at most %d", table, counted[table], most)
		}
	}
}

func TestStore_ChunkBesides(t *testing.T) {
	w := newWorld(t, 3)
	first := w.upload(1, 3)
	w.must(w.store.SpillChunk(t.Context(), revocation.Chunk{Account: "acme", Job: first.ID, First: 1, Last: first.Total}))
	_, err := w.store.ClaimDueItems(t.Context(), "acme", 2, []time.Duration{time.Hour})
	w.must(err)
	for _, besides := range []bool{true, false} { // the third item is claimed in between
		w.upload(1, 3)
		c, err := w.store.CarryOutChunk(t.Context(), "acme")
		w.must(err)
		if c.MoreWork != besides || c.Done.Counts.Sum() != 3 {
			t.Errorf("%+v", c)
		}
		_, err = w.store.ClaimDueItems(t.Context(), "acme", 1, []time.Duration{time.Hour})
		w.must(err)
	}
}

// oneStatus returns a filter for one status, or for all if status is empty.
func oneStatus(status revocation.Status) revocation.StatusFilter {
	if status == "" {
		return nil
	}
	return revocation.StatusFilter{status}
}
