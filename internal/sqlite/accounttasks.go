package sqlite

import (
	"context"
	"database/sql"
	"time"

	"rescind/internal/revocation"
)

// unsettled is the condition of the indexes on emails. SQLite uses them only if the text of the condition is the same.
const unsettled = `status IN ('PENDING', 'CLAIMED', 'COMMITTED')`

// PendingWork implements revocation.DispatchStore.
func (s *Store) PendingWork(ctx context.Context) (pending revocation.PendingWork, err error) {
	now := sql.Named("now", micros(time.Now()))
	err = s.readers.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM work_items WHERE `+dueSingle+`), EXISTS (SELECT 1 FROM notifications WHERE `+dueMail+`)`, now).
		Scan(&pending.Revocations, &pending.Notifications)
	if err != nil {
		return revocation.PendingWork{}, fault("find pending work", err)
	}
	scan := func(rows *sql.Rows) (w revocation.AccountWork, err error) {
		err = rows.Scan(&w.Task, &w.Account)
		return w, err
	}
	for _, statement := range []string{workOnItems, workOnMails} {
		found, err := query(ctx, s.readers, scan, statement, now)
		if err != nil {
			return revocation.PendingWork{}, fault("find pending work", err)
		}
		pending.AccountTasks = append(pending.AccountTasks, found...)
	}
	for change, statement := range dueJobs {
		found, err := query(ctx, s.readers, scanRowID, statement, now, sql.Named("limit", revocation.MaxDueJobs))
		if err != nil {
			return revocation.PendingWork{}, fault("find pending work", err)
		}
		for _, ref := range found {
			pending.Jobs = append(pending.Jobs, revocation.DueJob{Account: ref.Account, ID: ref.ID, Change: change})
		}
	}
	return pending, nil
}

func scanRowID(rows *sql.Rows) (ref revocation.Ref, err error) {
	err = rows.Scan(&ref.Account, scannedID{&ref.ID})
	return ref, err
}

// dueJobs reads the jobs that are due or have expired, earliest first.
var dueJobs = map[revocation.JobChangeKind]string{
	revocation.ChangeDue: `
		SELECT account_id, id FROM jobs INDEXED BY jobs_scheduled
		WHERE state = 'SCHEDULED' AND due_at <= :now ORDER BY due_at LIMIT :limit`,
	revocation.ChangeExpire: `
		SELECT account_id, id FROM jobs INDEXED BY jobs_expiring
		WHERE state IN ('PREVIEWED', 'AWAITING_APPROVAL') AND expires_at <= :now ORDER BY expires_at LIMIT :limit`,
}

const (
	// workOnItems reads the accounts with due work items that are left to account tasks, with chunks, with items to cancel, or
	// with previews. A hold of the upstream does not delay cancelling. The recursion goes from account to account, however many
	// rows each has.
	workOnItems = `
		WITH RECURSIVE pulling (account_id) AS (
			SELECT (SELECT account_id FROM work_items INDEXED BY work_items_account_due
			        WHERE account_scheduled ORDER BY account_id LIMIT 1)
			UNION ALL
			SELECT (SELECT o.account_id FROM work_items AS o INDEXED BY work_items_account_due
			        WHERE o.account_scheduled AND o.account_id > pulling.account_id ORDER BY o.account_id LIMIT 1)
			FROM pulling WHERE pulling.account_id IS NOT NULL),
		found (account_id, cancels) AS (
			SELECT account_id, 0 FROM pulling
			WHERE EXISTS (` + dueOfAccount + ` AND o.single = 1) OR EXISTS (` + dueOfAccount + ` AND o.single = 0)
			UNION
			SELECT j.account_id, j.state = 'CANCELLING' FROM jobs AS j INDEXED BY jobs_active
			WHERE j.state IN ` + activeStates + ` AND (
				EXISTS (SELECT 1 FROM chunks AS c WHERE c.account_id = j.account_id AND c.job_id = j.id)
				OR j.state = 'CANCELLING' AND EXISTS (SELECT 1 FROM work_items AS o WHERE ` + waitsOfJob + `))
			UNION
			SELECT j.account_id, 0 FROM jobs AS j INDEXED BY jobs_previewing
			CROSS JOIN accounts AS a ON a.account_id = j.account_id AND a.upstream_url IS NULL
			WHERE j.state = 'PREVIEWING')
		SELECT DISTINCT iif(a.upstream_url IS NULL, '` + string(revocation.JobsTask) + `', '` + string(revocation.UpstreamTask) + `'),
		       a.account_id
		FROM found CROSS JOIN accounts AS a ON a.account_id = found.account_id
		WHERE found.cancels OR a.upstream_held_until IS NULL OR a.upstream_held_until <= :now`

	dueOfAccount = `
		SELECT 1 FROM work_items AS o INDEXED BY work_items_account_due
		WHERE o.account_id = pulling.account_id AND o.account_scheduled AND o.next_check_at <= :now`

	// waitsOfJob is the condition that o is a work item of job j, by the range of its ids, and can be cancelled.
	waitsOfJob = `o.account_id = j.account_id AND o.revocation_id > j.id
		AND o.revocation_id < substr(j.id, 1, 28) || '80000000' AND NOT o.claimed AND NOT o.in_doubt`

	workOnMails = `
		WITH RECURSIVE mailing (account_id) AS (
			SELECT (SELECT account_id FROM notifications INDEXED BY notifications_job_due
			        WHERE ` + unsettled + ` AND job_id IS NOT NULL ORDER BY account_id LIMIT 1)
			UNION ALL
			SELECT (SELECT n.account_id FROM notifications AS n INDEXED BY notifications_job_due
			        WHERE n.account_id > mailing.account_id AND ` + unsettled + ` AND job_id IS NOT NULL
			        ORDER BY n.account_id LIMIT 1)
			FROM mailing WHERE mailing.account_id IS NOT NULL)
		SELECT '` + string(revocation.MailTask) + `', account_id FROM mailing
		WHERE EXISTS (SELECT 1 FROM notifications AS n INDEXED BY notifications_job_due
		              WHERE n.account_id = mailing.account_id AND n.next_check_at <= :now AND ` + unsettled + ` AND job_id IS NOT NULL)`
)

// ClaimDueItems implements revocation.BulkStore. Single submissions come first; the oldest of each come first.
func (s *Store) ClaimDueItems(ctx context.Context, account string, limit int, visibilityTimeouts []time.Duration) ([]revocation.DueAttempt, error) {
	return s.claimItems(ctx, "claim due items", visibilityTimeouts, func(tx *sql.Tx, now time.Time) ([]revocation.DueAttempt, error) {
		return dueOfAccountTasks(ctx, tx, account, limit, now)
	})
}

// ClaimCancelledItems implements revocation.BulkStore.
func (s *Store) ClaimCancelledItems(ctx context.Context, account string, limit int, visibilityTimeouts []time.Duration) ([]revocation.DueAttempt, error) {
	return s.claimItems(ctx, "claim cancelled items", visibilityTimeouts, func(tx *sql.Tx, _ time.Time) ([]revocation.DueAttempt, error) {
		return query(ctx, tx, scanDue, rowsToCancel, account, limit)
	})
}

// claimItems claims the work items that find returns.
func (s *Store) claimItems(
	ctx context.Context, doing string, visibilityTimeouts []time.Duration, find func(*sql.Tx, time.Time) ([]revocation.DueAttempt, error),
) (due []revocation.DueAttempt, err error) {
	err = s.write(ctx, doing, func(tx *sql.Tx, now time.Time) error {
		due, err = find(tx, now)
		if err != nil {
			return err
		}
		return stampDue(ctx, tx, now, due, visibilityTimeouts)
	})
	if err != nil {
		return nil, err
	}
	return due, nil
}

const rowsToCancel = `
	SELECT o.account_id, o.revocation_id, o.attempt, o.dispatch_count + 1, false
	FROM jobs AS j INDEXED BY jobs_active
	CROSS JOIN work_items AS o ON ` + waitsOfJob + `
	WHERE j.account_id = ?1 AND j.state IN ` + activeStates + ` AND j.state = 'CANCELLING'
	LIMIT ?2`

func dueOfAccountTasks(ctx context.Context, tx *sql.Tx, account string, limit int, now time.Time) (due []revocation.DueAttempt, err error) {
	for _, single := range []bool{true, false} {
		found, err := query(ctx, tx, scanDue, `
			SELECT account_id, revocation_id, attempt, dispatch_count + 1, false FROM work_items INDEXED BY work_items_account_due
			WHERE account_id = ?1 AND single = ?2 AND account_scheduled AND next_check_at <= ?3
			ORDER BY next_check_at LIMIT ?4`, account, single, micros(now), limit-len(due))
		if err != nil {
			return nil, err
		}
		due = append(due, found...)
	}
	return due, nil
}
