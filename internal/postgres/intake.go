package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

var errGivenUp = &revocation.Error{Code: revocation.CodeJobEnded, Detail: "The upload was given up."}

// BeginJob implements revocation.JobStore.
func (s *Store) BeginJob(ctx context.Context, job revocation.NewJob, lease time.Duration) (*revocation.Binding, error) {
	var err error
	for range maxRounds {
		err = s.run(ctx, "begin a job", beginJob(job, lease))
		if err == nil {
			return nil, nil
		}
		if !miscounted(err) {
			return nil, err
		}
		// The key is there: whose is it?
		free, bound, err := s.boundJob(ctx, job)
		if err != nil || !free {
			return bound, err
		}
	}
	return nil, err
}

func beginJob(job revocation.NewJob, lease time.Duration) *pgx.Batch {
	batch := &pgx.Batch{}
	var key, retryOf any
	if job.IdempotencyKey != "" {
		key = job.IdempotencyKey
		exactly(batch, 1, `
			INSERT INTO idempotency_keys (account_id, route, key, fingerprint, target_id)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			job.Account, string(job.Route), job.IdempotencyKey, make([]byte, len(revocation.Fingerprint{})), uuid(job.ID))
	}
	if !job.RetryOf.IsZero() {
		retryOf = uuid(job.RetryOf)
	}
	batch.Queue(`
		INSERT INTO jobs (account_id, id, retry_of, requested_by, route, idempotency_key, lease_until)
		VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))`,
		job.Account, uuid(job.ID), retryOf, uuid(job.RequestedBy), string(job.Route), key, lease.Seconds())
	return batch
}

// boundJob tells what a key that is taken is bound to. A key that was left behind becomes free.
func (s *Store) boundJob(ctx context.Context, job revocation.NewJob) (free bool, bound *revocation.Binding, err error) {
	var found, alive bool
	var state revocation.JobState
	var target revocation.ID
	var fingerprint []byte
	batch := &pgx.Batch{}
	batch.Queue(`
		SELECT k.fingerprint, k.target_id, coalesce(j.state, ''), coalesce(j.lease_until > now(), false)
		FROM idempotency_keys k
		LEFT JOIN LATERAL (
			SELECT * FROM jobs j WHERE j.account_id = k.account_id AND j.id = k.target_id OFFSET 0) AS j ON true
		WHERE k.account_id = $1 AND k.route = $2 AND k.key = $3`,
		job.Account, string(job.Route), job.IdempotencyKey).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			found = true
			if err := rows.Scan(&fingerprint, (*uuid)(&target), &state, &alive); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err := s.run(ctx, "look up a job's key", batch); err != nil || !found {
		return true, nil, err
	}
	switch {
	case state == revocation.JobReceiving && alive:
		return false, nil, &revocation.Error{
			Code: revocation.CodeUploadInProgress, Detail: "An upload with this Idempotency-Key still runs.",
		}
	case state == revocation.JobReceiving:
		return true, nil, s.DropJob(ctx, job.Account, target)
	case state == "" || state == revocation.JobDropped:
		return true, nil, s.run(ctx, "free a key", freeKey(job.Account, target, job.Route, job.IdempotencyKey))
	}
	bound = &revocation.Binding{
		AccountKey: revocation.AccountKey{Account: job.Account, Key: job.IdempotencyKey}, Target: target,
	}
	copy(bound.Fingerprint[:], fingerprint)
	return false, bound, nil
}

func freeKey(account string, target revocation.ID, route revocation.JobRoute, key string) *pgx.Batch {
	batch := &pgx.Batch{}
	batch.Queue(`
		DELETE FROM idempotency_keys WHERE account_id = $1 AND route = $2 AND key = $3 AND target_id = $4`,
		account, string(route), key, uuid(target))
	return batch
}

// itemColumns are what COPY writes of an item.
var itemColumns = []string{
	"account_id", "id", "report_id", "notify", "client_reference", "requested_by", "job_id",
	"status", "error_detail", "completed_at",
}

// AddItems implements revocation.JobStore.
func (s *Store) AddItems(ctx context.Context, job revocation.NewJob, items []revocation.Item, lease time.Duration) error {
	err := s.tx(ctx, "add items", func(ctx context.Context, tx *tx) error {
		// The job's row is held until the items are there, so that nobody gives it up in between.
		batch := &pgx.Batch{}
		exactly(batch, 1, `
			UPDATE jobs SET lease_until = now() + make_interval(secs => $3)
			WHERE account_id = $1 AND id = $2 AND state = 'RECEIVING'`, job.Account, uuid(job.ID), lease.Seconds())
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		now := time.Now()
		_, err := tx.conn.CopyFrom(ctx, pgx.Identifier{"revocations"}, itemColumns,
			pgx.CopyFromSlice(len(items), func(i int) ([]any, error) {
				item := &items[i]
				row := []any{
					job.Account, uuid(job.ID.Item(item.Row)), item.ReportID, item.Notify, item.ClientReference,
					uuid(job.RequestedBy), uuid(job.ID), string(revocation.StatusPending), nil, nil,
				}
				if item.Invalid != "" {
					row[2] = nil
					row[7], row[8], row[9] = string(revocation.StatusInvalid), item.Invalid, now
				}
				return row, nil
			}))
		if err != nil {
			return err
		}
		return tx.commit(ctx, &pgx.Batch{})
	})
	if miscounted(err) {
		return errGivenUp
	}
	return err
}

// SealJob implements revocation.JobStore.
func (s *Store) SealJob(ctx context.Context, seal revocation.Seal) (job revocation.Job, err error) {
	batch := &pgx.Batch{}
	exactly(batch, 1, `
		UPDATE jobs SET total = $3::integer, invalid = $4::integer, label = $5, notify = $6, lease_until = NULL,
			state = CASE WHEN $3 = $4 THEN 'COMPLETED' ELSE 'QUEUED' END,
			finished_at = CASE WHEN $3 = $4 THEN now() END
		WHERE account_id = $1 AND id = $2 AND state = 'RECEIVING'`,
		seal.Account, uuid(seal.ID), seal.Total, seal.Invalid, seal.Label, seal.Notify)
	if seal.Total > seal.Invalid {
		batch.Queue(`
			INSERT INTO chunks (account_id, job_id, first_row, last_row)
			SELECT $1, $2, n, least(n + $4 - 1, $3) FROM generate_series(1, $3::integer, $4::integer) AS n`,
			seal.Account, uuid(seal.ID), seal.Total, revocation.ChunkSize)
	}
	if seal.IdempotencyKey != "" {
		exactly(batch, 1, `
			UPDATE idempotency_keys SET fingerprint = $5
			WHERE account_id = $1 AND route = $2 AND key = $3 AND target_id = $4`,
			seal.Account, string(seal.Route), seal.IdempotencyKey, uuid(seal.ID), seal.Fingerprint[:])
	}
	batch.Queue(selectJob+` AND j.id = $2`, seal.Account, uuid(seal.ID)).QueryRow(func(row pgx.Row) error {
		job, err = scanJob(seal.Account, row)
		return err
	})
	err = s.run(ctx, "seal a job", batch)
	if miscounted(err) {
		err = errGivenUp
	}
	return job, err
}

// DropJob implements revocation.JobStore.
func (s *Store) DropJob(ctx context.Context, account string, id revocation.ID) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		WITH dropped AS (
			UPDATE jobs SET state = 'DROPPED'
			WHERE account_id = $1 AND id = $2 AND state = 'RECEIVING' RETURNING account_id, route, idempotency_key, id)
		DELETE FROM idempotency_keys k USING dropped d
		WHERE k.account_id = d.account_id AND k.route = d.route AND k.key = d.idempotency_key AND k.target_id = d.id
			AND k.account_id = $1`, account, uuid(id))
	return s.run(ctx, "drop a job", batch)
}
