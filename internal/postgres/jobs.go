package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// selectJob reads a visible job, with the numbers of its settled emails.
const (
	selectJob = jobColumns + `jobs` + jobFacts

	jobColumns = `
	SELECT j.id, j.state, j.label, j.file, j.retry_of, j.requested_by, j.total, j.retrying,
		j.revoked, j.already_revoked, j.not_allowed, j.already_started, j.not_found, j.error_revoking, j.invalid, j.cancelled,
		j.mails - m.skipped, m.sent, m.failed, m.unknown, j.delegated,
		j.started_at, j.finished_at, clock_timestamp(), j.older_sample_at, j.older_sample_done,
		j.reason, j.candidate_message, j.not_before, j.due_at, j.queued_at, j.counted_at, j.expires_at,
		j.confirmed_by, j.approved_by, j.cancelled_by,
		j.preview, j.predicted_at, j.predicted_revoked, j.predicted_already_revoked, j.predicted_not_allowed,
		j.predicted_not_found, j.predicted_already_started, j.predicted_unknown, j.predicted_emails
	FROM `
	jobFacts = ` AS j
	CROSS JOIN LATERAL (
		SELECT coalesce(sum(m.sent), 0) AS sent, coalesce(sum(m.failed), 0) AS failed,
			coalesce(sum(m.unknown), 0) AS unknown, coalesce(sum(m.skipped), 0) AS skipped
		FROM job_mail_counts m WHERE m.account_id = j.account_id AND m.job_id = j.id) AS m
	WHERE j.account_id = $1 AND j.state NOT IN ('RECEIVING', 'DROPPED')`
)

// scanJob reads a job as callers see it: EXPIRED if its expires_at has passed.
func scanJob(account string, row pgx.Row) (revocation.Job, error) {
	j, err := scanStoredJob(account, row)
	if err == nil {
		j.Expire(j.ReadAt)
	}
	return j, err
}

// scanStoredJob reads a job in its stored state.
func scanStoredJob(account string, row pgx.Row) (revocation.Job, error) {
	j := revocation.Job{Account: account}
	var retryOf, confirmedBy, approvedBy, cancelledBy *uuid
	var file []byte
	var mails int
	var started, finished, since, notBefore, due, queued, counted, expires, predictedAt *time.Time
	var hasPreview bool
	var preview revocation.Preview
	predicted := &preview.Predicted
	err := row.Scan((*uuid)(&j.ID), &j.State, &j.Label, &file, &retryOf, (*uuid)(&j.RequestedBy), &j.Total, &j.Retrying,
		&j.Counts.Revoked, &j.Counts.AlreadyRevoked, &j.Counts.NotAllowed, &j.Counts.AlreadyStarted, &j.Counts.NotFound,
		&j.Counts.ErrorRevoking, &j.Counts.Invalid, &j.Counts.Cancelled,
		&mails, &j.Mails.Sent, &j.Mails.Failed, &j.Mails.Unknown, &j.Mails.Delegated,
		&started, &finished, &j.ReadAt, &since, &j.SinceDone,
		&j.Reason, &j.CandidateMessage, &notBefore, &due, &queued, &counted, &expires,
		&confirmedBy, &approvedBy, &cancelledBy,
		&hasPreview, &predictedAt, &predicted.Revoked, &predicted.AlreadyRevoked, &predicted.NotAllowed,
		&predicted.NotFound, &predicted.AlreadyStarted, &predicted.Unknown, &preview.Emails)
	if err != nil {
		return revocation.Job{}, err
	}
	if file != nil {
		if err := json.Unmarshal(file, &j.File); err != nil {
			return revocation.Job{}, err
		}
	}
	j.RetryOf, j.ConfirmedBy = idOrZero(retryOf), idOrZero(confirmedBy)
	j.ApprovedBy, j.CancelledBy = idOrZero(approvedBy), idOrZero(cancelledBy)
	if hasPreview {
		predicted.Invalid, preview.PredictedAt = j.Counts.Invalid, timeOrZero(predictedAt)
		j.Preview = &preview
	}
	j.Mails.Pending = mails - j.Mails.Sent - j.Mails.Failed - j.Mails.Unknown
	j.ReadAt = j.ReadAt.UTC()
	j.StartedAt, j.FinishedAt, j.Since = timeOrZero(started), timeOrZero(finished), timeOrZero(since)
	j.NotBefore, j.DueAt, j.QueuedAt = timeOrZero(notBefore), timeOrZero(due), timeOrZero(queued)
	j.CountedAt, j.ExpiresAt = timeOrZero(counted), timeOrZero(expires)
	return j, nil
}

// collectJobs returns a reader that appends an account's jobs to found.
func collectJobs(found *[]revocation.Job, account string, scan func(account string, row pgx.Row) (revocation.Job, error)) func(pgx.Rows) error {
	return eachRow(func(row pgx.Row) error {
		job, err := scan(account, row)
		*found = append(*found, job)
		return err
	})
}

func idOrZero(id *uuid) revocation.ID {
	if id == nil {
		return revocation.ID{}
	}
	return *id
}

var errNoJob = &revocation.Error{Code: revocation.CodeNotFound, Detail: "There is no such job in this account."}

// Job implements revocation.JobStore.
func (s *Store) Job(ctx context.Context, account string, id revocation.ID) (revocation.Job, error) {
	var found []revocation.Job
	batch := &pgx.Batch{}
	batch.Queue(selectJob+` AND j.id = $2`, account, uuid(id)).Query(collectJobs(&found, account, scanJob))
	err := s.readTx(ctx, "read a job", committing(batch))
	if err == nil && len(found) == 0 {
		err = errNoJob
	}
	if err != nil {
		return revocation.Job{}, err
	}
	return found[0], nil
}

