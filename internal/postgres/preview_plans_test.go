package postgres_test

import (
	"testing"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// previewed makes a job of acme's of nine reports and, in another chunk, the first of them again, and completes its preview.
// The rows between the chunks are left out.
func (w *world) previewed(from int64) revocation.Job {
	w.t.Helper()
	ctx := w.t.Context()
	job := revocation.NewJob{ID: revocation.JobID(uuidv7.New()), Account: "acme", Route: revocation.RouteJobs}
	_, err := w.store.BeginJob(ctx, job, time.Minute)
	w.must(err)
	var items []revocation.Item
	for n := range 9 {
		items = append(items, revocation.Item{Row: n + 1, ReportID: from + int64(n)})
	}
	w.must(w.store.AddItems(ctx, job, items, time.Minute))
	_, err = w.other.Exec(ctx, `UPDATE jobs SET total = $2 WHERE account_id = 'acme' AND id = $1`, [16]byte(job.ID), revocation.ChunkSize)
	w.must(err)
	w.must(w.store.AddItems(ctx, job, []revocation.Item{{Row: revocation.ChunkSize + 1, ReportID: from}}, time.Minute))
	_, err = w.store.FinalizeJob(ctx, revocation.FinalJob{
		NewJob: job, Total: 10, JobValues: revocation.JobValues{Notify: true, Preview: true, PreviewTTL: time.Hour},
	})
	w.must(err)
	for complete := false; !complete; {
		step, err := w.store.PredictChunk(ctx, "acme")
		w.must(err)
		if complete = step.Complete; step.Job != job.ID {
			w.t.Fatalf("a step of %v, want one of %v", step.Job, job.ID)
		}
	}
	ready, err := w.store.ChangeJob(ctx, "acme", job.ID, revocation.JobChange{
		Kind: revocation.ChangePredicted, By: revocation.Actor{Type: revocation.ActorService}, PreviewTTL: time.Hour,
	})
	w.must(err)
	if p := ready.Preview.Predicted; p.Revoked != 9 || p.AlreadyRevoked != 1 {
		w.t.Fatalf("predicted %+v", p)
	}
	for _, predicted := range []revocation.Status{revocation.StatusRevoked, revocation.StatusAlreadyRevoked} {
		_, err := w.store.Results(ctx, revocation.ResultFilter{Account: "acme", Job: job.ID, Predicted: []revocation.Status{predicted}, Limit: 5})
		w.must(err)
	}
	r, err := w.store.Revocation(ctx, "acme", job.ID.Item(revocation.ChunkSize+1))
	if w.must(err); r.Predicted != revocation.StatusAlreadyRevoked {
		w.t.Fatalf("the item in the second chunk is %+v", r)
	}
	return ready
}

func (w *world) confirm(job revocation.Job) {
	w.t.Helper()
	_, err := w.store.ChangeJob(w.t.Context(), "acme", job.ID, revocation.JobChange{
		Kind: revocation.ChangeConfirm, By: revocation.ByKey(uuidv7.New()), Count: job.Preview.Predicted.Confirmable(),
	})
	w.must(err)
}

// previewedJobs previews a job and carries it out in chunks, does the same with one whose items go on by themselves, and
// cancels a third.
func (w *world) previewedJobs(from int64) {
	w.t.Helper()
	ctx := w.t.Context()
	take := func(of func(account string) (revocation.Chunk, error), job revocation.Job) {
		w.t.Helper()
		for ended := false; !ended; {
			c, err := of("acme")
			w.must(err)
			if ended = c.Ended; c.Job != job.ID {
				w.t.Fatalf("a chunk of %v, want one of %v", c.Job, job.ID)
			}
		}
	}
	inChunks := w.previewed(from)
	w.confirm(inChunks)
	take(func(account string) (revocation.Chunk, error) { return w.store.CarryOutChunk(ctx, account) }, inChunks)

	spilled := w.previewed(from + 9)
	w.confirm(spilled)
	for _, first := range []int{1, revocation.ChunkSize + 1} {
		w.must(w.store.SpillChunk(ctx, revocation.Chunk{Account: "acme", Job: spilled.ID, First: first, Last: first + 8}))
	}
	var refs []revocation.Ref
	for n := range 9 {
		refs = append(refs, revocation.Ref{Account: "acme", ID: spilled.ID.Item(n + 1)})
	}
	for _, refs := range [][]revocation.Ref{refs, {{Account: "acme", ID: spilled.ID.Item(revocation.ChunkSize + 1)}}} {
		done, err := w.store.CarryOut(ctx, refs, revocation.Decide)
		if w.must(err); len(done.Decisions) != len(refs) {
			w.t.Fatalf("%+v of %d items", done, len(refs))
		}
	}
	for _, job := range []revocation.Job{inChunks, spilled} {
		j, err := w.store.Job(ctx, "acme", job.ID)
		w.must(err)
		if want := (revocation.Counts{Revoked: 9, AlreadyRevoked: 1}); j.State != revocation.JobCompleted || j.Counts != want {
			w.t.Fatalf("ended as %+v", j)
		}
	}

	cancelled := w.previewed(from + 18)
	_, err := w.store.ChangeJob(ctx, "acme", cancelled.ID, revocation.JobChange{Kind: revocation.ChangeCancel, By: revocation.ByKey(uuidv7.New())})
	w.must(err)
	take(func(account string) (revocation.Chunk, error) { return w.store.CancelChunk(ctx, account) }, cancelled)
}

// Previews and confirmed chunks are held to the keys, and look into no chunks but their own.
func TestStore_PreviewPlans(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 2 s")
	}
	w := newWorld(t, 1)
	limit, each := 1_000_000, int64(27)
	w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme", ConfirmAbove: &limit, ApproveAbove: &limit}))
	w.elsewhere(`INSERT INTO invites SELECT 'acme', n, '', '', '', now() FROM generate_series(2, 200) n`)
	from := int64(2)
	run := func() {
		t.Helper()
		w.previewedJobs(from)
		from += each
	}
	run()
	w.elsewhere(`ANALYZE`) // has everything planned anew
	run()
	// Jobs of acme's that are served after others: one that is carried out, one that others preview, and one that waits. That of
	// another account has no predictions yet. The first two have chunks that fill the table, the others large values.
	w.elsewhere(`
		ALTER TABLE chunks SET (autovacuum_enabled = false, toast.autovacuum_enabled = false);
		ALTER TABLE jobs SET (autovacuum_enabled = false);
		ALTER TABLE revocations SET (autovacuum_enabled = false);
		ALTER TABLE invites SET (autovacuum_enabled = false);
		INSERT INTO accounts (account_id) VALUES ('zenith');
		CREATE TEMPORARY TABLE large AS SELECT 'acme' AS account, '01000000-0000-7000-8000-000000000000'::uuid AS id, 'RUNNING' AS state
			UNION ALL SELECT 'acme', '01000000-0000-7000-8001-000000000000', 'PREVIEWING'
			UNION ALL SELECT 'acme', '01000000-0000-7000-8002-000000000000', 'PREVIEWED'
			UNION ALL SELECT 'zenith', '01000000-0000-7000-8003-000000000000', 'PREVIEWING';
		INSERT INTO jobs (account_id, id, state, requested_by, route, total, preview, served_at, started_at, queued_at, expires_at)
			SELECT account, id, state, id, 'jobs', 1000000, true, 'infinity', started, started,
				CASE state WHEN 'PREVIEWED' THEN now() + interval '1 day' END
			FROM large, LATERAL (SELECT CASE state WHEN 'RUNNING' THEN now() END AS started) AS s;
		INSERT INTO jobs (account_id, id, state, requested_by, route, total, revoked, preview, queued_at, counted_at, finished_at)
			SELECT account, overlay(gen_random_uuid()::text PLACING '00000000' FROM 29)::uuid, 'COMPLETED', gen_random_uuid(), 'jobs',
				1, 1, true, now() - interval '2 days', now() - interval '2 days', now() - interval '2 days'
			FROM unnest(ARRAY['acme', 'zenith']) account, generate_series(1, 6000);
		INSERT INTO jobs (account_id, id, state, requested_by, route, total, preview)
			SELECT 'zenith', overlay(gen_random_uuid()::text PLACING '00000000' FROM 29)::uuid, 'PREVIEWING', gen_random_uuid(), 'jobs', 1, true
			FROM generate_series(1, 6000);
		INSERT INTO chunks (account_id, job_id, first_row, end_row, report_ids, predictions)
			SELECT account, id, n * 2500 + 1, n * 2500 + size, ARRAY (SELECT 1000000 + n * 2500 + m FROM generate_series(1, size) m),
				CASE account WHEN 'acme' THEN decode(repeat('04', size), 'hex') END
			FROM large, generate_series(0, 399) n, LATERAL (SELECT CASE WHEN state IN ('RUNNING', 'PREVIEWING') AND account = 'acme' THEN 150 ELSE 400 END AS size) AS s;
		INSERT INTO invites SELECT 'acme', n, '', '', '', now() FROM generate_series(201, 30000) n;
		INSERT INTO revocations SELECT 'acme', gen_random_uuid(), n, true, NULL, gen_random_uuid() FROM generate_series(201, 30000) n`)
	check := func(t *testing.T, runs int64) {
		t.Helper()
		pages := w.pages(run)
		for table, most := range map[string]int64{
			"invites": 20 * each, "revocations": 20 * each, "chunks": 25 * each, "jobs": 60 * each, "large values": 20,
		} {
			if pages[table] > runs*most {
				t.Errorf("%s: %d pages were touched in %d runs, want at most %d", table, pages[table], runs, runs*most)
			}
		}
	}
	t.Run("planned while the tables were small", func(t *testing.T) { check(t, 3) }) // the two before are counted, too
	for _, planner := range statistics {
		w.elsewhere(planner.statement)
		t.Run(planner.name, func(t *testing.T) { check(t, 1) })
	}
}
