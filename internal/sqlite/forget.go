package sqlite

import (
	"context"
	"database/sql"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/search"
)

// Forget implements revocation.InviteStore.
func (s *Store) Forget(ctx context.Context, account string, reportID int64, by revocation.Actor) error {
	return s.write(ctx, "forget a candidate", func(tx *sql.Tx, now time.Time) error {
		if _, err := inviteAccount(ctx, tx, account); err != nil {
			return err
		}
		found, err := query(ctx, tx, func(rows *sql.Rows) (forgotten bool, err error) {
			return forgotten, rows.Scan(&forgotten)
		}, `SELECT forgotten_at IS NOT NULL FROM invites WHERE account_id = ?1 AND report_id = ?2`, account, reportID)
		switch {
		case err != nil:
			return err
		case len(found) == 0:
			return &revocation.Error{Code: revocation.CodeNotFound, Detail: "There is no such invite in this account."}
		case found[0]:
			return nil
		}
		return forgetInvites(ctx, tx, now, []inviteRow{{account, reportID}}, by)
	})
}

// ForgetAddress implements revocation.InviteStore.
func (s *Store) ForgetAddress(ctx context.Context, account, address string, limit int, by revocation.Actor) (n int, err error) {
	err = s.write(ctx, "forget candidates", func(tx *sql.Tx, now time.Time) error {
		if _, err := inviteAccount(ctx, tx, account); err != nil {
			return err
		}
		n, err = forgetSome(ctx, tx, now, by, `
			SELECT account_id, report_id FROM invites INDEXED BY invites_email
			WHERE account_id = ?1 AND email_folded = ?2 AND forgotten_at IS NULL LIMIT ?3`, account, search.Fold(address), limit)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// ForgetOld implements revocation.JanitorStore.
func (s *Store) ForgetOld(ctx context.Context, age time.Duration, limit int) (n int, err error) {
	err = s.write(ctx, "forget candidates", func(tx *sql.Tx, now time.Time) error {
		n, err = forgetSome(ctx, tx, now, revocation.Actor{Type: revocation.ActorService}, `
			SELECT account_id, report_id FROM invites INDEXED BY invites_unforgotten
			WHERE forgotten_at IS NULL AND sent_at < ?1 ORDER BY sent_at LIMIT ?2`, micros(now.Add(-age)), limit)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// forgetSome forgets the candidates of the invites that a statement selects.
func forgetSome(ctx context.Context, tx *sql.Tx, now time.Time, by revocation.Actor, statement string, args ...any) (int, error) {
	found, err := query(ctx, tx, func(rows *sql.Rows) (i inviteRow, err error) {
		return i, rows.Scan(&i.Account, &i.ReportID)
	}, statement, args...)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	return len(found), forgetInvites(ctx, tx, now, found, by)
}

// forgetInvites erases the names and addresses of invites and skips their emails. It does not skip an email that is being sent
// to a mail server.
func forgetInvites(ctx context.Context, tx *sql.Tx, now time.Time, invites []inviteRow, by revocation.Actor) error {
	keys := parameter(invites)
	if err := changeAll(ctx, tx, len(invites), `
		UPDATE invites SET candidate_name = '', candidate_email = '', name_folded = '', email_folded = '', forgotten_at = ?1
		WHERE (account_id, report_id) IN (SELECT value ->> 'account', value ->> 'report_id' FROM json_each(?2))`,
		micros(now), keys); err != nil {
		return err
	}
	const emails = `
		FROM json_each(?1) AS p
		CROSS JOIN revocations AS r ON r.account_id = p.value ->> 'account' AND r.report_id = p.value ->> 'report_id'
		CROSS JOIN notifications AS n ON n.account_id = r.account_id AND n.revocation_id = r.id
		WHERE n.status IN ('PENDING', 'CLAIMED')`
	if err := exec(ctx, tx, `
		INSERT INTO job_mail_counts (account_id, job_id, slot, skipped)
		SELECT n.account_id, n.job_id, 0, count(*)`+emails+` AND n.job_id IS NOT NULL
		GROUP BY n.account_id, n.job_id`+addToMailCount, keys); err != nil {
		return err
	}
	if err := exec(ctx, tx, `
		UPDATE notifications SET status = 'SKIPPED', updated_at = ?2
		WHERE (account_id, revocation_id) IN (SELECT n.account_id, n.revocation_id`+emails+`)`, keys, micros(now)); err != nil {
		return err
	}
	counts := make(map[string]int)
	for _, invite := range invites {
		counts[invite.Account]++
	}
	for account, n := range counts {
		if err := addEvents(ctx, tx, now, revocation.ForgottenEvent(account, by, n)); err != nil {
			return err
		}
	}
	return nil
}
