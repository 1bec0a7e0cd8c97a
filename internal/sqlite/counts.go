package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"rescind/internal/revocation"
)

// markInterval is the least time between the two samples from which a job's speed is computed.
const markInterval = 5 * time.Second

// addCounts adds counts to the jobs' counters, and returns the jobs that have ended. It writes their events. began is when the
// transaction began. The caller must call it last in the transaction.
func addCounts(ctx context.Context, tx *sql.Tx, began time.Time, counts []revocation.JobCount) (ended []revocation.ID, err error) {
	now := time.Now()
	for _, count := range counts {
		c := count.Counts
		if count.Unknown > 0 {
			if err := exec(ctx, tx, `
				INSERT INTO job_mail_counts (account_id, job_id, slot, unknown) VALUES (?1, ?2, 0, ?3)`+addToMailCount,
				count.Account, count.Job.String(), count.Unknown); err != nil {
				return nil, err
			}
		}
		var done bool
		err := tx.QueryRowContext(ctx, addCount,
			sql.Named("account", count.Account), sql.Named("job", count.Job.String()),
			sql.Named("revoked", c.Revoked), sql.Named("already_revoked", c.AlreadyRevoked),
			sql.Named("not_allowed", c.NotAllowed), sql.Named("already_started", c.AlreadyStarted), sql.Named("not_found", c.NotFound),
			sql.Named("error_revoking", c.ErrorRevoking), sql.Named("invalid", c.Invalid),
			sql.Named("cancelled", c.Cancelled), sql.Named("sum", c.Sum()), sql.Named("retrying", count.Retrying),
			sql.Named("mails", count.Mails), sql.Named("delegated", count.Delegated),
			sql.Named("began", micros(began)), sql.Named("now", micros(now)),
			sql.Named("old", micros(now.Add(-markInterval))),
		).Scan(&done)
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("count for a job that is not being carried out: %w", err)
		}
		if err != nil {
			return nil, err
		}
		if done {
			ended = append(ended, count.Job)
			if err := addFinished(ctx, tx, now, count.Account, count.Job); err != nil {
				return nil, err
			}
		}
	}
	return ended, nil
}

// addCount updates a job. Times are in microseconds. Expressions to the right of = see the old row. A CANCELLING job does not
// get started_at if only cancelled items are counted.
const addCount = `
	UPDATE jobs AS j
	SET revoked = j.revoked + :revoked, already_revoked = j.already_revoked + :already_revoked,
	    not_allowed = j.not_allowed + :not_allowed, already_started = j.already_started + :already_started,
	    not_found = j.not_found + :not_found,
	    error_revoking = j.error_revoking + :error_revoking, invalid = j.invalid + :invalid,
	    cancelled = j.cancelled + :cancelled,
	    retrying = j.retrying + :retrying, mails = j.mails + :mails, delegated = j.delegated + :delegated,
	    state = CASE
	        WHEN p.done < j.total THEN iif(j.state = 'QUEUED', 'RUNNING', j.state)
	        ELSE iif(j.state = 'CANCELLING', 'CANCELLED', 'COMPLETED') END,
	    finished_at = CASE WHEN p.done = j.total THEN :now END,
	    started_at = coalesce(j.started_at, iif(j.state <> 'CANCELLING' OR :sum > :cancelled OR :retrying > 0, :began, NULL)),
	    served_at = :now,
	    older_sample_at = CASE WHEN j.newer_sample_at IS NULL THEN :began WHEN j.newer_sample_at <= :old THEN j.newer_sample_at ELSE j.older_sample_at END,
	    older_sample_done = CASE WHEN j.newer_sample_at IS NULL THEN j.invalid WHEN j.newer_sample_at <= :old THEN j.newer_sample_done ELSE j.older_sample_done END,
	    newer_sample_at = iif(j.newer_sample_at > :old, j.newer_sample_at, :now),
	    newer_sample_done = iif(j.newer_sample_at > :old, j.newer_sample_done, p.done)
	FROM (SELECT revoked + already_revoked + not_allowed + already_started + not_found + error_revoking + invalid + cancelled + :sum AS done
	      FROM jobs WHERE account_id = :account AND id = :job) AS p
	WHERE j.account_id = :account AND j.id = :job AND j.state IN ` + activeStates + `
	RETURNING finished_at IS NOT NULL`

// addMailCount counts a settled email of a job. status is SENT, FAILED, UNKNOWN or SKIPPED.
func addMailCount(ctx context.Context, tx *sql.Tx, account, job string, status revocation.NotificationStatus) error {
	return exec(ctx, tx, `
		INSERT INTO job_mail_counts (account_id, job_id, slot, sent, failed, unknown, skipped)
		VALUES (?1, ?2, 0, ?3 = 'SENT', ?3 = 'FAILED', ?3 = 'UNKNOWN', ?3 = 'SKIPPED')`+addToMailCount,
		account, job, string(status))
}

const addToMailCount = `
	ON CONFLICT (account_id, job_id, slot) DO UPDATE
	SET sent = sent + excluded.sent, failed = failed + excluded.failed, unknown = unknown + excluded.unknown,
	    skipped = skipped + excluded.skipped`
