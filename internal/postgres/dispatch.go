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

// dueSingle and dueMail are the conditions of what was submitted singly and is due, and of its emails.
const (
	dueSingle = `look_at <= now() AND NOT pulled AND epoch >= 0`
	dueMail   = `look_at <= now() AND status IN ('PENDING', 'CLAIMED', 'COMMITTED') AND epoch >= 0 AND job_id IS NULL`
)

// ClaimDue implements revocation.DispatchStore.
func (s *Store) ClaimDue(ctx context.Context, limit int, graces []time.Duration) ([]revocation.Due, error) {
	var due []revocation.Due
	batch := &pgx.Batch{}
	batch.Queue(`
		WITH due AS (
			SELECT ctid AS place FROM outstanding WHERE `+dueSingle+`
			ORDER BY look_at LIMIT $1 FOR UPDATE SKIP LOCKED)
		UPDATE outstanding o SET epoch = o.epoch + 1, look_at = now() +
			make_interval(secs => ($2::float8[])[least(o.epoch + 2, cardinality($2::float8[]))])
		FROM due WHERE o.ctid = due.place
		RETURNING o.account_id, o.revocation_id, o.attempt, o.epoch`, limit, seconds(graces)).Query(func(rows pgx.Rows) error {
		var d revocation.Due
		_, err := pgx.ForEachRow(rows, []any{&d.Account, (*uuid)(&d.ID), &d.Attempt, &d.Epoch}, func() error {
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
func (s *Store) Release(ctx context.Context, due []revocation.Due, delay time.Duration) error {
	due = slices.SortedFunc(slices.Values(due), func(a, b revocation.Due) int { // see emailsInKeyOrder
		return cmp.Or(strings.Compare(a.Account, b.Account), a.ID.Compare(b.ID))
	})
	refs, epochs := make([]revocation.Ref, len(due)), make([]int, len(due))
	for i, d := range due {
		refs[i], epochs[i] = d.Ref, d.Epoch
	}
	accounts, ids, attempts := refColumns(refs)
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE outstanding o SET look_at = now() + make_interval(secs => $5), claimed = false
		FROM unnest($1::text[], $2::uuid[], $3::int[], $4::int[]) AS t(account_id, id, attempt, epoch)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM outstanding o
			WHERE o.account_id = t.account_id AND o.revocation_id = t.id AND o.attempt = t.attempt AND o.epoch = t.epoch OFFSET 0) AS held
		WHERE o.ctid = held.place`, accounts, ids, attempts, epochs, delay.Seconds())
	return s.run(ctx, "release revocations", batch)
}

// ClaimDueNotifications implements revocation.DispatchStore.
func (s *Store) ClaimDueNotifications(ctx context.Context, limit int, graces []time.Duration) (due []revocation.NotificationRef, unknown int, err error) {
	batch := &pgx.Batch{}
	batch.Queue(`
		WITH due AS (
			SELECT ctid AS place FROM notifications WHERE `+dueMail+`
			ORDER BY look_at LIMIT $1 FOR UPDATE SKIP LOCKED)
		UPDATE notifications n SET epoch = n.epoch + 1, updated_at = now(),
			status = CASE n.status WHEN 'COMMITTED' THEN 'UNKNOWN' ELSE 'PENDING' END,
			look_at = now() + make_interval(secs => ($2::float8[])[least(n.epoch + 2, cardinality($2::float8[]))])
		FROM due WHERE n.ctid = due.place
		RETURNING n.account_id, n.revocation_id, n.claims, n.epoch, n.status`, limit, seconds(graces)).Query(func(rows pgx.Rows) error {
		var ref revocation.NotificationRef
		var status revocation.NotificationStatus
		_, err := pgx.ForEachRow(rows, []any{&ref.Account, (*uuid)(&ref.Revocation), &ref.Claims, &ref.Epoch, &status}, func() error {
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
	accounts, ids, epochs := make([]string, len(refs)), make([]uuid, len(refs)), make([]int, len(refs))
	for i, ref := range refs {
		accounts[i], ids[i], epochs[i] = ref.Account, uuid(ref.Revocation), ref.Epoch
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE notifications n SET look_at = now() + make_interval(secs => $4)
		FROM unnest($1::text[], $2::uuid[], $3::int[]) AS t(account_id, id, epoch)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM notifications n
			WHERE n.account_id = t.account_id AND n.revocation_id = t.id AND n.epoch = t.epoch
				AND n.status = 'PENDING' OFFSET 0) AS held
		WHERE n.ctid = held.place`, accounts, ids, epochs, delay.Seconds())
	return s.run(ctx, "release emails", batch)
}

func seconds(ds []time.Duration) []float64 {
	s := make([]float64, len(ds))
	for i, d := range ds {
		s[i] = d.Seconds()
	}
	return s
}
