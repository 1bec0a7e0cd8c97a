package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// BeginJob implements revocation.JobStore.
func (s *Store) BeginJob(ctx context.Context, job revocation.NewJob, lease time.Duration) (*revocation.Binding, error) {
	var err error
	for range maxRounds {
		err = s.change(ctx, "begin a job", func(ctx context.Context, tx *tx) error {
			if !job.RetryOf.IsZero() {
				if err := onlyRetry(ctx, tx, job); err != nil {
					return err
				}
			}
			return tx.commit(ctx, beginJob(job, lease))
		})
		if err == nil {
			return nil, nil
		}
		taken := miscounted(err)
		if !taken && (job.IdempotencyKey == "" || revocation.ErrorCode(err) != revocation.CodeRetryRunning) {
			return nil, err
		}
		// The key may exist already.
		free, bound, lookupErr := s.boundJob(ctx, job)
		switch {
		case lookupErr != nil || !free:
			return bound, lookupErr
		case !taken:
			return nil, err // another request has begun the retry
		}
	}
	return nil, err
}

// BoundJob implements revocation.JobStore.
func (s *Store) BoundJob(ctx context.Context, job revocation.NewJob) (*revocation.Binding, error) {
	if job.IdempotencyKey == "" {
		return nil, nil
	}
	_, bound, err := s.boundJob(ctx, job)
	return bound, err
}

// onlyRetry returns an error unless a retry of job.RetryOf may begin. It locks job.RetryOf, so that only one of several callers
// begins a retry, and drops a retry whose upload has lost its lease.
func onlyRetry(ctx context.Context, tx *tx, job revocation.NewJob) error {
	found := false
	var live, silent revocation.ID
	batch := &pgx.Batch{}
	batch.Queue(`
		SELECT FROM jobs WHERE account_id = $1 AND id = $2 AND state NOT IN ('RECEIVING', 'DROPPED') FOR NO KEY UPDATE`,
		job.Account, uuid(job.RetryOf)).Query(func(rows pgx.Rows) error {
		found = rows.Next()
		return rows.Err()
	})
	batch.Queue(`
		SELECT id, coalesce(lease_until > now(), true) FROM jobs
		WHERE account_id = $1 AND retry_of = $2 AND retry_of IS NOT NULL AND state NOT IN ('COMPLETED', 'CANCELLED', 'EXPIRED', 'DROPPED')
			AND coalesce(expires_at > now(), true)`,
		job.Account, uuid(job.RetryOf)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var id revocation.ID
			var alive bool
			if err := rows.Scan((*uuid)(&id), &alive); err != nil {
				return err
			}
			if alive {
				live = id
			} else {
				silent = id
			}
		}
		return rows.Err()
	})
	if err := tx.send(ctx, batch); err != nil {
		return err
	}
	switch {
	case !found:
		return &revocation.Error{Code: revocation.CodeNotFound, Detail: "There is no such job."}
	case !live.IsZero():
		return &revocation.Error{Code: revocation.CodeRetryRunning, Job: live, Detail: "Another retry of the job has not ended yet."}
	case !silent.IsZero():
		return tx.send(ctx, dropUpload(job.Account, silent, true))
	}
	return nil
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

