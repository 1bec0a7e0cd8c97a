package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"time"

	"rescind/internal/revocation"
)

// Jobs in hiddenStates and their items are not visible. The lists of states have the same text as in the indexes' conditions;
// otherwise SQLite does not use the indexes.
const (
	hiddenStates = `('RECEIVING', 'DROPPED')`
	activeStates = `('QUEUED', 'RUNNING', 'CANCELLING')`
)

// visibleJob returns the condition that callers may see the items of the job j at the time now.
func visibleJob(now string) string {
	return `j.state NOT IN ('RECEIVING', 'DROPPED', 'EXPIRED') AND (j.expires_at IS NULL OR j.expires_at > ` + now + `)`
}

// endOfItems returns an id that is greater than the ids of all items of a job, because their rows have 31 bits. The job's own
// id is less than all of them.
func endOfItems(job revocation.ID) revocation.ID {
	job[12] = 1 << 7
	return job
}

const selectJob = `
	SELECT j.account_id, j.id, j.label, j.file, j.state, j.retry_of, j.requested_by, j.total, j.retrying,
	       j.revoked, j.already_revoked, j.not_allowed, j.already_started, j.not_found, j.error_revoking, j.invalid, j.cancelled,
	       j.mails - coalesce(t.skipped, 0), coalesce(t.sent, 0), coalesce(t.failed, 0), coalesce(t.unknown, 0), j.delegated,
	       j.started_at, j.finished_at, j.older_sample_at, j.older_sample_done,
	       j.reason, j.candidate_message, j.not_before, j.due_at, j.queued_at, j.counted_at, j.expires_at,
	       j.confirmed_by, j.approved_by, j.cancelled_by,
	       j.preview, j.predicted_at, j.predicted_revoked, j.predicted_already_revoked, j.predicted_not_allowed,
	       j.predicted_not_found, j.predicted_already_started, j.predicted_unknown, j.predicted_emails
	FROM jobs AS j
	LEFT JOIN job_mail_counts AS t ON t.account_id = j.account_id AND t.job_id = j.id AND t.slot = 0
	WHERE j.account_id = ? AND j.state NOT IN ` + hiddenStates

// Job implements revocation.JobStore.
func (s *Store) Job(ctx context.Context, account string, id revocation.ID) (revocation.Job, error) {
	var job revocation.Job
	err := s.readTx(ctx, "read job", func(ctx context.Context, tx *sql.Tx) (err error) {
		job, err = readJob(ctx, tx, account, id)
		return err
	})
	return job, err
}

func readJob(ctx context.Context, q querier, account string, id revocation.ID) (revocation.Job, error) {
	return readJobBy(ctx, q, scanJob, account, id)
}

func readJobBy(ctx context.Context, q querier, scan func(*sql.Rows) (revocation.Job, error), account string, id revocation.ID) (revocation.Job, error) {
	found, err := query(ctx, q, scan, selectJob+` AND j.id = ?`, account, id.String())
	if err == nil && len(found) == 0 {
		err = notFound("There is no such job in this account.")
	}
	if err != nil {
		return revocation.Job{}, err
	}
	return found[0], nil
}

// Jobs implements revocation.JobStore.
func (s *Store) Jobs(ctx context.Context, f revocation.JobFilter) (page revocation.Page[revocation.Job], err error) {
	l := list[revocation.Job]{
		rows:       `SELECT id FROM jobs WHERE account_id = ? AND id < ? ORDER BY id DESC`,
		descending: true, entries: selection{selectJob, []any{f.Account}}, id: `j.id`, scan: scanJob, limit: f.Limit,
	}
	if len(f.States) > 0 {
		args := []any{micros(time.Now())}
		for _, state := range f.States {
			args = append(args, string(state))
		}
		l.entries.where(`iif(j.expires_at <= ?, 'EXPIRED', j.state) IN (?`+strings.Repeat(`, ?`, len(f.States)-1)+`)`, args...)
	}
	before := "g" // greater than every id
	if !f.Before.IsZero() {
		before = f.Before.String()
	}
	err = s.readTx(ctx, "list jobs", func(ctx context.Context, tx *sql.Tx) error {
		_, err := l.read(ctx, tx, &page, cmp.Or(f.Scan, revocation.PageScan), f.Account, before)
		return err
	})
	return page, err
}

// scanJob reads a job as callers see it: EXPIRED if its expires_at has passed.
func scanJob(rows *sql.Rows) (revocation.Job, error) {
	j, err := scanStoredJob(rows)
	if err == nil {
		j.Expire(j.ReadAt)
	}
	return j, err
}

// scanStoredJob reads a job in its stored state.
func scanStoredJob(rows *sql.Rows) (j revocation.Job, err error) {
	var (
		mails                                            int
		startedAt, finishedAt, since, predictedAt        sql.Null[int64]
		notBefore, dueAt, queuedAt, countedAt, expiresAt sql.Null[int64]
		hasPreview                                       bool
		preview                                          revocation.Preview
	)
	var file []byte
	c, m, p := &j.Counts, &j.Mails, &preview.Predicted
	err = rows.Scan(
		&j.Account, scannedID{&j.ID}, &j.Label, &file, &j.State, optionalID{&j.RetryOf}, scannedID{&j.RequestedBy},
		&j.Total, &j.Retrying,
		&c.Revoked, &c.AlreadyRevoked, &c.NotAllowed, &c.AlreadyStarted, &c.NotFound, &c.ErrorRevoking, &c.Invalid, &c.Cancelled,
		&mails, &m.Sent, &m.Failed, &m.Unknown, &m.Delegated,
		&startedAt, &finishedAt, &since, &j.SinceDone,
		&j.Reason, &j.CandidateMessage, &notBefore, &dueAt, &queuedAt, &countedAt, &expiresAt,
		optionalID{&j.ConfirmedBy}, optionalID{&j.ApprovedBy}, optionalID{&j.CancelledBy},
		&hasPreview, &predictedAt, &p.Revoked, &p.AlreadyRevoked, &p.NotAllowed,
		&p.NotFound, &p.AlreadyStarted, &p.Unknown, &preview.Emails)
	m.Pending = mails - m.Sent - m.Failed - m.Unknown
	j.StartedAt, j.FinishedAt, j.Since = moment(startedAt), moment(finishedAt), moment(since)
	j.NotBefore, j.DueAt, j.QueuedAt = moment(notBefore), moment(dueAt), moment(queuedAt)
	j.CountedAt, j.ExpiresAt = moment(countedAt), moment(expiresAt)
	if hasPreview {
		p.Invalid, preview.PredictedAt = c.Invalid, moment(predictedAt)
		j.Preview = &preview
	}
	j.ReadAt = time.Now().UTC().Truncate(time.Microsecond)
	if err == nil && file != nil {
		err = json.Unmarshal(file, &j.File)
	}
	return j, err
}
