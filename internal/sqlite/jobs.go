package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"rescind/internal/revocation"
)

// A job that is being received, or was dropped, is not to be seen, and neither are its items. The list of
// states is the index's, to the letter: otherwise SQLite does not use it.
const (
	hiddenStates = `('RECEIVING', 'DROPPED')`
	activeStates = `('QUEUED', 'RUNNING', 'CANCELLING')`
)

// endOfItems is above the ids of all items of a job, since their rows are numbered in 31 bits; the job's own id
// is below them.
func endOfItems(job revocation.ID) revocation.ID {
	job[12] = 1 << 7
	return job
}

const selectJob = `
	SELECT j.account_id, j.id, j.label, j.file, j.state, j.retry_of, j.requested_by, j.total, j.retrying,
	       j.revoked, j.already_revoked, j.not_allowed, j.already_started, j.not_found, j.error_revoking, j.invalid, j.cancelled,
	       j.mails, coalesce(t.sent, 0), coalesce(t.failed, 0), coalesce(t.unknown, 0), j.delegated,
	       j.started_at, j.finished_at, j.older_sample_at, j.older_sample_done
	FROM jobs AS j
	LEFT JOIN job_mail_counts AS t ON t.account_id = j.account_id AND t.job_id = j.id AND t.slot = 0
	WHERE j.account_id = ?1 AND j.state NOT IN ` + hiddenStates

// Job gives one by its id.
func (s *Store) Job(ctx context.Context, account string, id revocation.ID) (revocation.Job, error) {
	var job revocation.Job
	err := s.look(ctx, "read job", func(ctx context.Context, tx *sql.Tx) (err error) {
		job, err = readJob(ctx, tx, account, id)
		return err
	})
	return job, err
}

func readJob(ctx context.Context, q querier, account string, id revocation.ID) (revocation.Job, error) {
	found, err := query(ctx, q, scanJob, selectJob+` AND j.id = ?2`, account, id.String())
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
		rows:    `SELECT id FROM jobs WHERE account_id = ? AND id < ? ORDER BY id DESC`,
		falling: true, entries: selection{selectJob, []any{f.Account}}, id: `j.id`, scan: scanJob, limit: f.Limit,
	}
	before := "g" // above all ids
	if !f.Before.IsZero() {
		before = f.Before.String()
	}
	err = s.look(ctx, "list jobs", func(ctx context.Context, tx *sql.Tx) error {
		_, err := l.read(ctx, tx, &page, cmp.Or(f.Scan, revocation.PageScan), f.Account, before)
		return err
	})
	return page, err
}

func scanJob(rows *sql.Rows) (j revocation.Job, err error) {
	var (
		mails                        int
		startedAt, finishedAt, since sql.Null[int64]
	)
	var file []byte
	c, m := &j.Counts, &j.Mails
	err = rows.Scan(
		&j.Account, scannedID{&j.ID}, &j.Label, &file, &j.State, optionalID{&j.RetryOf}, scannedID{&j.RequestedBy},
		&j.Total, &j.Retrying,
		&c.Revoked, &c.AlreadyRevoked, &c.NotAllowed, &c.AlreadyStarted, &c.NotFound, &c.ErrorRevoking, &c.Invalid, &c.Cancelled,
		&mails, &m.Sent, &m.Failed, &m.Unknown, &m.Delegated,
		&startedAt, &finishedAt, &since, &j.SinceDone)
	m.Pending = mails - m.Sent - m.Failed - m.Unknown
	j.StartedAt, j.FinishedAt, j.Since = moment(startedAt), moment(finishedAt), moment(since)
	j.ReadAt = time.Now().UTC().Truncate(time.Microsecond)
	if err == nil && file != nil {
		err = json.Unmarshal(file, &j.File)
	}
	return j, err
}

// CancelJob makes a job CANCELLING.
func (s *Store) CancelJob(ctx context.Context, account string, id revocation.ID) (revocation.Job, error) {
	var job revocation.Job
	err := s.write(ctx, "cancel job", func(tx *sql.Tx, _ time.Time) error {
		var err error
		if job, err = readJob(ctx, tx, account, id); err != nil {
			return err
		}
		switch job.State {
		case revocation.JobCompleted:
			return &revocation.Error{Code: revocation.CodeJobEnded, Detail: "The job has ended."}
		case revocation.JobCancelled:
			return nil
		}
		job.State = revocation.JobCancelling
		return exec(ctx, tx, `
			UPDATE jobs SET state = 'CANCELLING' WHERE account_id = ?1 AND id = ?2`, account, id.String())
	})
	if err != nil {
		return revocation.Job{}, err
	}
	return job, nil
}
