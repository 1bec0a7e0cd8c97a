package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// ClaimDue implements revocation.DispatchStore.
func (s *Store) ClaimDue(ctx context.Context, limit int, graces []time.Duration) ([]revocation.Due, error) {
	var due []revocation.Due
	err := s.tx(ctx, "claim due revocations", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			WITH due AS (
				SELECT account_id, revocation_id FROM outstanding WHERE look_at <= now()
				ORDER BY look_at LIMIT $1 FOR UPDATE SKIP LOCKED)
			UPDATE outstanding o SET epoch = o.epoch + 1, look_at = now() +
				make_interval(secs => ($2::float8[])[least(o.epoch + 2, cardinality($2::float8[]))])
			FROM due WHERE o.account_id = due.account_id AND o.revocation_id = due.revocation_id
			RETURNING o.account_id, o.revocation_id, o.attempt, o.epoch`, limit, seconds(graces))
		if err != nil {
			return err
		}
		var d revocation.Due
		_, err = pgx.ForEachRow(rows, []any{&d.Account, (*uuid)(&d.ID), &d.Attempt, &d.Epoch}, func() error {
			due = append(due, d)
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return due, nil
}

// Release implements revocation.DispatchStore.
func (s *Store) Release(ctx context.Context, due []revocation.Due, delay time.Duration) error {
	accounts, ids, epochs := make([]string, len(due)), make([]uuid, len(due)), make([]int, len(due))
	for i, d := range due {
		accounts[i], ids[i], epochs[i] = d.Account, uuid(d.ID), d.Epoch
	}
	return s.tx(ctx, "release revocations", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE outstanding o SET look_at = now() + make_interval(secs => $4)
			FROM unnest($1::text[], $2::uuid[], $3::int[]) AS t(account_id, id, epoch)
			WHERE o.account_id = t.account_id AND o.revocation_id = t.id AND o.epoch = t.epoch`,
			accounts, ids, epochs, delay.Seconds())
		return err
	})
}

// ClaimDueNotifications implements revocation.DispatchStore.
func (s *Store) ClaimDueNotifications(ctx context.Context, limit int, graces []time.Duration) ([]revocation.NotificationRef, error) {
	var due []revocation.NotificationRef
	err := s.tx(ctx, "claim due emails", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			WITH due AS (
				SELECT account_id, revocation_id FROM notifications
				WHERE look_at <= now() AND status IN ('PENDING', 'CLAIMED', 'COMMITTED')
				ORDER BY look_at LIMIT $1 FOR UPDATE SKIP LOCKED)
			UPDATE notifications n SET epoch = n.epoch + 1, updated_at = now(),
				status = CASE n.status WHEN 'COMMITTED' THEN 'UNKNOWN' ELSE 'PENDING' END,
				look_at = now() + make_interval(secs => ($2::float8[])[least(n.epoch + 2, cardinality($2::float8[]))])
			FROM due WHERE n.account_id = due.account_id AND n.revocation_id = due.revocation_id
			RETURNING n.account_id, n.revocation_id, n.claims, n.epoch, n.status`, limit, seconds(graces))
		if err != nil {
			return err
		}
		var ref revocation.NotificationRef
		var status revocation.NotificationStatus
		_, err = pgx.ForEachRow(rows, []any{&ref.Account, (*uuid)(&ref.Revocation), &ref.Claims, &ref.Epoch, &status}, func() error {
			if status == revocation.NotificationPending {
				due = append(due, ref)
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return due, nil
}

// ReleaseNotifications implements revocation.DispatchStore.
func (s *Store) ReleaseNotifications(ctx context.Context, refs []revocation.NotificationRef, delay time.Duration) error {
	accounts, ids, epochs := make([]string, len(refs)), make([]uuid, len(refs)), make([]int, len(refs))
	for i, ref := range refs {
		accounts[i], ids[i], epochs[i] = ref.Account, uuid(ref.Revocation), ref.Epoch
	}
	return s.tx(ctx, "release emails", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE notifications n SET look_at = now() + make_interval(secs => $4)
			FROM unnest($1::text[], $2::uuid[], $3::int[]) AS t(account_id, id, epoch)
			WHERE n.account_id = t.account_id AND n.revocation_id = t.id AND n.epoch = t.epoch
				AND n.status = 'PENDING'`, accounts, ids, epochs, delay.Seconds())
		return err
	})
}

func seconds(ds []time.Duration) []float64 {
	s := make([]float64, len(ds))
	for i, d := range ds {
		s[i] = d.Seconds()
	}
	return s
}
