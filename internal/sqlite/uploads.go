package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"rescind/internal/revocation"
)

// uploading is the fingerprint of an idempotency key during the upload. No content has this fingerprint.
var uploading revocation.Fingerprint

// BeginJob implements revocation.JobStore.
func (s *Store) BeginJob(ctx context.Context, job revocation.NewJob, lease time.Duration) (*revocation.Binding, error) {
	var bound *revocation.Binding
	err := s.write(ctx, "begin job", func(tx *sql.Tx, now time.Time) error {
		if job.IdempotencyKey != "" {
			var err error
			if bound, err = takeKey(ctx, tx, now, job); err != nil || bound != nil {
				return err
			}
		}
		if !job.RetryOf.IsZero() {
			if err := onlyRetry(ctx, tx, now, job); err != nil {
				return err
			}
		}
		return exec(ctx, tx, `
			INSERT INTO jobs (account_id, id, retry_of, requested_by, route, idempotency_key, lease_until)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`,
			job.Account, job.ID.String(), optionalText(job.RetryOf), job.RequestedBy.String(),
			string(job.Route), sql.Null[string]{V: job.IdempotencyKey, Valid: job.IdempotencyKey != ""}, micros(now.Add(lease)))
	})
	if err != nil {
		return nil, err
	}
	return bound, nil
}

// BoundJob implements revocation.JobStore.
func (s *Store) BoundJob(ctx context.Context, job revocation.NewJob) (*revocation.Binding, error) {
	if job.IdempotencyKey == "" {
		return nil, nil
	}
	found, err := query(ctx, s.readers, scanKeyHolder, selectKeyHolder, job.Account, string(job.Route), job.IdempotencyKey)
	if err != nil {
		return nil, fault("look up a job's key", err)
	}
	for i := range found { // at most one
		if bound, err := found[i].bound(time.Now()); bound != nil || err != nil {
			return bound, err
		}
	}
	return nil, nil
}

