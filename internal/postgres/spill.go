package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// SpillChunk implements revocation.BulkStore.
func (s *Store) SpillChunk(ctx context.Context, c revocation.Chunk) error {
	return s.tx(ctx, "spill a chunk", func(ctx context.Context, tx *tx) error {
		taken := takenChunk{Chunk: c}
		taken.Done, taken.Spilled = revocation.JobCount{Account: c.Account, Job: c.Job}, 0
		found := false
		batch := &pgx.Batch{}
		batch.Queue(`
			SELECT predictions IS NOT NULL, predicted_plan FROM chunks
			WHERE account_id = $1 AND job_id = $2 AND first_row = $3 FOR UPDATE SKIP LOCKED`,
			c.Account, uuid(c.Job), c.First).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				found = true
				if err := rows.Scan(&taken.previewed, &taken.predictedPlan); err != nil {
					return err
				}
			}
			return rows.Err()
		})
		if err := tx.send(ctx, batch); err != nil || !found {
			return err
		}
		batch = &pgx.Batch{}
		if taken.previewed {
			queueConfirmedChunk(batch, &taken, true)
		} else {
			queueSpillChunk(batch, &taken.Chunk)
		}
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		batch = &pgx.Batch{}
		if taken.Spilled+taken.Done.Counts.Sum() > 0 {
			// Sets the job RUNNING and its served_at, so that other jobs come before its next chunk.
			queueCounts(batch, []revocation.JobCount{taken.Done}, new([]revocation.ID))
		}
		return tx.commit(ctx, batch)
	})
}

func queueSpillChunk(batch *pgx.Batch, c *revocation.Chunk) {
	batch.Queue(takenItems+`, written AS (
			INSERT INTO revocations (account_id, id, report_id, notify, client_reference, reason, requested_by, job_id)
			SELECT $1, id, report_id, notify, client_reference, reason, requested_by, $2 FROM item
		), spilled AS (
			INSERT INTO work_items (account_id, revocation_id, report_id, job_id, single, account_scheduled, notify, next_check_at)
			SELECT $1, id, report_id, $2, false, true, notify, now() FROM item)
		SELECT count(*) FROM item`, itemsOf(c)...).QueryRow(func(row pgx.Row) error {
		return row.Scan(&c.Spilled)
	})
}
