package sqlite

import (
	"context"
	"database/sql"
	"time"

	"rescind/internal/revocation"
)

// ChangeJob implements revocation.JobStore.
func (s *Store) ChangeJob(ctx context.Context, account string, id revocation.ID, change revocation.JobChange) (job revocation.Job, err error) {
	err = s.write(ctx, "change job", func(tx *sql.Tx, now time.Time) error {
		if job, err = readJobBy(ctx, tx, scanStoredJob, account, id); err != nil {
			return err
		}
		return changeJob(ctx, tx, now, &job, change)
	})
	if err != nil {
		return revocation.Job{}, err
	}
	return job, nil
}

// changeJob applies a change to a job that this transaction has read, and writes the job and its events.
func changeJob(ctx context.Context, tx *sql.Tx, now time.Time, job *revocation.Job, c revocation.JobChange) error {
	facts, err := jobFacts(ctx, tx, now, job, c.Kind)
	if err != nil {
		return err
	}
	was := job.State
	events, err := job.Change(c, facts)
	if err != nil || len(events) == 0 {
		return err
	}
	if err := writeJob(ctx, tx, job, was); err != nil {
		return err
	}
	return addEvents(ctx, tx, now, revocation.JobEvents(job, c.By, events...)...)
}

// jobFacts reads the facts on which a change of a job depends.
func jobFacts(ctx context.Context, tx *sql.Tx, now time.Time, job *revocation.Job, kind revocation.JobChangeKind) (f revocation.JobFacts, err error) {
	f.Now = now.UTC().Truncate(time.Microsecond)
	var hold int64
	err = tx.QueryRowContext(ctx, `
		SELECT hold_seconds, confirm_above, approve_above, upstream_url IS NOT NULL FROM accounts WHERE account_id = ?1`,
		job.Account).Scan(&hold, &f.Settings.ConfirmAbove, &f.Settings.ApproveAbove, &f.Upstream)
	f.Settings.Hold = time.Duration(hold) * time.Second
	if err != nil || !kind.NeedsRecent(f.Settings) {
		return f, err
	}
	for _, sum := range []struct {
		items     *int
		limit     *int
		statement string
	}{
		{&f.Recent.Unpreviewed, f.Settings.ConfirmAbove, sumOfItems(`NOT preview`)},
		{&f.Recent.Unapproved, f.Settings.ApproveAbove, sumOfItems(`approved_by IS NULL`)},
	} {
		if sum.limit == nil {
			continue
		}
		// A job has at least one item, so it is enough to read one job more than the limit.
		if err := tx.QueryRowContext(ctx, sum.statement, sql.Named("account", job.Account), sql.Named("job", job.ID.String()),
			sql.Named("since", micros(now.Add(-revocation.LimitWindow))), sql.Named("now", micros(now)),
			sql.Named("jobs", *sum.limit+1)).Scan(sum.items); err != nil {
			return f, err
		}
	}
	return f, nil
}

// sumOfItems returns a statement that sums the items of an account's other jobs that count for a limit and meet a condition;
// see revocation.RecentItems.
func sumOfItems(condition string) string {
	counted := func(index, which string) string {
		return `
			SELECT iif(preview, predicted_revoked + predicted_unknown, total - invalid) AS items
			FROM jobs INDEXED BY ` + index + `
			WHERE account_id = :account AND id <> :job AND ` + which + ` AND ` + condition + `
			  AND (queued_at IS NOT NULL
			       OR state NOT IN ('CANCELLING', 'CANCELLED', 'EXPIRED', 'DROPPED') AND (expires_at IS NULL OR expires_at > :now))`
	}
	return `
		SELECT coalesce(sum(items), 0) FROM (
			SELECT items FROM (` + counted(`jobs_counted`, `counted_at IS NOT NULL AND counted_at > :since`) + `
				UNION ALL` + counted(`jobs_waiting`, waitingJob+` AND state = 'SCHEDULED' AND counted_at <= :since`) + `)
			WHERE items > 0 LIMIT :jobs)`
}

// waitingJob is the condition of the index jobs_waiting.
const waitingJob = `state IN ('PREVIEWING', 'PREVIEWED', 'AWAITING_APPROVAL', 'SCHEDULED')`

// writeJob writes a changed job. was is its state before the change.
func writeJob(ctx context.Context, tx *sql.Tx, j *revocation.Job, was revocation.JobState) error {
	var p revocation.Preview
	if j.Preview != nil {
		p = *j.Preview
	}
	return exec(ctx, tx, `
		UPDATE jobs
		SET state = :state, lease_until = NULL, due_at = :due_at, queued_at = :queued_at, counted_at = :counted_at,
		    expires_at = :expires_at, finished_at = :finished_at,
		    confirmed_by = :confirmed_by, approved_by = :approved_by, cancelled_by = :cancelled_by, cancelled = :cancelled,
		    preview = :preview, predicted_at = :predicted_at, predicted_revoked = :revoked,
		    predicted_already_revoked = :already_revoked, predicted_not_allowed = :not_allowed, predicted_not_found = :not_found,
		    predicted_already_started = :already_started, predicted_unknown = :unknown, predicted_emails = :emails
		WHERE account_id = :account AND id = :job AND state = :was`,
		sql.Named("account", j.Account), sql.Named("job", j.ID.String()), sql.Named("was", string(was)),
		sql.Named("state", string(j.State)), sql.Named("due_at", optionalMicros(j.DueAt)),
		sql.Named("queued_at", optionalMicros(j.QueuedAt)), sql.Named("counted_at", optionalMicros(j.CountedAt)),
		sql.Named("expires_at", optionalMicros(j.ExpiresAt)), sql.Named("finished_at", optionalMicros(j.FinishedAt)),
		sql.Named("confirmed_by", optionalText(j.ConfirmedBy)), sql.Named("approved_by", optionalText(j.ApprovedBy)),
		sql.Named("cancelled_by", optionalText(j.CancelledBy)), sql.Named("cancelled", j.Counts.Cancelled),
		sql.Named("preview", j.Preview != nil), sql.Named("predicted_at", optionalMicros(p.PredictedAt)),
		sql.Named("revoked", p.Predicted.Revoked), sql.Named("already_revoked", p.Predicted.AlreadyRevoked),
		sql.Named("not_allowed", p.Predicted.NotAllowed), sql.Named("not_found", p.Predicted.NotFound),
		sql.Named("already_started", p.Predicted.AlreadyStarted), sql.Named("unknown", p.Predicted.Unknown),
		sql.Named("emails", p.Emails))
}
