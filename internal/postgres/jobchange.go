package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// ChangeJob implements revocation.JobStore.
func (s *Store) ChangeJob(ctx context.Context, account string, id revocation.ID, change revocation.JobChange) (job revocation.Job, err error) {
	err = s.changesJob(ctx, "change a job", func(ctx context.Context, tx *tx) error {
		batch := &pgx.Batch{}
		queueLockJob(batch, account, id)
		var found []revocation.Job
		batch.Queue(selectJob+` AND j.id = $2`, account, uuid(id)).Query(collectJobs(&found, account, scanStoredJob))
		facts := queueJobFacts(batch, account)
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		if len(found) == 0 {
			return errNoJob
		}
		job = found[0]
		batch = &pgx.Batch{}
		changed, err := changeJob(ctx, tx, batch, &job, change, *facts)
		if err != nil || !changed {
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

// changesJob runs a transaction that calls changeJob, and repeats it if the account's platform has changed meanwhile.
func (s *Store) changesJob(ctx context.Context, name string, fn func(context.Context, *tx) error) (err error) {
	for range maxRounds {
		if err = s.change(ctx, name, fn); !miscounted(err) {
			break
		}
	}
	return err
}

// queueLockJob locks a job's row until the end of the transaction. Only a later statement sees what the previous owner of the
// lock has written.
func queueLockJob(batch *pgx.Batch, account string, id revocation.ID) {
	batch.Queue(`SELECT FROM jobs WHERE account_id = $1 AND id = $2 FOR NO KEY UPDATE`, account, uuid(id))
}

// queueReadJob reads the changed job into job.
func queueReadJob(batch *pgx.Batch, job *revocation.Job) {
	account := job.Account
	batch.Queue(selectJob+` AND j.id = $2`, account, uuid(job.ID)).QueryRow(func(row pgx.Row) (err error) {
		*job, err = scanJob(account, row)
		return err
	})
}

// queueJobFacts reads the facts on which a change of a job depends, except Recent.
func queueJobFacts(batch *pgx.Batch, account string) *revocation.JobFacts {
	facts := &revocation.JobFacts{}
	batch.Queue(`
		SELECT hold_seconds, confirm_above, approve_above, upstream_url IS NOT NULL, clock_timestamp()
		FROM accounts WHERE account_id = $1`, account).Query(func(rows pgx.Rows) error {
		var hold int
		_, err := pgx.ForEachRow(rows, []any{
			&hold, &facts.Settings.ConfirmAbove, &facts.Settings.ApproveAbove, &facts.Upstream, &facts.Now,
		}, func() error { return nil })
		facts.Settings.Hold, facts.Now = time.Duration(hold)*time.Second, facts.Now.UTC()
		return err
	})
	return facts
}

// changeJob applies a change to a job, whose row must be locked. It adds the statements that write the job and its events to
// batch, and reports whether the job has changed. The caller must commit batch, and may add only statements that read. In an
// account with limits, changeJob locks the account's row first, so that each change that counts for a limit sees the previous
// ones.
func changeJob(ctx context.Context, tx *tx, batch *pgx.Batch, job *revocation.Job, change revocation.JobChange, facts revocation.JobFacts) (changed bool, err error) {
	if change.Kind.NeedsRecent(facts.Settings) {
		locked := &pgx.Batch{}
		locked.Queue(`SELECT FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE`, job.Account)
		now := queueJobFacts(locked, job.Account)
		queueRecent(locked, job, &now.Recent)
		if err := tx.send(ctx, locked); err != nil {
			return false, err
		}
		facts = *now
	}
	was := job.State
	events, err := job.Change(change, facts)
	if err != nil || len(events) == 0 {
		return false, err
	}
	queueJob(batch, job, was)
	if job.QueuedAt.IsZero() && !job.Ended() {
		queueSamePlatform(batch, job.Account, facts.Upstream)
	}
	queueEvents(batch, revocation.JobEvents(job, change.By, events...))
	return true, nil
}

// queueJob writes a changed job. was is its state before the change.
func queueJob(batch *pgx.Batch, j *revocation.Job, was revocation.JobState) {
	var predicted revocation.PredictedCounts
	var emails *int
	var predictedAt time.Time
	if j.Preview != nil {
		predicted, emails, predictedAt = j.Preview.Predicted, j.Preview.Emails, j.Preview.PredictedAt
	}
	exactly(batch, 1, `
		UPDATE jobs SET state = $4, lease_until = NULL, due_at = $5, queued_at = $6, counted_at = $7, expires_at = $8,
			finished_at = $9, confirmed_by = $10, approved_by = $11, cancelled_by = $12, cancelled = $13, preview = $14,
			predicted_at = $15, predicted_revoked = $16, predicted_already_revoked = $17, predicted_not_allowed = $18,
			predicted_not_found = $19, predicted_already_started = $20, predicted_unknown = $21, predicted_emails = $22
		WHERE account_id = $1 AND id = $2 AND state = $3`,
		j.Account, uuid(j.ID), string(was), string(j.State), optionalTime(j.DueAt), optionalTime(j.QueuedAt),
		optionalTime(j.CountedAt), optionalTime(j.ExpiresAt), optionalTime(j.FinishedAt),
		optionalID(j.ConfirmedBy), optionalID(j.ApprovedBy), optionalID(j.CancelledBy), j.Counts.Cancelled,
		j.Preview != nil, optionalTime(predictedAt), predicted.Revoked, predicted.AlreadyRevoked, predicted.NotAllowed,
		predicted.NotFound, predicted.AlreadyStarted, predicted.Unknown, emails)
}

// queueSamePlatform aborts the transaction if the account's platform has changed since it was read, and locks the platform
// until the commit. A change of the platform must find all jobs that have not begun, because it cancels them.
func queueSamePlatform(batch *pgx.Batch, account string, upstream bool) {
	batch.Queue(`
		SELECT 1 / count(*)::int FROM (
			SELECT FROM accounts WHERE account_id = $1 AND (upstream_url IS NOT NULL) = $2 FOR NO KEY UPDATE) AS a`,
		account, upstream)
}

// queueRecent reads revocation.RecentItems, without the job itself. A job has at least one item, so it is enough to read one
// job more than the limit.
func queueRecent(batch *pgx.Batch, job *revocation.Job, recent *revocation.RecentItems) {
	batch.Queue(`SELECT `+sumOfItems(`NOT preview`, `confirm_above`)+`, `+sumOfItems(`approved_by IS NULL`, `approve_above`),
		job.Account, uuid(job.ID), revocation.LimitWindow.Seconds()).QueryRow(func(row pgx.Row) error {
		return row.Scan(&recent.Unpreviewed, &recent.Unapproved)
	})
}

// sumOfItems returns a sub-select of the sum of the items of jobs that count for a limit and meet a condition. SCHEDULED jobs
// and recently counted jobs have different indexes; OFFSET keeps the planner from mixing the conditions.
func sumOfItems(condition, limit string) string {
	const (
		since   = `statement_timestamp() - make_interval(secs => $3)`
		counted = `
			SELECT CASE WHEN preview THEN predicted_revoked + predicted_unknown ELSE total - invalid END AS items
			FROM (SELECT * FROM jobs WHERE account_id = $1 AND `
		counts = ` AND id <> $2
				AND (queued_at IS NOT NULL OR state NOT IN ('CANCELLING', 'CANCELLED', 'EXPIRED', 'DROPPED') AND coalesce(expires_at > clock_timestamp(), true))
				AND `
	)
	return `(SELECT coalesce(sum(items), 0)::int8 FROM (
		SELECT items FROM (` +
		counted + `counted_at > ` + since + ` OFFSET 0) AS j WHERE true` + counts + condition + ` UNION ALL ` +
		counted + `state IN ('PREVIEWING', 'PREVIEWED', 'AWAITING_APPROVAL', 'SCHEDULED') AND state = 'SCHEDULED' OFFSET 0) AS j
			WHERE counted_at <= ` + since + counts + condition + `) AS j
		WHERE items > 0
		LIMIT coalesce((SELECT ` + limit + ` + 1 FROM accounts WHERE account_id = $1), 0)) AS j)`
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func optionalID(id revocation.ID) *uuid {
	if id.IsZero() {
		return nil
	}
	return (*uuid)(&id)
}
