package sqlite

import (
	"context"
	"database/sql"
	"time"

	"rescind/internal/revocation"
)

// ClaimNotifications claims those of refs that wait to be sent and are not stale.
func (s *Store) ClaimNotifications(ctx context.Context, refs []revocation.NotificationRef, lease time.Duration) ([]revocation.Email, error) {
	rows := make([]claimRow, len(refs))
	for i, ref := range refs {
		rows[i] = claimRow{rowKey: keyOf(ref.Account, ref.Revocation), Claims: ref.Claims}
	}
	var emails []revocation.Email
	err := s.write(ctx, "claim emails", func(tx *sql.Tx, now time.Time) error {
		var err error
		emails, err = query(ctx, tx, scanEmail, `
			SELECT n.account_id, n.revocation_id, n.claims + 1, n.attempts,
			       coalesce(i.candidate_name, ''), coalesce(i.candidate_email, ''), coalesce(i.assessment_name, ''),
			       a.name, a.contact
			FROM notifications AS n
			JOIN accounts AS a ON a.account_id = n.account_id
			LEFT JOIN invites AS i ON i.account_id = n.account_id AND i.report_id = n.report_id
			WHERE n.status = 'PENDING' AND (n.account_id, n.revocation_id, n.claims) IN
			      (SELECT value ->> 'account', value ->> 'id', value ->> 'claims' FROM json_each(?1))
			ORDER BY n.account_id, n.revocation_id`, parameter(rows))
		if err != nil || len(emails) == 0 {
			return err
		}
		claimed := make([]rowKey, len(emails))
		for i, email := range emails {
			claimed[i] = keyOf(email.Account, email.Revocation)
		}
		return exec(ctx, tx, `
			UPDATE notifications SET status = 'CLAIMED', claims = claims + 1, look_at = ?1, updated_at = ?2
			WHERE (account_id, revocation_id) IN (SELECT value ->> 'account', value ->> 'id' FROM json_each(?3))`,
			micros(now.Add(lease)), micros(now), parameter(claimed))
	})
	if err != nil {
		return nil, err
	}
	return emails, nil
}

func scanEmail(rows *sql.Rows) (e revocation.Email, err error) {
	err = rows.Scan(&e.Account, scannedID{&e.Revocation}, &e.Claims, &e.Attempts,
		&e.ToName, &e.ToAddress, &e.Assessment, &e.Company, &e.Contact)
	return e, err
}

// CommitNotification marks a claimed email COMMITTED, if the claim still holds.
func (s *Store) CommitNotification(ctx context.Context, email revocation.Email, lease time.Duration) (held bool, err error) {
	err = s.write(ctx, "commit email", func(tx *sql.Tx, now time.Time) error {
		changed, err := change(ctx, tx, `
			UPDATE notifications SET status = 'COMMITTED', look_at = ?1, updated_at = ?2
			WHERE account_id = ?3 AND revocation_id = ?4 AND claims = ?5 AND status = 'CLAIMED' AND look_at > ?2`,
			micros(now.Add(lease)), micros(now), email.Account, email.Revocation.String(), email.Claims)
		held = changed == 1
		return err
	})
	return held && err == nil, err
}

// SettleNotification ends a claim that nobody has taken over.
func (s *Store) SettleNotification(ctx context.Context, email revocation.Email, settled revocation.Settlement) error {
	return s.write(ctx, "settle email", func(tx *sql.Tx, now time.Time) error {
		return exec(ctx, tx, `
			UPDATE notifications SET status = ?1, attempts = ?2, look_at = ?3, updated_at = ?4
			WHERE account_id = ?5 AND revocation_id = ?6 AND claims = ?7 AND status IN ('CLAIMED', 'COMMITTED')`,
			string(settled.Status), settled.Attempts, micros(now.Add(settled.Delay)), micros(now),
			email.Account, email.Revocation.String(), email.Claims)
	})
}