// Jobs implements revocation.JobStore.
func (s *Store) Jobs(ctx context.Context, f revocation.JobFilter) (revocation.Page[revocation.Job], error) {
	f.Before, f.Scan = cmp.Or(f.Before, lastID), cmp.Or(f.Scan, revocation.PageScan)
	return readPage(ctx, s, "list jobs", f.Limit, jobList{f}, func(row pgx.Row) (revocation.Job, error) {
		return scanJob(f.Account, row)
	})
}

type jobList struct{ revocation.JobFilter }

func (jobList) descending() bool { return true }

const olderJobs = ` FROM jobs WHERE account_id = $1 AND id < $2 ORDER BY id DESC`

func (l jobList) rows() (string, []any) {
	args, inState := []any{l.Account, uuid(l.Before), l.Scan, l.Limit + 1}, ""
	if len(l.States) > 0 {
		states := make([]string, len(l.States))
		for i, state := range l.States {
			states[i] = string(state)
		}
		args = append(args, states)
		inState = ` AND CASE WHEN j.expires_at <= clock_timestamp() THEN 'EXPIRED' ELSE j.state END = ANY ($5::text[])`
	}
	return jobColumns + `(SELECT *` + olderJobs + ` LIMIT $3)` + jobFacts + inState + ` ORDER BY 1 DESC LIMIT $4`, args
}

func (l jobList) bound(last revocation.ID) (string, []any) {
	if last.IsZero() {
		return `SELECT id` + olderJobs + ` OFFSET $3 LIMIT 1`, []any{l.Account, uuid(l.Before), l.Scan - 1}
	}
	return `SELECT id` + olderJobs + ` LIMIT 0`, []any{l.Account, uuid(l.Before)} // rows has read all up to last
}

// lastID is greater than every id.
var lastID = revocation.ID{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
}

// queueCounts adds counts to the jobs' rows. Its statements must be the last of their transaction, because all workers wait for
// the locks of these rows. It writes the events of jobs that end, and appends the jobs to ended. singles are the events of
// single revocations, which are written for accounts that have such events.
func queueCounts(batch *pgx.Batch, counts []revocation.JobCount, ended *[]revocation.ID, singles ...revocation.Event) {
	for _, c := range counts {
		if c.Unknown > 0 {
			batch.Queue(`
				INSERT INTO job_mail_counts AS m (account_id, job_id, slot, unknown) VALUES ($1, $2, 0, $3)
				ON CONFLICT (account_id, job_id, slot) DO UPDATE SET unknown = m.unknown + excluded.unknown`,
				c.Account, uuid(c.Job), c.Unknown)
		}
	}
	for _, c := range counts {
		batch.Queue(addCount, c.Account, uuid(c.Job), c.Counts.Sum(), c.Retrying,
			c.Counts.Revoked, c.Counts.AlreadyRevoked, c.Counts.NotAllowed, c.Counts.NotFound,
			c.Counts.ErrorRevoking, c.Counts.Cancelled, c.Mails, c.Delegated, c.Counts.AlreadyStarted).QueryRow(func(row pgx.Row) error {
			var one int
			var isOver bool
			if err := row.Scan(&one, &isOver); err != nil {
				return err
			}
			if isOver {
				*ended = append(*ended, c.Job)
			}
			return nil
		})
	}
	queueFinished(batch, counts, singles)
}

// done is the number of final items of a job after $3 more.
const done = `(j.revoked + j.already_revoked + j.not_allowed + j.already_started + j.not_found + j.error_revoking + j.invalid + j.cancelled + $3)`

// addCount fails unless it changes one row. A CANCELLING job does not get started_at if only cancelled items are counted.
const addCount = `
	WITH counted AS (
		UPDATE jobs j SET retrying = j.retrying + $4,
			revoked = j.revoked + $5, already_revoked = j.already_revoked + $6, not_allowed = j.not_allowed + $7,
			not_found = j.not_found + $8, error_revoking = j.error_revoking + $9, cancelled = j.cancelled + $10,
			mails = j.mails + $11, delegated = j.delegated + $12, already_started = j.already_started + $13,
			state = CASE WHEN ` + done + ` < j.total THEN CASE j.state WHEN 'QUEUED' THEN 'RUNNING' ELSE j.state END
				WHEN j.state = 'CANCELLING' THEN 'CANCELLED' ELSE 'COMPLETED' END,
			started_at = coalesce(j.started_at, CASE WHEN j.state <> 'CANCELLING' OR $3 > $10 OR $4 > 0 THEN now() END),
			finished_at = CASE WHEN ` + done + ` = j.total THEN clock_timestamp() END,
			served_at = clock_timestamp(),
			older_sample_at = CASE WHEN j.newer_sample_at IS NULL THEN now()
				WHEN j.newer_sample_at <= clock_timestamp() - interval '5 s' THEN j.newer_sample_at ELSE j.older_sample_at END,
			older_sample_done = CASE WHEN j.newer_sample_at IS NULL THEN j.invalid
				WHEN j.newer_sample_at <= clock_timestamp() - interval '5 s' THEN j.newer_sample_done ELSE j.older_sample_done END,
			newer_sample_at = CASE WHEN j.newer_sample_at > clock_timestamp() - interval '5 s' THEN j.newer_sample_at ELSE clock_timestamp() END,
			newer_sample_done = CASE WHEN j.newer_sample_at > clock_timestamp() - interval '5 s' THEN j.newer_sample_done ELSE ` + done + ` END
		WHERE j.account_id = $1 AND j.id = $2
		RETURNING j.finished_at IS NOT NULL AS ended)
	SELECT 1 / count(*)::int, bool_or(ended) FROM counted`
