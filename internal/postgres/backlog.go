package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// Backlog implements revocation.BacklogStore. Each statement reads little more than revocation.MaxBacklog rows of an index, or
// as many chunks.
func (s *Store) Backlog(ctx context.Context) (revocation.Backlog, error) {
	found := revocation.Backlog{
		Waiting: make(map[revocation.Class]revocation.Waiting, len(revocation.Classes)),
		Held:    make(map[revocation.Hold]int),
	}
	batch := &pgx.Batch{}
	count := func(class revocation.Class, statement string, args ...any) {
		batch.Queue(statement, append([]any{revocation.MaxBacklog + 1}, args...)...).QueryRow(func(row pgx.Row) error {
			var n int
			var first *string
			if err := row.Scan(&n, &first); err != nil {
				return err
			}
			var id revocation.ID
			if first != nil {
				id, _ = revocation.ParseID(*first)
			}
			found.Add(class, n, id)
			return nil
		})
	}
	count(revocation.ClassSingle, countWaiting+`
		SELECT revocation_id FROM work_items WHERE NOT account_scheduled AND dispatch_count >= 0 LIMIT $1) AS o`)
	for class, upstream := range map[revocation.Class]bool{revocation.ClassItems: false, revocation.ClassUpstream: true} {
		count(class, waitingOfAccountTasks, upstream)
		count(class, waitingInChunks, upstream)
	}
	count(revocation.ClassMail, countWaiting+`
		SELECT revocation_id FROM notifications
		WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND dispatch_count >= 0 AND job_id IS NULL LIMIT $1) AS o`)
	count(revocation.ClassMail, countWaiting+`
		SELECT revocation_id FROM notifications AS n WHERE `+dueJobMail+` LIMIT $1) AS o`)
	batch.Queue(`
		SELECT upstream_hold, count(*) FROM accounts
		WHERE upstream_url IS NOT NULL AND upstream_hold <> '' GROUP BY upstream_hold`).Query(func(rows pgx.Rows) error {
		var why revocation.Hold
		var n int
		_, err := pgx.ForEachRow(rows, []any{&why, &n}, func() error {
			found.Held[why] = n
			return nil
		})
		return err
	})
	return found, s.readOnly(ctx, "read the backlog", batch)
}

const (
	// countWaiting counts the ids of the sub-select that follows, and finds the oldest. Ids sort like their texts.
	countWaiting = `SELECT count(*), min(o.revocation_id::text COLLATE "C") FROM (`

	// waitingOfAccountTasks counts the work items that are left to account tasks, of accounts with an upstream or without. The
	// recursion goes from account to account.
	waitingOfAccountTasks = `
		WITH RECURSIVE a AS (
			(SELECT o.account_id FROM work_items o WHERE o.account_scheduled AND o.dispatch_count >= 0
				ORDER BY o.account_id, o.single, o.next_check_at LIMIT 1)
			UNION ALL
			SELECT (SELECT o.account_id FROM work_items o WHERE o.account_scheduled AND o.dispatch_count >= 0 AND o.account_id > a.account_id
				ORDER BY o.account_id, o.single, o.next_check_at LIMIT 1)
			FROM a WHERE a.account_id IS NOT NULL)
		` + countWaiting + `
			SELECT o.revocation_id FROM a
			CROSS JOIN LATERAL (
				SELECT upstream_url IS NOT NULL AS upstream FROM accounts WHERE account_id = a.account_id OFFSET 0) AS u
			CROSS JOIN LATERAL (
				SELECT o.revocation_id FROM work_items o
				WHERE u.upstream = $2 AND o.account_id = a.account_id AND o.account_scheduled AND o.dispatch_count >= 0 OFFSET 0) AS o
			LIMIT $1) AS o`

	// waitingInChunks counts the items of such accounts that wait for their first attempt.
	waitingInChunks = `
		SELECT coalesce(sum(c.end_row - c.first_row + 1), 0)::int8, min(c.job_id::text COLLATE "C")
		FROM (
			SELECT c.job_id, c.first_row, c.end_row FROM jobs j
			CROSS JOIN LATERAL (
				SELECT upstream_url IS NOT NULL AS upstream FROM accounts WHERE account_id = j.account_id OFFSET 0) AS u
			CROSS JOIN LATERAL (
				SELECT job_id, first_row, end_row FROM chunks c
				WHERE u.upstream = $2 AND c.account_id = j.account_id AND c.job_id = j.id OFFSET 0) AS c
			WHERE j.state IN ('QUEUED', 'RUNNING', 'CANCELLING')
			LIMIT $1) AS c`
)
