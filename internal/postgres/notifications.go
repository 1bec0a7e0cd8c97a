package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rescind/internal/revocation"
)

// ClaimNotifications implements revocation.NotificationStore.
func (s *Store) ClaimNotifications(ctx context.Context, refs []revocation.NotificationRef, lease time.Duration) ([]revocation.Email, error) {
	accounts, ids, claims := make([]string, len(refs)), make([]uuid, len(refs)), make([]int, len(refs))
	for i, ref := range refs {
		accounts[i], ids[i], claims[i] = ref.Account, uuid(ref.Revocation), ref.Claims
	}
	var emails []revocation.Email
	batch := &pgx.Batch{}
	batch.Queue(`
		WITH claimed AS (
			UPDATE notifications n SET status = 'CLAIMED', claims = n.claims + 1, updated_at = now(),
				look_at = now() + make_interval(secs => $4)
			FROM unnest($1::text[], $2::uuid[], $3::int[]) AS t(account_id, id, claims)
			CROSS JOIN LATERAL (
				SELECT ctid AS place FROM notifications n
				WHERE n.account_id = t.account_id AND n.revocation_id = t.id AND n.claims = t.claims
					AND n.status = 'PENDING' FOR UPDATE) AS held
			WHERE n.ctid = held.place
			RETURNING n.account_id, n.revocation_id, n.report_id, n.claims, n.attempts)
		SELECT c.account_id, c.revocation_id, c.claims, c.attempts, coalesce(i.candidate_name, ''),
			coalesce(i.candidate_email, ''), coalesce(i.assessment_name, ''), a.name, a.contact
		FROM claimed c
		CROSS JOIN LATERAL (SELECT * FROM accounts a WHERE a.account_id = c.account_id OFFSET 0) AS a
		LEFT JOIN LATERAL (
			SELECT * FROM invites i
			WHERE i.account_id = c.account_id AND i.report_id = c.report_id OFFSET 0) AS i ON true
		ORDER BY c.account_id, c.revocation_id`, accounts, ids, claims, lease.Seconds()).Query(func(rows pgx.Rows) error {
		var e revocation.Email
		_, err := pgx.ForEachRow(rows, []any{
			&e.Account, (*uuid)(&e.Revocation), &e.Claims, &e.Attempts,
			&e.ToName, &e.ToAddress, &e.Assessment, &e.Company, &e.Contact,
		}, func() error {
			emails = append(emails, e)
			return nil
		})
		return err
	})
	if err := s.run(ctx, "claim emails", batch); err != nil {
		return nil, err
	}
	return emails, nil
}

// CommitNotification implements revocation.NotificationStore.
func (s *Store) CommitNotification(ctx context.Context, email revocation.Email, lease time.Duration) (bool, error) {
	var held bool
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE notifications SET status = 'COMMITTED', updated_at = now(), look_at = now() + make_interval(secs => $4)
		WHERE account_id = $1 AND revocation_id = $2 AND claims = $3 AND status = 'CLAIMED' AND look_at > now()`,
		email.Account, uuid(email.Revocation), email.Claims, lease.Seconds()).Exec(func(tag pgconn.CommandTag) error {
		held = tag.RowsAffected() == 1
		return nil
	})
	return held, s.run(ctx, "commit an email", batch)
}

// SettleNotification implements revocation.NotificationStore.
func (s *Store) SettleNotification(ctx context.Context, email revocation.Email, settled revocation.Settlement) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE notifications SET status = $4, attempts = $5, updated_at = now(),
			look_at = now() + make_interval(secs => $6)
		WHERE account_id = $1 AND revocation_id = $2 AND claims = $3 AND status IN ('CLAIMED', 'COMMITTED')`,
		email.Account, uuid(email.Revocation), email.Claims, settled.Status, settled.Attempts, settled.Delay.Seconds())
	return s.run(ctx, "settle an email", batch)
}
