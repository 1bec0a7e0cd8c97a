package sqlite

import (
	"context"
	"database/sql"
	"time"

	"rescind/internal/revocation"
)

// SpillChunk implements revocation.BulkStore.
func (s *Store) SpillChunk(ctx context.Context, chunk revocation.Chunk) error {
	return s.write(ctx, "spill chunk", func(tx *sql.Tx, now time.Time) error {
		scan := func(rows *sql.Rows) (taken takenChunk, err error) {
			// As on an upstream, no item is revoked at once: items that were predicted REVOKED get work items.
			taken.Chunk, taken.upstream = chunk, true
			return taken, rows.Scan(&taken.previewed, &taken.predictedTimestamp)
		}
		found, err := query(ctx, tx, scan, `
			SELECT predicted, coalesce(predicted_timestamp, '') FROM chunks
			WHERE account_id = ?1 AND job_id = ?2 AND first_row = ?3`, chunk.Account, chunk.Job.String(), chunk.First)
		if err != nil || len(found) == 0 {
			return err
		}
		done := revocation.JobCount{Account: chunk.Account, Job: chunk.Job}
		if found[0].previewed {
			done, _, err = decideChunk(ctx, tx, now, found[0])
		} else {
			_, err = spillChunk(ctx, tx, now, chunk)
		}
		if err != nil {
			return err
		}
		if err := deleteChunk(ctx, tx, chunk); err != nil {
			return err
		}
		// Sets the job RUNNING and its served_at, so that other jobs come before its next chunk.
		_, err = addCounts(ctx, tx, now, []revocation.JobCount{done})
		return err
	})
}

// spillChunk gives the items of a chunk work items, and returns their number.
func spillChunk(ctx context.Context, tx *sql.Tx, now time.Time, chunk revocation.Chunk) (spilled int, err error) {
	changed, err := change(ctx, tx, `
		INSERT INTO work_items (account_id, revocation_id, report_id, single, notify, next_check_at, job_id, account_scheduled)
		SELECT r.account_id, r.id, r.report_id, 0, coalesce(r.notify, j.notify), :now, j.id, 1`+pendingOfChunk+`
		ON CONFLICT (account_id, revocation_id) DO NOTHING`,
		append(itemsOf(chunk), sql.Named("now", micros(now)))...)
	return int(changed), err
}
