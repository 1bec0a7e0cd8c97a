package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// ClaimNotifications implements revocation.NotificationStore.
func (s *Store) ClaimNotifications(ctx context.Context, refs []revocation.NotificationRef, lease time.Duration) ([]revocation.Email, error) {
	accounts, ids, claims := make([]string, len(refs)), make([]uuid, len(refs)), make([]int, len(refs))
	for i, ref := range refs {
		accounts[i], ids[i], claims[i] = ref.Account, uuid(ref.Revocation), ref.Claims
	}
	var emails []revocation.Email
	err := s.tx(ctx, "claim emails", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			WITH claimed AS (
				UPDATE notifications n SET status = 'CLAIMED', claims = n.claims + 1, updated_at = now(),
					look_at = now() + make_interval(secs => $4)
				FROM unnest($1::text[], $2::uuid[], $3::int[]) AS t(account_id, id, claims)
				WHERE n.account_id = t.account_id AND n.revocation_id = t.id AND n.claims = t.claims
					AND n.status = 'PENDING'
				RETURNING n.account_id, n.revocation_id, n.report_id, n.claims, n.attempts)
			SELECT c.account_id, c.revocation_id, c.claims, c.attempts, coalesce(i.candidate_name, ''),
				coalesce(i.candidate_email, ''), coalesce(i.assessment_name, ''), a.name, a.contact
			FROM claimed c
			JOIN accounts a ON a.account_id = c.account_id
			LEFT JOIN invites i ON i.account_id = c.account_id AND i.report_id = c.report_id
			ORDER BY c.account_id, c.revocation_id`, accounts, ids, claims, lease.Seconds())
		if err != nil {
			return err
		}
		var e revocation.Email
		_, err = pgx.ForEachRow(rows, []any{
			&e.Account, (*uuid)(&e.Revocation), &e.Claims, &e.Attempts,
			&e.ToName, &e.ToAddress, &e.Assessment, &e.Company, &e.Contact,
		}, func() error {
			emails = append(emails, e)
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return emails, nil
}

// CommitNotification implements revocation.NotificationStore.
func (s *Store) CommitNotification(ctx context.Context, email revocation.Email, lease time.Duration) (bool, error) {
	tag, err := s.pool.Exec(ctx, `
		UPDATE notifications SET status = 'COMMITTED', updated_at = now(), look_at = now() + make_interval(secs => $4)
		WHERE account_id = $1 AND revocation_id = $2 AND claims = $3 AND status = 'CLAIMED' AND look_at > now()`,
		email.Account, uuid(email.Revocation), email.Claims, lease.Seconds())
	return tag.RowsAffected() == 1, fault("commit an email", err)
}

// SettleNotification implements revocation.NotificationStore.
func (s *Store) SettleNotification(ctx context.Context, email revocation.Email, settled revocation.Settlement) error {
	_, err := s.pool.Exec(ctx, `
		UPDATE notifications SET status = $4, attempts = $5, updated_at = now(),
			look_at = now() + make_interval(secs => $6)
		WHERE account_id = $1 AND revocation_id = $2 AND claims = $3 AND status IN ('CLAIMED', 'COMMITTED')`,
		email.Account, uuid(email.Revocation), email.Claims, settled.Status, settled.Attempts, settled.Delay.Seconds())
	return fault("settle an email", err)
}