// takeKey binds the idempotency key to the job, or returns its existing binding. It takes the key from an upload whose lease
// has expired.
func takeKey(ctx context.Context, tx *sql.Tx, now time.Time, job revocation.NewJob) (*revocation.Binding, error) {
	found, err := query(ctx, tx, scanKeyHolder, selectKeyHolder, job.Account, string(job.Route), job.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	for i := range found { // at most one
		if bound, err := found[i].bound(now); bound != nil || err != nil {
			return bound, err
		}
		if err := dropUpload(ctx, tx, job.Account, found[i].Target.String()); err != nil {
			return nil, err
		}
	}
	return nil, exec(ctx, tx, `
		INSERT INTO idempotency_keys (account_id, route, key, fingerprint, target_id, created_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (account_id, route, key) DO UPDATE
		SET fingerprint = excluded.fingerprint, target_id = excluded.target_id, created_at = excluded.created_at`,
		job.Account, string(job.Route), job.IdempotencyKey, uploading[:], job.ID.String(), micros(now))
}

// onlyRetry returns an error unless a retry of job.RetryOf may begin.
func onlyRetry(ctx context.Context, tx *sql.Tx, now time.Time, job revocation.NewJob) error {
	var found bool
	if err := tx.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM jobs WHERE account_id = ?1 AND id = ?2 AND state NOT IN `+hiddenStates+`)`,
		job.Account, job.RetryOf.String()).Scan(&found); err != nil {
		return err
	}
	if !found {
		return notFound("There is no such job.")
	}
	retries, err := query(ctx, tx, scanKeyHolder, `
		SELECT account_id, '', x'', id, state, coalesce(lease_until, 0) FROM jobs INDEXED BY jobs_retries
		WHERE account_id = ?1 AND retry_of = ?2 AND state NOT IN ('COMPLETED', 'CANCELLED', 'EXPIRED', 'DROPPED')
		  AND (expires_at IS NULL OR expires_at > ?3)`,
		job.Account, job.RetryOf.String(), micros(now))
	if err != nil {
		return err
	}
	for _, retry := range retries {
		if retry.state != revocation.JobReceiving || retry.leaseUntil > micros(now) {
			return &revocation.Error{
				Code: revocation.CodeRetryRunning, Job: retry.Target, Detail: "Another retry of the job has not ended yet.",
			}
		}
		if err := dropUpload(ctx, tx, job.Account, retry.Target.String()); err != nil {
			return err
		}
	}
	return nil
}

// selectKeyHolder reads a key, and the state of the job that it is bound to.
const selectKeyHolder = `
	SELECT k.account_id, k.key, k.fingerprint, k.target_id, coalesce(j.state, 'DROPPED'), coalesce(j.lease_until, 0)
	FROM idempotency_keys AS k
	LEFT JOIN jobs AS j ON j.account_id = k.account_id AND j.id = k.target_id
	WHERE k.account_id = ?1 AND k.route = ?2 AND k.key = ?3`

type keyHolder struct {
	revocation.Binding
	state      revocation.JobState
	leaseUntil int64
}

// bound returns the key's binding; nil if its job was dropped or deleted, or if the lease of its upload has expired.
func (h *keyHolder) bound(now time.Time) (*revocation.Binding, error) {
	switch {
	case h.state == revocation.JobReceiving && h.leaseUntil > micros(now):
		return nil, &revocation.Error{
			Code: revocation.CodeUploadInProgress, Detail: "An upload with this Idempotency-Key still runs.",
		}
	case h.state == revocation.JobReceiving, h.state == revocation.JobDropped:
		return nil, nil
	default:
		return &h.Binding, nil
	}
}

func scanKeyHolder(rows *sql.Rows) (h keyHolder, err error) {
	var fingerprint []byte
	err = rows.Scan(&h.Account, &h.Key, &fingerprint, scannedID{&h.Target}, &h.state, &h.leaseUntil)
	copy(h.Fingerprint[:], fingerprint)
	return h, err
}

// itemRow is an item as an element of a JSON parameter.
type itemRow struct {
	ID              string  `json:"id"`
	ReportID        *int64  `json:"report_id"`
	Notify          *bool   `json:"notify"`
	ClientReference *string `json:"client_reference"`
	Reason          *string `json:"reason"`
	Status          string  `json:"status"`
	Invalid         *string `json:"invalid"`
}

// AddItems implements revocation.JobStore.
func (s *Store) AddItems(ctx context.Context, job revocation.NewJob, items []revocation.Item, lease time.Duration) error {
	rows := make([]itemRow, len(items))
	for i := range items {
		item := &items[i]
		rows[i] = itemRow{
			ID: job.ID.Item(item.Row).String(), ReportID: &item.ReportID, Notify: item.Notify,
			ClientReference: item.ClientReference, Reason: item.Reason, Status: string(revocation.StatusPending),
		}
		if item.Invalid != "" {
			rows[i].ReportID, rows[i].Invalid = nil, &item.Invalid
			rows[i].Status = string(revocation.StatusInvalid)
		}
	}
	return s.write(ctx, "add items", func(tx *sql.Tx, now time.Time) error {
		if err := renewLease(ctx, tx, job, now.Add(lease)); err != nil {
			return err
		}
		return exec(ctx, tx, `
			INSERT INTO revocations (account_id, id, report_id, notify, client_reference, reason, requested_by, job_id,
			                         status, error_detail, completed_at)
			SELECT ?1, value ->> 'id', value ->> 'report_id', value ->> 'notify', value ->> 'client_reference', value ->> 'reason', ?2, ?3,
			       value ->> 'status', value ->> 'invalid', CASE WHEN value ->> 'invalid' IS NOT NULL THEN ?4 END
			FROM json_each(?5)`,
			job.Account, job.RequestedBy.String(), job.ID.String(), micros(now), parameter(rows))
	})
}

// RenewUpload implements revocation.JobStore.
func (s *Store) RenewUpload(ctx context.Context, job revocation.NewJob, lease time.Duration) error {
	return s.write(ctx, "renew upload", func(tx *sql.Tx, now time.Time) error {
		return renewLease(ctx, tx, job, now.Add(lease))
	})
}

func renewLease(ctx context.Context, tx *sql.Tx, job revocation.NewJob, until time.Time) error {
	renewed, err := change(ctx, tx, `
		UPDATE jobs SET lease_until = ?1 WHERE account_id = ?2 AND id = ?3 AND state = 'RECEIVING'`,
		micros(until), job.Account, job.ID.String())
	if err == nil && renewed == 0 {
		return revocation.ErrUploadDropped
	}
	return err
}

// FinalizeJob implements revocation.JobStore.
func (s *Store) FinalizeJob(ctx context.Context, final revocation.FinalJob) (revocation.Job, error) {
	var file any // nil is NULL
	if final.File != nil {
		stored, err := json.Marshal(final.File)
		if err != nil {
			return revocation.Job{}, fault("finalize job", err)
		}
		file = string(stored)
	}
	var job revocation.Job
	err := s.write(ctx, "finalize job", func(tx *sql.Tx, now time.Time) error {
		sealed, err := change(ctx, tx, `
			UPDATE jobs
			SET label = ?1, notify = ?2, total = ?3, invalid = ?4, file = ?5, reason = ?6, candidate_message = ?7, not_before = ?8
			WHERE account_id = ?9 AND id = ?10 AND state = 'RECEIVING'`,
			final.Label, final.Notify, final.Total, final.Invalid, file, final.Reason, final.CandidateMessage,
			optionalMicros(final.NotBefore), final.Account, final.ID.String())
		if err != nil {
			return err
		}
		if sealed == 0 {
			return revocation.ErrUploadDropped
		}
		if final.Invalid < final.Total {
			if err := addChunks(ctx, tx, final); err != nil {
				return err
			}
		}
		job = final.Received(revocation.JobReceiving)
		if err := changeJob(ctx, tx, now, &job, final.Accept()); err != nil {
			return err
		}
		if final.IdempotencyKey != "" {
			if err := exec(ctx, tx, `
				UPDATE idempotency_keys SET fingerprint = ?1, created_at = ?2
				WHERE account_id = ?3 AND route = ?4 AND key = ?5 AND target_id = ?6`,
				final.Fingerprint[:], micros(now),
				final.Account, string(final.Route), final.IdempotencyKey, final.ID.String()); err != nil {
				return err
			}
		}
		job, err = readJob(ctx, tx, final.Account, final.ID)
		return err
	})
	return job, err
}

func addChunks(ctx context.Context, tx *sql.Tx, final revocation.FinalJob) error {
	return exec(ctx, tx, `
		WITH RECURSIVE chunk (first_row) AS (
			SELECT 1 UNION ALL SELECT first_row + ?1 FROM chunk WHERE first_row + ?1 <= ?2)
		INSERT INTO chunks (account_id, job_id, first_row, end_row)
		SELECT ?3, ?4, first_row, min(first_row + ?1 - 1, ?2) FROM chunk`,
		revocation.ChunkSize, final.Total, final.Account, final.ID.String())
}

// DropJob implements revocation.JobStore.
func (s *Store) DropJob(ctx context.Context, account string, id revocation.ID) error {
	return s.write(ctx, "drop job", func(tx *sql.Tx, _ time.Time) error {
		return dropUpload(ctx, tx, account, id.String())
	})
}

// dropUpload drops a job that is being received, and frees its key. ClearDropped deletes the job later.
func dropUpload(ctx context.Context, tx *sql.Tx, account, job string) error {
	dropped, err := change(ctx, tx, `
		UPDATE jobs SET state = 'DROPPED', lease_until = NULL
		WHERE account_id = ?1 AND id = ?2 AND state = 'RECEIVING'`, account, job)
	if err != nil || dropped == 0 {
		return err
	}
	return freeKey(ctx, tx, account, job)
}

// freeKey deletes a job's idempotency key, unless another job has got it meanwhile.
func freeKey(ctx context.Context, tx *sql.Tx, account, job string) error {
	return exec(ctx, tx, `
		DELETE FROM idempotency_keys
		WHERE (account_id, route, key) IN (
			SELECT account_id, route, idempotency_key FROM jobs WHERE account_id = ?1 AND id = ?2)
		  AND target_id = ?2`, account, job)
}
