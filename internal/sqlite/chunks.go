package sqlite

import (
	"context"
	"database/sql"
	"time"

	"rescind/internal/revocation"
)

// CarryOutChunk implements revocation.BulkStore. No item is contended in SQLite. Items get work items only if their account is
// on an upstream, or if they are duplicates of an item that is not final.
func (s *Store) CarryOutChunk(ctx context.Context, account string) (revocation.Chunk, error) {
	return s.takeChunk(ctx, "carry out chunk", account, false, func(tx *sql.Tx, now time.Time, next takenChunk) (done revocation.JobCount, spilled int, err error) {
		if next.upstream && !next.previewed {
			spilled, err = spillChunk(ctx, tx, now, next.Chunk)
			return next.Done, spilled, err
		}
		return decideChunk(ctx, tx, now, next)
	})
}

// CancelChunk implements revocation.BulkStore.
func (s *Store) CancelChunk(ctx context.Context, account string) (revocation.Chunk, error) {
	return s.takeChunk(ctx, "cancel chunk", account, true, func(tx *sql.Tx, now time.Time, next takenChunk) (done revocation.JobCount, spilled int, err error) {
		done = next.Done
		done.Counts.Cancelled, err = cancelChunk(ctx, tx, now, next.Chunk)
		return done, 0, err
	})
}

// takeChunk calls write for a chunk, deletes the chunk, and updates the job's counters. The job's state is CANCELLING if
// cancelling is true, and QUEUED or RUNNING if it is false.
func (s *Store) takeChunk(
	ctx context.Context, doing, account string, cancelling bool,
	write func(tx *sql.Tx, now time.Time, next takenChunk) (done revocation.JobCount, spilled int, err error),
) (revocation.Chunk, error) {
	var chunk revocation.Chunk
	err := s.write(ctx, doing, func(tx *sql.Tx, now time.Time) error {
		found, err := query(ctx, tx, scanNextChunk, nextChunk, account, cancelling)
		if err != nil || len(found) == 0 {
			return err
		}
		next := found[0]
		chunk = next.Chunk
		next.Done = revocation.JobCount{Account: account, Job: chunk.Job}
		done, spilled, err := write(tx, now, next)
		if err != nil {
			return err
		}
		if err := deleteChunk(ctx, tx, chunk); err != nil {
			return err
		}
		ended, err := addCounts(ctx, tx, now, []revocation.JobCount{done})
		if err != nil {
			return err
		}
		chunk.Done, chunk.Spilled, chunk.Ended = done, spilled, len(ended) > 0
		chunk.MoreWork = true // the caller finds out, which is cheap
		return nil
	})
	if err != nil {
		chunk.Done, chunk.Spilled, chunk.Ended, chunk.MoreWork = revocation.JobCount{}, 0, false, false
	}
	return chunk, err
}

// nextChunk reads the first chunk of the job that was served longest ago, or not yet. It reads one chunk of each job.
const nextChunk = `
	SELECT c.account_id, c.job_id, c.first_row, c.end_row, c.predicted, coalesce(c.predicted_timestamp, ''), a.upstream_url IS NOT NULL, a.plan_changed_at, a.spare_started
	FROM jobs AS j INDEXED BY jobs_active
	CROSS JOIN chunks AS c ON c.account_id = j.account_id AND c.job_id = j.id AND c.first_row = (
		SELECT min(first_row) FROM chunks WHERE account_id = j.account_id AND job_id = j.id)
	CROSS JOIN accounts AS a ON a.account_id = j.account_id
	WHERE j.account_id = ?1 AND j.state IN ` + activeStates + ` AND (j.state = 'CANCELLING') = ?2
	ORDER BY j.served_at, j.id LIMIT 1`

// takenChunk is a chunk with the facts on which the outcomes of its items depend.
type takenChunk struct {
	revocation.Chunk
	upstream bool
	facts    revocation.AccountState
	// previewed reports whether the items have predictions. predictedTimestamp is the timestamp of those predicted
	// NOT_ALLOWED.
	previewed          bool
	predictedTimestamp string
}

func scanNextChunk(rows *sql.Rows) (c takenChunk, err error) {
	var planChangedAt sql.Null[int64]
	err = rows.Scan(&c.Account, scannedID{&c.Job}, &c.First, &c.Last, &c.previewed, &c.predictedTimestamp, &c.upstream, &planChangedAt, &c.facts.SpareStarted)
	c.facts.PlanChangedAt = moment(planChangedAt)
	return c, err
}

// itemsOf returns the parameters for a chunk: account, job, and the ids of its first and last item.
func itemsOf(chunk revocation.Chunk) []any {
	return []any{
		sql.Named("account", chunk.Account), sql.Named("job", chunk.Job.String()),
		sql.Named("first", chunk.Job.Item(chunk.First).String()), sql.Named("last", chunk.Job.Item(chunk.Last).String()),
	}
}

func deleteChunk(ctx context.Context, tx *sql.Tx, chunk revocation.Chunk) error {
	return exec(ctx, tx, `
		DELETE FROM chunks WHERE account_id = ?1 AND job_id = ?2 AND first_row = ?3`,
		chunk.Account, chunk.Job.String(), chunk.First)
}

// cancelChunk makes the items of a chunk CANCELLED, without an attempt.
func cancelChunk(ctx context.Context, tx *sql.Tx, now time.Time, chunk revocation.Chunk) (cancelled int, err error) {
	changed, err := change(ctx, tx, `
		UPDATE revocations SET status = 'CANCELLED', completed_at = :now
		WHERE account_id = :account AND id BETWEEN :first AND :last AND status = 'PENDING'`,
		append(itemsOf(chunk), sql.Named("now", micros(now)))...)
	return int(changed), err
}

// pendingOfChunk reads the items r of a chunk of job j that are not INVALID.
const pendingOfChunk = `
	FROM jobs AS j
	CROSS JOIN revocations AS r
	  ON r.account_id = j.account_id AND r.id BETWEEN :first AND :last AND r.status = 'PENDING'
	WHERE j.account_id = :account AND j.id = :job`
