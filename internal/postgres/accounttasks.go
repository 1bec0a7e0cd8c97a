package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// ClaimDueItems implements revocation.BulkStore. Single submissions come first. An account has such work items left over if
// its upstream was removed.
func (s *Store) ClaimDueItems(ctx context.Context, account string, limit int, visibilityTimeouts []time.Duration) ([]revocation.DueAttempt, error) {
	var due []revocation.DueAttempt
	err := s.tx(ctx, "claim due items", func(ctx context.Context, tx *tx) error {
		queueDue := func(limit int, single bool) *pgx.Batch {
			batch := &pgx.Batch{}
			batch.Queue(`
				WITH due AS (
					SELECT ctid AS place FROM work_items
					WHERE account_id = $1 AND single = $4 AND next_check_at <= now() AND account_scheduled AND dispatch_count >= 0
					ORDER BY next_check_at LIMIT $2 FOR UPDATE SKIP LOCKED)`+claimItems,
				account, limit, seconds(visibilityTimeouts), single).Query(collectDue(account, &due))
			return batch
		}
		if err := tx.send(ctx, queueDue(limit, true)); err != nil {
			return err
		}
		if rest := limit - len(due); rest > 0 {
			return tx.commit(ctx, queueDue(rest, false))
		}
		return tx.commit(ctx, &pgx.Batch{})
	})
	if err != nil {
		return nil, err
	}
	return due, nil
}

// ClaimCancelledItems implements revocation.BulkStore.
func (s *Store) ClaimCancelledItems(ctx context.Context, account string, limit int, visibilityTimeouts []time.Duration) ([]revocation.DueAttempt, error) {
	var due []revocation.DueAttempt
	batch := &pgx.Batch{}
	batch.Queue(`
		WITH due AS (
			SELECT o.place
			FROM (
				SELECT id FROM jobs WHERE account_id = $1
					AND state IN ('QUEUED', 'RUNNING', 'CANCELLING') AND state = 'CANCELLING' OFFSET 0) AS j
			CROSS JOIN LATERAL (
				SELECT ctid AS place FROM work_items
				WHERE account_id = $1 AND revocation_id BETWEEN j.id AND `+lastItem+` AND NOT claimed AND NOT in_doubt
				ORDER BY revocation_id LIMIT $2 FOR UPDATE SKIP LOCKED) AS o
			LIMIT $2)`+claimItems,
		account, limit, seconds(visibilityTimeouts)).Query(collectDue(account, &due))
	if err := s.run(ctx, "claim cancelled items", batch); err != nil {
		return nil, err
	}
	return due, nil
}

// claimItems claims the work items whose ctids the table "due" contains. $3 is the visibility timeouts in seconds.
const claimItems = `
	UPDATE work_items o SET dispatch_count = o.dispatch_count + 1, claimed = true, next_check_at = now() +
		make_interval(secs => ($3::float8[])[least(o.dispatch_count + 2, cardinality($3::float8[]))])
	FROM due WHERE o.ctid = due.place
	RETURNING o.revocation_id, o.attempt, o.dispatch_count`

// collectDue returns a callback that appends the rows of claimItems to due.
func collectDue(account string, due *[]revocation.DueAttempt) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		d := revocation.DueAttempt{Ref: revocation.Ref{Account: account}}
		_, err := pgx.ForEachRow(rows, []any{(*uuid)(&d.ID), &d.Attempt, &d.DispatchCount}, func() error {
			*due = append(*due, d)
			return nil
		})
		return err
	}
}

// lastItem is the last id that an item of job j can have.
const lastItem = `overlay(j.id::text PLACING '7fffffff' FROM 29)::uuid`