// boundJob returns the binding of a key that is in use. It frees the key of a job that was dropped or deleted, and drops an
// upload whose lease has expired.
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
	if err := s.change(ctx, "look up a job's key", committing(batch)); err != nil || !found {
		return true, nil, err
	}
	switch {
	case state == revocation.JobReceiving && alive:
		return false, nil, &revocation.Error{
			Code: revocation.CodeUploadInProgress, Detail: "An upload with this Idempotency-Key still runs.",
		}
	case state == revocation.JobReceiving:
		return true, nil, s.change(ctx, "drop a silent upload", committing(dropUpload(job.Account, target, true)))
	case state == "" || state == revocation.JobDropped:
		return true, nil, s.change(ctx, "free a key", committing(freeKey(job.Account, target, job.Route, job.IdempotencyKey)))
	}
	bound = &revocation.Binding{
		IdempotencyKey: revocation.IdempotencyKey{Account: job.Account, Key: job.IdempotencyKey}, Target: target,
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

// AddItems implements revocation.JobStore. Valid items wait in chunks, and become rows when they have an outcome. Invalid items
// are final and become rows at once. The update of the job's row locks it until the commit, so that the upload is not dropped
// meanwhile. If the items do not follow the previous ones, total becomes -1, which a constraint refuses.
func (s *Store) AddItems(ctx context.Context, job revocation.NewJob, items []revocation.Item, lease time.Duration) error {
	first := items[0].Row
	for i := range items {
		if items[i].Row != first+i {
			return &revocation.Error{Code: revocation.CodeInternal, Err: fmt.Errorf("add items: row %d after row %d", items[i].Row, first+i-1)}
		}
	}
	batch := &pgx.Batch{}
	exactly(batch, 1, `
		UPDATE jobs SET lease_until = now() + make_interval(secs => $3),
			total = CASE total WHEN $4::integer - 1 THEN $4 - 1 + $5::integer ELSE -1 END
		WHERE account_id = $1 AND id = $2 AND state = 'RECEIVING'`,
		job.Account, uuid(job.ID), lease.Seconds(), first, len(items))
	for rest := items; len(rest) > 0; {
		chunk := (rest[0].Row-1)/revocation.ChunkSize*revocation.ChunkSize + 1
		n := min(chunk+revocation.ChunkSize-rest[0].Row, len(rest))
		queueChunk(batch, job, chunk, rest[:n])
		rest = rest[n:]
	}
	queueInvalid(batch, job, items)
	err := s.change(ctx, "add items", committing(batch))
	if miscounted(err) {
		return revocation.ErrUploadDropped
	}
	return err
}

// queueChunk adds items to the chunk that begins with the row first. Mostly they are a whole chunk; a slow upload adds fewer
// at a time.
func queueChunk(batch *pgx.Batch, job revocation.NewJob, first int, items []revocation.Item) {
	last := items[len(items)-1].Row
	reports, wishes := make([]*int64, last-first+1), []*bool(nil)
	var references, reasons []*string
	valid := false
	for i := range items {
		item := &items[i]
		if item.Invalid != "" {
			continue
		}
		valid = true
		n := item.Row - first
		reports[n] = &item.ReportID
		if item.Notify != nil {
			wishes = slices.Grow(wishes, len(reports))[:len(reports)]
			wishes[n] = item.Notify
		}
		if item.ClientReference != nil {
			references = slices.Grow(references, len(reports))[:len(reports)]
			references[n] = item.ClientReference
		}
		if item.Reason != nil {
			reasons = slices.Grow(reasons, len(reports))[:len(reports)]
			reasons[n] = item.Reason
		}
	}
	if !valid {
		return
	}
	batch.Queue(`
		INSERT INTO chunks AS c (account_id, job_id, first_row, end_row, report_ids, notify, client_references, reasons)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (account_id, job_id, first_row) DO UPDATE SET end_row = excluded.end_row,
			report_ids = ARRAY (SELECT coalesce(was, new) FROM unnest(c.report_ids, excluded.report_ids) AS t(was, new)),
			notify = ARRAY (SELECT coalesce(was, new) FROM unnest(c.notify, excluded.notify) AS t(was, new)),
			client_references = ARRAY (
				SELECT coalesce(was, new) FROM unnest(c.client_references, excluded.client_references) AS t(was, new)),
			reasons = ARRAY (SELECT coalesce(was, new) FROM unnest(c.reasons, excluded.reasons) AS t(was, new))`,
		job.Account, uuid(job.ID), first, last, reports, wishes, references, reasons)
}

func queueInvalid(batch *pgx.Batch, job revocation.NewJob, items []revocation.Item) {
	var ids []uuid
	var wishes []*bool
	var references, reasons []*string
	var faults []string
	for i := range items {
		if item := &items[i]; item.Invalid != "" {
			ids, wishes = append(ids, uuid(job.ID.Item(item.Row))), append(wishes, item.Notify)
			references, reasons = append(references, item.ClientReference), append(reasons, item.Reason)
			faults = append(faults, item.Invalid)
		}
	}
	if len(ids) == 0 {
		return
	}
	batch.Queue(`
		INSERT INTO revocations (account_id, id, notify, client_reference, reason, requested_by, job_id, status, error_detail, completed_at)
		SELECT $1, id, notify, client_reference, reason, $2, $3, 'INVALID', fault, now()
		FROM unnest($4::uuid[], $5::boolean[], $6::text[], $7::text[], $8::text[]) AS t(id, notify, client_reference, reason, fault)`,
		job.Account, uuid(job.RequestedBy), uuid(job.ID), ids, wishes, references, reasons, faults)
}

// FinalizeJob implements revocation.JobStore.
func (s *Store) FinalizeJob(ctx context.Context, final revocation.FinalJob) (job revocation.Job, err error) {
	file, err := storedFile(final.File)
	if err != nil {
		return revocation.Job{}, err
	}
	err = s.changesJob(ctx, "finalize a job", func(ctx context.Context, tx *tx) error {
		batch := &pgx.Batch{}
		job = final.Received("")
		batch.Queue(`SELECT state FROM jobs WHERE account_id = $1 AND id = $2 FOR NO KEY UPDATE`, final.Account, uuid(final.ID)).
			Query(func(rows pgx.Rows) error {
				for rows.Next() {
					if err := rows.Scan(&job.State); err != nil {
						return err
					}
				}
				return rows.Err()
			})
		facts := queueJobFacts(batch, final.Account)
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		batch = &pgx.Batch{}
		batch.Queue(`
			UPDATE jobs SET total = $3, invalid = $4, label = $5, notify = $6, file = $7, reason = $8, candidate_message = $9,
				not_before = $10
			WHERE account_id = $1 AND id = $2`,
			final.Account, uuid(final.ID), final.Total, final.Invalid, final.Label, final.Notify, file,
			final.Reason, final.CandidateMessage, optionalTime(final.NotBefore))
		if final.IdempotencyKey != "" {
			exactly(batch, 1, `
				UPDATE idempotency_keys SET fingerprint = $5, created_at = now()
				WHERE account_id = $1 AND route = $2 AND key = $3 AND target_id = $4`,
				final.Account, string(final.Route), final.IdempotencyKey, uuid(final.ID), final.Fingerprint[:])
		}
		if _, err := changeJob(ctx, tx, batch, &job, final.Accept(), *facts); err != nil {
			return err
		}
		queueReadJob(batch, &job)
		return tx.commit(ctx, batch)
	})
	if err != nil {
		return revocation.Job{}, err
	}
	return job, nil
}

// storedFile returns the JSON of a file; nil for none.
func storedFile(f *revocation.File) (*string, error) {
	if f == nil {
		return nil, nil //nolint:nilnil // a file is optional
	}
	b, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("finalize a job: %w", err)
	}
	stored := string(b)
	return &stored, nil
}

