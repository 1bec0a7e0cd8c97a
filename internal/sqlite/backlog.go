package sqlite

import (
	"context"
	"database/sql"

	"rescind/internal/revocation"
)

// Backlog implements revocation.BacklogStore. Each statement reads little more than revocation.MaxBacklog rows of an index, or
// as many chunks.
func (s *Store) Backlog(ctx context.Context) (revocation.Backlog, error) {
	b := revocation.Backlog{
		Waiting: make(map[revocation.Class]revocation.Waiting, len(revocation.Classes)),
		Held:    make(map[revocation.Hold]int),
	}
	for _, part := range backlogParts {
		var count int
		var first revocation.ID
		err := s.readers.QueryRowContext(ctx, part.statement,
			sql.Named("limit", revocation.MaxBacklog+1), sql.Named("upstream", part.class == revocation.ClassUpstream)).
			Scan(&count, optionalID{&first})
		if err != nil {
			return revocation.Backlog{}, fault("read the backlog", err)
		}
		b.Add(part.class, count, first)
	}
	held, err := query(ctx, s.readers, func(rows *sql.Rows) (h heldAccounts, err error) {
		err = rows.Scan(&h.why, &h.count)
		return h, err
	}, `
		SELECT upstream_hold, count(*) FROM accounts
		WHERE upstream_url IS NOT NULL AND upstream_hold <> '' GROUP BY upstream_hold`)
	if err != nil {
		return revocation.Backlog{}, fault("read the backlog", err)
	}
	for _, h := range held {
		b.Held[h.why] = h.count
	}
	return b, nil
}

type heldAccounts struct {
	why   revocation.Hold
	count int
}

var backlogParts = []struct {
	class     revocation.Class
	statement string
}{
	{revocation.ClassSingle, countWaiting + `
		SELECT revocation_id FROM work_items INDEXED BY work_items_due WHERE NOT account_scheduled LIMIT :limit)`},
	{revocation.ClassItems, waitingOfAccountTasks},
	{revocation.ClassItems, waitingInChunks},
	{revocation.ClassUpstream, waitingOfAccountTasks},
	{revocation.ClassUpstream, waitingInChunks},
	{revocation.ClassMail, countWaiting + `
		SELECT revocation_id FROM notifications INDEXED BY notifications_due
		WHERE ` + unsettled + ` AND job_id IS NULL LIMIT :limit)`},
	{revocation.ClassMail, countWaiting + `
		SELECT revocation_id FROM notifications INDEXED BY notifications_job_due
		WHERE ` + unsettled + ` AND job_id IS NOT NULL LIMIT :limit)`},
}

const (
	// countWaiting counts the ids of the sub-select that follows, and finds the oldest.
	countWaiting = `SELECT count(*), min(revocation_id) FROM (`

	// waitingOfAccountTasks counts the work items that are left to account tasks, of accounts with an upstream or without. The
	// recursion goes from account to account.
	waitingOfAccountTasks = `
		WITH RECURSIVE pulling (account_id) AS (
			SELECT (SELECT account_id FROM work_items INDEXED BY work_items_account_due
			        WHERE account_scheduled ORDER BY account_id LIMIT 1)
			UNION ALL
			SELECT (SELECT o.account_id FROM work_items AS o INDEXED BY work_items_account_due
			        WHERE o.account_scheduled AND o.account_id > pulling.account_id ORDER BY o.account_id LIMIT 1)
			FROM pulling WHERE pulling.account_id IS NOT NULL)
		` + countWaiting + `
			SELECT o.revocation_id FROM pulling
			CROSS JOIN accounts AS a ON a.account_id = pulling.account_id
			CROSS JOIN work_items AS o INDEXED BY work_items_account_due ON o.account_id = a.account_id AND o.account_scheduled
			WHERE (a.upstream_url IS NOT NULL) = :upstream LIMIT :limit)`

	// waitingInChunks counts the items of such accounts that wait for their first attempt.
	waitingInChunks = `
		SELECT coalesce(sum(end_row - first_row + 1), 0), min(job_id) FROM (
			SELECT c.first_row, c.end_row, c.job_id
			FROM jobs AS j INDEXED BY jobs_active
			CROSS JOIN accounts AS a ON a.account_id = j.account_id
			CROSS JOIN chunks AS c ON c.account_id = j.account_id AND c.job_id = j.id
			WHERE j.state IN ` + activeStates + ` AND (a.upstream_url IS NOT NULL) = :upstream LIMIT :limit)`
)