// PendingWork implements revocation.DispatchStore.
func (s *Store) PendingWork(ctx context.Context) (pending revocation.PendingWork, err error) {
	collect := func(task revocation.AccountTask) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			w := revocation.AccountWork{Task: task}
			_, err := pgx.ForEachRow(rows, []any{&w.Account}, func() error {
				pending.AccountTasks = append(pending.AccountTasks, w)
				return nil
			})
			return err
		}
	}
	batch := &pgx.Batch{}
	batch.Queue(`SELECT (SELECT 1 FROM work_items WHERE ` + dueSingle + ` LIMIT 1) = 1, (SELECT 1 FROM notifications WHERE ` + dueNotification + ` LIMIT 1) = 1`).
		QueryRow(func(row pgx.Row) error {
			var revocations, notifications *bool
			err := row.Scan(&revocations, &notifications)
			pending.Revocations, pending.Notifications = revocations != nil, notifications != nil
			return err
		})
	batch.Queue(`
		SELECT DISTINCT j.account_id FROM jobs j
		CROSS JOIN LATERAL (SELECT * FROM accounts a WHERE a.account_id = j.account_id OFFSET 0) AS a
		WHERE j.state IN ('QUEUED', 'RUNNING', 'CANCELLING') AND a.upstream_url IS NULL AND (` + chunkLeft + `
			OR (SELECT 1 FROM work_items o WHERE o.account_id = j.account_id AND NOT o.single
				AND o.next_check_at <= now() AND o.account_scheduled AND o.dispatch_count >= 0 LIMIT 1) = 1
			OR ` + cancelledLeft + `)`).Query(collect(revocation.JobsTask))
	batch.Queue(`
		SELECT DISTINCT j.account_id FROM jobs j
		CROSS JOIN LATERAL (SELECT * FROM accounts a WHERE a.account_id = j.account_id OFFSET 0) AS a
		WHERE j.state = 'PREVIEWING' AND a.upstream_url IS NULL`).Query(collect(revocation.JobsTask))
	batch.Queue(`
		SELECT a.account_id FROM accounts a
		WHERE a.upstream_url IS NOT NULL AND (
			(a.upstream_held_until IS NULL OR a.upstream_held_until <= now()) AND (
				(SELECT 1 FROM work_items o WHERE o.account_id = a.account_id AND o.single
					AND o.next_check_at <= now() AND o.account_scheduled AND o.dispatch_count >= 0 LIMIT 1) = 1
				OR (SELECT 1 FROM work_items o WHERE o.account_id = a.account_id AND NOT o.single
					AND o.next_check_at <= now() AND o.account_scheduled AND o.dispatch_count >= 0 LIMIT 1) = 1
				OR (SELECT 1 FROM jobs j WHERE j.account_id = a.account_id
					AND j.state IN ('QUEUED', 'RUNNING', 'CANCELLING') AND ` + chunkLeft + ` LIMIT 1) = 1)
			OR (SELECT 1 FROM jobs j WHERE j.account_id = a.account_id AND j.state IN ('QUEUED', 'RUNNING', 'CANCELLING')
				AND (` + cancelledLeft + ` OR j.state = 'CANCELLING' AND ` + chunkLeft + `) LIMIT 1) = 1)`).
		Query(collect(revocation.UpstreamTask))
	// Single submissions that were left to an upstream which has been removed.
	batch.Queue(`
		WITH RECURSIVE a AS (
			(SELECT o.account_id FROM work_items o WHERE o.account_scheduled AND o.dispatch_count >= 0
				ORDER BY o.account_id, o.single, o.next_check_at LIMIT 1)
			UNION ALL
			SELECT (SELECT o.account_id FROM work_items o WHERE o.account_scheduled AND o.dispatch_count >= 0 AND o.account_id > a.account_id
				ORDER BY o.account_id, o.single, o.next_check_at LIMIT 1)
			FROM a WHERE a.account_id IS NOT NULL)
		SELECT a.account_id FROM a
		WHERE (SELECT 1 FROM accounts WHERE account_id = a.account_id AND upstream_url IS NULL) = 1
			AND (SELECT 1 FROM work_items o WHERE o.account_id = a.account_id AND o.single
				AND o.next_check_at <= now() AND o.account_scheduled AND o.dispatch_count >= 0 LIMIT 1) = 1`).Query(collect(revocation.JobsTask))
	batch.Queue(`
		WITH RECURSIVE a AS (
			(SELECT n.account_id FROM notifications n WHERE ` + dueJobMail + ` ORDER BY n.account_id, n.next_check_at LIMIT 1)
			UNION ALL
			SELECT (SELECT n.account_id FROM notifications n WHERE ` + dueJobMail + ` AND n.account_id > a.account_id
				ORDER BY n.account_id, n.next_check_at LIMIT 1)
			FROM a WHERE a.account_id IS NOT NULL)
		SELECT a.account_id FROM a
		WHERE (SELECT 1 FROM notifications n
			WHERE n.account_id = a.account_id AND n.next_check_at <= now() AND ` + dueJobMail + ` LIMIT 1) = 1`).
		Query(collect(revocation.MailTask))
	queueDueJobs(batch, &pending.Jobs)
	return pending, s.readOnly(ctx, "find pending work", batch)
}

// queueDueJobs reads the jobs that are due or have expired, earliest first.
func queueDueJobs(batch *pgx.Batch, due *[]revocation.DueJob) {
	for change, statement := range dueJobs {
		batch.Queue(statement, revocation.MaxDueJobs).Query(func(rows pgx.Rows) error {
			job := revocation.DueJob{Change: change}
			_, err := pgx.ForEachRow(rows, []any{&job.Account, (*uuid)(&job.ID)}, func() error {
				*due = append(*due, job)
				return nil
			})
			return err
		})
	}
}

var dueJobs = map[revocation.JobChangeKind]string{
	revocation.ChangeDue: `
		SELECT account_id, id FROM jobs WHERE state = 'SCHEDULED' AND due_at <= now() ORDER BY due_at LIMIT $1`,
	revocation.ChangeExpire: `
		SELECT account_id, id FROM jobs WHERE state IN ('PREVIEWED', 'AWAITING_APPROVAL') AND expires_at <= now()
		ORDER BY expires_at LIMIT $1`,
}

// Each of these sub-selects stops at the first row. The planner could make EXISTS read all rows.
const (
	// chunkLeft is true if job j has a chunk that was not carried out.
	chunkLeft = `(SELECT 1 FROM chunks c WHERE c.account_id = j.account_id AND c.job_id = j.id LIMIT 1) = 1`
	// cancelledLeft is true if job j is being cancelled and has work items that can be cancelled.
	cancelledLeft = `j.state = 'CANCELLING' AND (SELECT 1 FROM work_items o
		WHERE o.account_id = j.account_id AND o.revocation_id BETWEEN j.id AND ` + lastItem + `
			AND NOT o.claimed AND NOT o.in_doubt LIMIT 1) = 1`
)

// dueJobMail is the condition of the index notifications_job_due.
const dueJobMail = `n.status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND n.dispatch_count >= 0 AND n.job_id IS NOT NULL`
