package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rescind/internal/revocation"
)

// DropSilentUploads implements revocation.JanitorStore.
func (s *Store) DropSilentUploads(ctx context.Context) (dropped int, err error) {
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE jobs SET state = 'DROPPED'
		WHERE state IN ('RECEIVING', 'DROPPED') AND state = 'RECEIVING' AND lease_until < now()`).
		Exec(func(tag pgconn.CommandTag) error {
			dropped = int(tag.RowsAffected())
			return nil
		})
	return dropped, s.run(ctx, "drop silent uploads", batch)
}

// clearedChunks bounds how many chunks are deleted at once. The texts of one chunk can take hundreds of rows in the TOAST
// table.
const clearedChunks = 10

// ClearDropped implements revocation.JanitorStore.
func (s *Store) ClearDropped(ctx context.Context, limit int) (deleted int, err error) {
	err = s.tx(ctx, "delete dropped jobs", func(ctx context.Context, tx *tx) error {
		var account string
		var job revocation.ID
		dropped := false
		batch := &pgx.Batch{}
		for _, found := range []struct {
			dropped bool
			where   string
		}{
			{false, `state = 'EXPIRED' AND NOT items_deleted`},
			{true, `state IN ('RECEIVING', 'DROPPED') AND state = 'DROPPED'`},
		} {
			batch.Queue(`
				SELECT account_id, id FROM jobs WHERE ` + found.where + `
				ORDER BY account_id, id LIMIT 1 FOR UPDATE SKIP LOCKED`).Query(func(rows pgx.Rows) error {
				for rows.Next() {
					dropped = found.dropped
					if err := rows.Scan(&account, (*uuid)(&job)); err != nil {
						return err
					}
				}
				return rows.Err()
			})
		}
		if err := tx.send(ctx, batch); err != nil || job.IsZero() {
			return err
		}
		var chunks, items int
		batch = &pgx.Batch{}
		batch.Queue(`
			DELETE FROM chunks WHERE ctid = ANY (ARRAY (
				SELECT ctid FROM chunks WHERE account_id = $1 AND job_id = $2 ORDER BY first_row LIMIT $3))`,
			account, uuid(job), min(limit, clearedChunks)).Exec(func(tag pgconn.CommandTag) error {
			chunks = int(tag.RowsAffected())
			return nil
		})
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		batch = &pgx.Batch{}
		batch.Queue(`
			WITH old AS MATERIALIZED (
				SELECT ctid AS place, account_id, id FROM revocations
				WHERE account_id = $1 AND id > $2 AND id <= $3 ORDER BY id LIMIT $4)`+deleteOld,
			account, uuid(job), uuid(job.Item(revocation.MaxJobItems)), limit-chunks).
			QueryRow(func(row pgx.Row) error { return row.Scan(&items) })
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		deleted = chunks + items
		batch = &pgx.Batch{}
		if chunks < min(limit, clearedChunks) && deleted < limit {
			if dropped {
				queueDeleteJob(batch, account, job)
			} else {
				batch.Queue(`UPDATE jobs SET items_deleted = true WHERE account_id = $1 AND id = $2`, account, uuid(job))
			}
			deleted++
		}
		return tx.commit(ctx, batch)
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

// deleteOld deletes the revocations in the table "old", with their work items and emails.
const deleteOld = `, work AS (
		DELETE FROM work_items o USING old
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM work_items o
			WHERE o.account_id = old.account_id AND o.revocation_id = old.id OFFSET 0) AS held
		WHERE o.ctid = held.place
	), mails AS (
		DELETE FROM notifications n USING old
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM notifications n
			WHERE n.account_id = old.account_id AND n.revocation_id = old.id OFFSET 0) AS held
		WHERE n.ctid = held.place
	), gone AS (
		DELETE FROM revocations r USING old WHERE r.ctid = old.place RETURNING 1)
	SELECT count(*) FROM gone`

// queueDeleteJob deletes a job that has no items any more, with its counters and its idempotency key.
func queueDeleteJob(batch *pgx.Batch, account string, job revocation.ID) {
	batch.Queue(`DELETE FROM job_mail_counts WHERE account_id = $1 AND job_id = $2`, account, uuid(job))
	batch.Queue(`
		WITH gone AS (
			DELETE FROM jobs WHERE account_id = $1 AND id = $2 RETURNING route, idempotency_key)
		DELETE FROM idempotency_keys k USING gone
		WHERE k.account_id = $1 AND k.route = gone.route AND k.key = gone.idempotency_key AND k.target_id = $2`,
		account, uuid(job))
}

// Expire implements revocation.JanitorStore. It keeps a revocation or job while an email of it is not settled. It deletes an
// idempotency key before its revocation or job, so that no key refers to a deleted one.
func (s *Store) Expire(ctx context.Context, retention time.Duration, limit int) (expired int, err error) {
	err = s.tx(ctx, "delete what is old", func(ctx context.Context, tx *tx) error {
		var before time.Time
		batch := &pgx.Batch{}
		batch.Queue(`SELECT now() - make_interval(secs => $1)`, retention.Seconds()).
			QueryRow(func(row pgx.Row) error { return row.Scan(&before) })
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		batch = &pgx.Batch{}
		keys := 0
		batch.Queue(`
			DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY (
				SELECT k.ctid FROM idempotency_keys k
				WHERE k.created_at < $1 AND length(k.key) > 0 AND coalesce((
					SELECT j.state FROM jobs j WHERE j.account_id = k.account_id AND j.id = k.target_id), '') <> 'RECEIVING'
				LIMIT $2 FOR UPDATE SKIP LOCKED))`, before, limit).Exec(func(tag pgconn.CommandTag) error {
			keys = int(tag.RowsAffected())
			return nil
		})
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		expired = keys
		batch = &pgx.Batch{}
		if keys < limit {
			queueExpire(batch, before, limit, &expired)
		}
		return tx.commit(ctx, batch)
	})
	if err != nil {
		return 0, err
	}
	return expired, nil
}

func queueExpire(batch *pgx.Batch, before time.Time, limit int, expired *int) {
	batch.Queue(`
		UPDATE jobs SET state = 'DROPPED' WHERE ctid = ANY (ARRAY (
			SELECT j.ctid FROM jobs j
			WHERE j.state IN ('COMPLETED', 'CANCELLED', 'EXPIRED') AND j.finished_at < $1 AND j.mails <= (
				SELECT coalesce(sum(m.sent + m.failed + m.unknown + m.skipped), 0) FROM job_mail_counts m
				WHERE m.account_id = j.account_id AND m.job_id = j.id)
			LIMIT $2 FOR UPDATE SKIP LOCKED))`, before, limit).Exec(func(tag pgconn.CommandTag) error {
		*expired += int(tag.RowsAffected())
		return nil
	})
	// A revocation that ended before that moment was created before it, so the range of ids bounds what is read.
	batch.Queue(`
		WITH old AS MATERIALIZED (
			SELECT r.place, r.account_id, r.id FROM accounts a
			CROSS JOIN LATERAL (
				SELECT r.ctid AS place, r.account_id, r.id FROM revocations r
				WHERE r.account_id = a.account_id AND r.id < $2 AND r.job_id IS NULL AND r.completed_at < $1
					AND coalesce((SELECT n.status FROM notifications n
						WHERE n.account_id = r.account_id AND n.revocation_id = r.id), '')
						NOT IN ('PENDING', 'CLAIMED', 'COMMITTED')
				ORDER BY r.id LIMIT $3) AS r
			LIMIT $3)`+deleteOld, before, uuid(revocation.FirstIDAt(before.Add(revocation.IDSkew))), limit).
		QueryRow(func(row pgx.Row) error {
			var n int
			err := row.Scan(&n)
			*expired += n
			return err
		})
}
