package sqlite

import (
	"context"
	"database/sql"
	"time"

	"rescind/internal/revocation"
)

// claimRow is a row that a dispatcher claims or releases, as an element of a JSON parameter.
type claimRow struct {
	rowKey
	Attempt       int   `json:"attempt"`
	Claims        int   `json:"claims"`
	DispatchCount int   `json:"dispatch_count"`
	NextCheckAt   int64 `json:"next_check_at"`
}

// dueSingle and dueMail are the conditions of due single submissions and of their due emails.
const (
	dueSingle = `NOT account_scheduled AND next_check_at <= :now`
	dueMail   = `next_check_at <= :now AND ` + unsettled + ` AND job_id IS NULL`
)

// ClaimDue implements revocation.DispatchStore. Like all of the dispatcher's statements, it reads all accounts.
func (s *Store) ClaimDue(ctx context.Context, limit int, visibilityTimeouts []time.Duration) ([]revocation.DueAttempt, error) {
	var due []revocation.DueAttempt
	err := s.write(ctx, "claim due revocations", func(tx *sql.Tx, now time.Time) error {
		var err error
		due, err = query(ctx, tx, scanDue, `
			SELECT account_id, revocation_id, attempt, dispatch_count + 1, attempt = 0 AND due_at IS NOT NULL FROM work_items
			WHERE `+dueSingle+` ORDER BY next_check_at LIMIT :limit`, sql.Named("now", micros(now)), sql.Named("limit", limit))
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

// stampDue stores the dispatch counts of the rows, and when they count as lost. Rows that are enqueued are not claimed by a
// worker yet.
func stampDue(ctx context.Context, tx *sql.Tx, now time.Time, due []revocation.DueAttempt, visibilityTimeouts []time.Duration) error {
	if len(due) == 0 {
		return nil
	}
	rows := make([]claimRow, len(due))
	for i, d := range due {
		rows[i] = claimRow{rowKey: keyOf(d.Account, d.ID), DispatchCount: d.DispatchCount, NextCheckAt: lostAt(now, d.DispatchCount, visibilityTimeouts)}
	}
	return exec(ctx, tx, `
		UPDATE work_items AS o SET dispatch_count = p.value ->> 'dispatch_count', next_check_at = p.value ->> 'next_check_at', claimed = o.account_scheduled
		FROM json_each(?1) AS p
		WHERE o.account_id = p.value ->> 'account' AND o.revocation_id = p.value ->> 'id'`, parameter(rows))
}

func scanDue(rows *sql.Rows) (d revocation.DueAttempt, err error) {
	err = rows.Scan(&d.Account, scannedID{&d.ID}, &d.Attempt, &d.DispatchCount, &d.Waited)
	return d, err
}

// lostAt returns when a row that is enqueued now, for the n-th time, counts as lost.
func lostAt(now time.Time, n int, visibilityTimeouts []time.Duration) int64 {
	return micros(now.Add(visibilityTimeouts[min(n, len(visibilityTimeouts)-1)]))
}

// Release implements revocation.DispatchStore.
func (s *Store) Release(ctx context.Context, due []revocation.DueAttempt, delay time.Duration) error {
	rows := make([]claimRow, len(due))
	for i, d := range due {
		rows[i] = claimRow{rowKey: keyOf(d.Account, d.ID), Attempt: d.Attempt, DispatchCount: d.DispatchCount}
	}
	return s.write(ctx, "release revocations", func(tx *sql.Tx, now time.Time) error {
		return exec(ctx, tx, `
			UPDATE work_items AS o SET next_check_at = ?1, claimed = 0
			FROM json_each(?2) AS p
			WHERE o.account_id = p.value ->> 'account' AND o.revocation_id = p.value ->> 'id'
			  AND o.attempt = p.value ->> 'attempt' AND o.dispatch_count = p.value ->> 'dispatch_count'`,
			micros(now.Add(delay)), parameter(rows))
	})
}

// ClaimDueNotifications implements revocation.DispatchStore.
func (s *Store) ClaimDueNotifications(ctx context.Context, limit int, visibilityTimeouts []time.Duration) (refs []revocation.NotificationRef, unknown int, err error) {
	err = s.write(ctx, "claim due emails", func(tx *sql.Tx, now time.Time) error {
		found, err := query(ctx, tx, scanDueNotification, `
			SELECT account_id, revocation_id, claims, dispatch_count + 1, status FROM notifications
			WHERE `+dueMail+` ORDER BY next_check_at LIMIT :limit`, sql.Named("now", micros(now)), sql.Named("limit", limit))
		if err != nil || len(found) == 0 {
			return err
		}
		rows := make([]claimRow, len(found))
		for i, n := range found {
			rows[i] = claimRow{rowKey: keyOf(n.Account, n.Revocation), DispatchCount: n.DispatchCount, NextCheckAt: lostAt(now, n.DispatchCount, visibilityTimeouts)}
			if n.status != revocation.NotificationCommitted {
				refs = append(refs, n.NotificationRef)
			} else {
				unknown++
			}
		}
		return exec(ctx, tx, `
			UPDATE notifications AS n
			SET status = CASE n.status WHEN 'COMMITTED' THEN 'UNKNOWN' ELSE 'PENDING' END,
			    dispatch_count = p.value ->> 'dispatch_count', next_check_at = p.value ->> 'next_check_at', updated_at = ?1
			FROM json_each(?2) AS p
			WHERE n.account_id = p.value ->> 'account' AND n.revocation_id = p.value ->> 'id'`,
			micros(now), parameter(rows))
	})
	if err != nil {
		return nil, 0, err
	}
	return refs, unknown, nil
}

type dueNotification struct {
	revocation.NotificationRef
	status revocation.NotificationStatus
}

func scanDueNotification(rows *sql.Rows) (n dueNotification, err error) {
	err = rows.Scan(&n.Account, scannedID{&n.Revocation}, &n.Claims, &n.DispatchCount, &n.status)
	return n, err
}

// ReleaseNotifications implements revocation.DispatchStore.
func (s *Store) ReleaseNotifications(ctx context.Context, refs []revocation.NotificationRef, delay time.Duration) error {
	rows := make([]claimRow, len(refs))
	for i, ref := range refs {
		rows[i] = claimRow{rowKey: keyOf(ref.Account, ref.Revocation), Claims: ref.Claims, DispatchCount: ref.DispatchCount}
	}
	return s.write(ctx, "release emails", func(tx *sql.Tx, now time.Time) error {
		return exec(ctx, tx, `
			UPDATE notifications AS n SET next_check_at = ?1
			FROM json_each(?2) AS p
			WHERE n.account_id = p.value ->> 'account' AND n.revocation_id = p.value ->> 'id'
			  AND n.status = 'PENDING' AND n.claims = p.value ->> 'claims' AND n.dispatch_count = p.value ->> 'dispatch_count'`,
			micros(now.Add(delay)), parameter(rows))
	})
}