// RenewUpload implements revocation.JobStore.
func (s *Store) RenewUpload(ctx context.Context, job revocation.NewJob, lease time.Duration) error {
	batch := &pgx.Batch{}
	exactly(batch, 1, `
		UPDATE jobs SET lease_until = now() + make_interval(secs => $3)
		WHERE account_id = $1 AND id = $2 AND state = 'RECEIVING'`, job.Account, uuid(job.ID), lease.Seconds())
	err := s.change(ctx, "renew an upload", committing(batch))
	if miscounted(err) {
		return revocation.ErrUploadDropped
	}
	return err
}

// DropJob implements revocation.JobStore.
func (s *Store) DropJob(ctx context.Context, account string, id revocation.ID) error {
	return s.change(ctx, "drop a job", committing(dropUpload(account, id, false)))
}

// dropUpload drops a job that is being received, and frees its key. If onlySilent is true, it does nothing while the lease
// lasts.
func dropUpload(account string, id revocation.ID, onlySilent bool) *pgx.Batch {
	batch := &pgx.Batch{}
	batch.Queue(`
		WITH dropped AS (
			UPDATE jobs SET state = 'DROPPED'
			WHERE account_id = $1 AND id = $2 AND state = 'RECEIVING' AND (NOT $3 OR lease_until <= now())
			RETURNING account_id, route, idempotency_key, id)
		DELETE FROM idempotency_keys k USING dropped d
		WHERE k.account_id = d.account_id AND k.route = d.route AND k.key = d.idempotency_key AND k.target_id = d.id
			AND k.account_id = $1`, account, uuid(id), onlySilent)
	return batch
}
