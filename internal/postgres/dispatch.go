package postgres

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// dueSingle and dueNotification are the conditions of due single submissions and of their due emails.
//
// dispatch_count >= 0 is true of every row. It is a condition of the indexes of due rows, so the planner can use these only for
// statements that have it too, and not for a look-up by a revocation's id.
const (
	dueSingle       = `next_check_at <= now() AND NOT account_scheduled AND dispatch_count >= 0`
	dueNotification = `next_check_at <= now() AND status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND dispatch_count >= 0 AND job_id IS NULL`
)

// ClaimDue implements revocation.DispatchStore.
func (s *Store) ClaimDue(ctx context.Context, limit int, visibilityTimeouts []time.Duration) ([]revocation.DueAttempt, error) {
	var due []revocation.DueAttempt
	batch := &pgx.Batch{}
	batch.Queue(`
		WITH due AS (
			SELECT ctid AS place FROM work_items WHERE `+dueSingle+`
			ORDER BY next_check_at LIMIT $1 FOR UPDATE SKIP LOCKED)
		UPDATE work_items o SET dispatch_count = o.dispatch_count + 1, next_check_at = now() +
			make_interval(secs => ($2::float8[])[least(o.dispatch_count + 2, cardinality($2::float8[]))])
		FROM due WHERE o.ctid = due.place
		RETURNING o.account_id, o.revocation_id, o.attempt, o.dispatch_count, o.attempt = 0 AND o.due_at IS NOT NULL`, limit, seconds(visibilityTimeouts)).Query(func(rows pgx.Rows) error {
		var d revocation.DueAttempt
		_, err := pgx.ForEachRow(rows, []any{&d.Account, (*uuid)(&d.ID), &d.Attempt, &d.DispatchCount, &d.Waited}, func() error {
			due = append(due, d)
			return nil
		})
		return err
	})
	if err := s.run(ctx, "claim due revocations", batch); err != nil {
		return nil, err
	}
	return due, nil
}

// Release implements revocation.DispatchStore.
func (s *Store) Release(ctx context.Context, due []revocation.DueAttempt, delay time.Duration) error {
	due = slices.SortedFunc(slices.Values(due), func(a, b revocation.DueAttempt) int { // see emailsInKeyOrder
		return cmp.Or(strings.Compare(a.Account, b.Account), a.ID.Compare(b.ID))
	})
	refs, dispatchCounts := make([]revocation.Ref, len(due)), make([]int, len(due))
	for i, d := range due {
		refs[i], dispatchCounts[i] = d.Ref, d.DispatchCount
	}
	accounts, ids, attempts := refColumns(refs)
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE work_items o SET next_check_at = now() + make_interval(secs => $5), claimed = false
		FROM unnest($1::text[], $2::uuid[], $3::int[], $4::int[]) AS t(account_id, id, attempt, dispatch_count)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM work_items o
			WHERE o.account_id = t.account_id AND o.revocation_id = t.id AND o.attempt = t.attempt AND o.dispatch_count = t.dispatch_count OFFSET 0) AS held
		WHERE o.ctid = held.place`, accounts, ids, attempts, dispatchCounts, delay.Seconds())
	return s.run(ctx, "release revocations", batch)
}

// ClaimDueNotifications implements revocation.DispatchStore.
func (s *Store) ClaimDueNotifications(ctx context.Context, limit int, visibilityTimeouts []time.Duration) (due []revocation.NotificationRef, unknown int, err error) {
	batch := &pgx.Batch{}
	batch.Queue(`
		WITH due AS (
			SELECT ctid AS place FROM notifications WHERE `+dueNotification+`
			ORDER BY next_check_at LIMIT $1 FOR UPDATE SKIP LOCKED)
		UPDATE notifications n SET dispatch_count = n.dispatch_count + 1, updated_at = now(),
			status = CASE n.status WHEN 'COMMITTED' THEN 'UNKNOWN' ELSE 'PENDING' END,
			next_check_at = now() + make_interval(secs => ($2::float8[])[least(n.dispatch_count + 2, cardinality($2::float8[]))])
		FROM due WHERE n.ctid = due.place
		RETURNING n.account_id, n.revocation_id, n.claims, n.dispatch_count, n.status`, limit, seconds(visibilityTimeouts)).Query(func(rows pgx.Rows) error {
		var ref revocation.NotificationRef
		var status revocation.NotificationStatus
		_, err := pgx.ForEachRow(rows, []any{&ref.Account, (*uuid)(&ref.Revocation), &ref.Claims, &ref.DispatchCount, &status}, func() error {
			if status == revocation.NotificationPending {
				due = append(due, ref)
			} else {
				unknown++
			}
			return nil
		})
		return err
	})
	if err := s.run(ctx, "claim due emails", batch); err != nil {
		return nil, 0, err
	}
	return due, unknown, nil
}

// ReleaseNotifications implements revocation.DispatchStore.
func (s *Store) ReleaseNotifications(ctx context.Context, refs []revocation.NotificationRef, delay time.Duration) error {
	refs = emailsInKeyOrder(refs)
	accounts, ids := make([]string, len(refs)), make([]uuid, len(refs))
	claims, dispatchCounts := make([]int, len(refs)), make([]int, len(refs))
	for i, ref := range refs {
		accounts[i], ids[i], claims[i], dispatchCounts[i] = ref.Account, uuid(ref.Revocation), ref.Claims, ref.DispatchCount
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE notifications n SET next_check_at = now() + make_interval(secs => $5)
		FROM unnest($1::text[], $2::uuid[], $3::int[], $4::int[]) AS t(account_id, id, claims, dispatch_count)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM notifications n
			WHERE n.account_id = t.account_id AND n.revocation_id = t.id AND n.claims = t.claims
				AND n.dispatch_count = t.dispatch_count AND n.status = 'PENDING' OFFSET 0) AS held
		WHERE n.ctid = held.place`, accounts, ids, claims, dispatchCounts, delay.Seconds())
	return s.run(ctx, "release emails", batch)
}

func seconds(ds []time.Duration) []float64 {
	s := make([]float64, len(ds))
	for i, d := range ds {
		s[i] = d.Seconds()
	}
	return s
}
