package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"rescind/internal/revocation"
)

// The columns of revocation.Email, and where they are read from, for the notifications n.
const (
	emailColumns = `
		SELECT n.account_id, n.revocation_id, n.claims + 1, n.attempts, n.deferred_since, n.blamed_at,
		       (SELECT accepted_at FROM mail_senders WHERE sender = :sender),
		       coalesce(i.candidate_name, ''), coalesce(i.candidate_email, ''), coalesce(i.assessment_name, ''),
		       a.name, a.contact, coalesce(r.candidate_message, j.candidate_message, ''), i.forgotten_at IS NOT NULL`

	emailJoins = `
		JOIN accounts AS a ON a.account_id = n.account_id
		LEFT JOIN invites AS i ON i.account_id = n.account_id AND i.report_id = n.report_id
		LEFT JOIN revocations AS r ON r.account_id = n.account_id AND r.id = n.revocation_id
		LEFT JOIN jobs AS j ON j.account_id = n.account_id AND j.id = n.job_id`
)

// ClaimNotifications implements revocation.NotificationStore.
func (s *Store) ClaimNotifications(ctx context.Context, sender string, refs []revocation.NotificationRef, lease time.Duration) ([]revocation.Email, error) {
	rows := make([]claimRow, len(refs))
	for i, ref := range refs {
		rows[i] = claimRow{rowKey: keyOf(ref.Account, ref.Revocation), Claims: ref.Claims}
	}
	var emails []revocation.Email
	err := s.write(ctx, "claim emails", func(tx *sql.Tx, now time.Time) error {
		scan := func(rows *sql.Rows) (e revocation.Email, err error) {
			err = scanEmail(rows, now, &e)
			return e, err
		}
		var err error
		emails, err = query(ctx, tx, scan, emailColumns+`
			FROM notifications AS n`+emailJoins+`
			WHERE n.status = 'PENDING' AND (n.account_id, n.revocation_id, n.claims) IN
			      (SELECT value ->> 'account', value ->> 'id', value ->> 'claims' FROM json_each(:refs))
			ORDER BY n.account_id, n.revocation_id`, sql.Named("sender", sender), sql.Named("refs", parameter(rows)))
		if err != nil {
			return err
		}
		return claim(ctx, tx, now, sender, emails, lease)
	})
	if err != nil {
		return nil, err
	}
	return emails, nil
}

func scanEmail(rows *sql.Rows, now time.Time, e *revocation.Email, more ...any) error {
	var deferredSince, blamedAt, acceptedAt sql.Null[int64]
	err := rows.Scan(append([]any{
		&e.Account,
		scannedID{&e.Revocation},
		&e.Claims, &e.Attempts, &deferredSince, &blamedAt, &acceptedAt,
		&e.ToName, &e.ToAddress, &e.Assessment, &e.Company, &e.Contact, &e.Message, &e.Forgotten,
	}, more...)...)
	if blamedAt.Valid && acceptedAt.Valid && blamedAt.V < acceptedAt.V {
		e.ServerCleared = true
		e.Attempts++
		if !deferredSince.Valid {
			deferredSince = blamedAt
		}
	}
	if deferredSince.Valid {
		e.Deferred = now.Sub(time.UnixMicro(deferredSince.V))
	}
	return err
}

// claim marks emails as claimed for sender.
func claim(ctx context.Context, tx *sql.Tx, now time.Time, sender string, emails []revocation.Email, lease time.Duration) error {
	if len(emails) == 0 {
		return nil
	}
	claimed := make([]rowKey, len(emails))
	for i, email := range emails {
		emails[i].Sender = sender
		claimed[i] = keyOf(email.Account, email.Revocation)
	}
	return exec(ctx, tx, `
		UPDATE notifications SET status = 'CLAIMED', claims = claims + 1, next_check_at = ?1, updated_at = ?2
		WHERE (account_id, revocation_id) IN (SELECT value ->> 'account', value ->> 'id' FROM json_each(?3))`,
		micros(now.Add(lease)), micros(now), parameter(claimed))
}

// ClaimJobNotifications implements revocation.NotificationStore.
func (s *Store) ClaimJobNotifications(ctx context.Context, sender, account string, limit int, lease time.Duration) (emails []revocation.Email, unknown int, err error) {
	err = s.write(ctx, "claim emails of jobs", func(tx *sql.Tx, now time.Time) error {
		scan := func(rows *sql.Rows) (d dueEmail, err error) {
			err = scanEmail(rows, now, &d.Email, &d.status, &d.job)
			return d, err
		}
		// If all emails that were found became UNKNOWN, more can be due.
		for full := true; full && len(emails) == 0; {
			due, err := query(ctx, tx, scan, emailColumns+`, n.status, n.job_id
				FROM (SELECT * FROM notifications INDEXED BY notifications_job_due
				      WHERE account_id = :account AND next_check_at <= :now AND `+unsettled+` AND job_id IS NOT NULL
				      ORDER BY next_check_at LIMIT :limit) AS n`+emailJoins+`
				ORDER BY n.next_check_at, n.revocation_id`,
				sql.Named("sender", sender), sql.Named("account", account), sql.Named("now", micros(now)), sql.Named("limit", limit))
			if err != nil {
				return err
			}
			full = len(due) == limit
			for _, d := range due {
				if d.status != revocation.NotificationCommitted {
					emails = append(emails, d.Email)
					continue
				}
				if err := loseEmail(ctx, tx, now, d); err != nil {
					return err
				}
				unknown++
			}
		}
		return claim(ctx, tx, now, sender, emails, lease)
	})
	if err != nil {
		return nil, 0, err
	}
	return emails, unknown, nil
}

type dueEmail struct {
	revocation.Email
	status revocation.NotificationStatus
	job    string
}

// loseEmail makes an email UNKNOWN whose worker committed it and did not settle it.
func loseEmail(ctx context.Context, tx *sql.Tx, now time.Time, d dueEmail) error {
	if err := exec(ctx, tx, `
		UPDATE notifications SET status = 'UNKNOWN', updated_at = ?1 WHERE account_id = ?2 AND revocation_id = ?3`,
		micros(now), d.Account, d.Revocation.String()); err != nil {
		return err
	}
	return addMailCount(ctx, tx, d.Account, d.job, revocation.NotificationUnknown)
}

// CommitNotification implements revocation.NotificationStore.
func (s *Store) CommitNotification(ctx context.Context, email revocation.Email, lease time.Duration) (held bool, err error) {
	err = s.write(ctx, "commit email", func(tx *sql.Tx, now time.Time) error {
		changed, err := change(ctx, tx, `
			UPDATE notifications SET status = 'COMMITTED', next_check_at = ?1, updated_at = ?2
			WHERE account_id = ?3 AND revocation_id = ?4 AND claims = ?5 AND status = 'CLAIMED' AND next_check_at > ?2`,
			micros(now.Add(lease)), micros(now), email.Account, email.Revocation.String(), email.Claims)
		held = changed == 1
		return err
	})
	return held && err == nil, err
}

// SettleNotification implements revocation.NotificationStore.
func (s *Store) SettleNotification(ctx context.Context, email revocation.Email, settled revocation.Settlement) error {
	return s.write(ctx, "settle email", func(tx *sql.Tx, now time.Time) error {
		if err := tellSender(ctx, tx, now, email.Sender, settled); err != nil {
			return err
		}
		var job sql.Null[string]
		err := tx.QueryRowContext(ctx, `
			UPDATE notifications SET status = ?1, attempts = ?2, next_check_at = ?3, updated_at = ?4,
			    deferred_since = coalesce(deferred_since, iif(?8, blamed_at, NULL), iif(?9 = 'email', ?4, NULL)),
			    blamed_at = CASE WHEN ?9 = 'server' THEN ?4 WHEN ?9 = '' AND NOT ?8 THEN blamed_at END
			WHERE account_id = ?5 AND revocation_id = ?6 AND claims = ?7 AND status IN ('CLAIMED', 'COMMITTED')
			RETURNING job_id`,
			string(settled.Status), settled.Attempts, micros(now.Add(settled.Delay)), micros(now),
			email.Account, email.Revocation.String(), email.Claims,
			email.ServerCleared, string(settled.About)).Scan(&job)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return nil
		case err != nil || !job.Valid || settled.Status == revocation.NotificationPending:
			return err
		default:
			return addMailCount(ctx, tx, email.Account, job.V, settled.Status)
		}
	})
}

// tellSender stores when the server last refused a message for a reason of its own, and when it last accepted one after that.
func tellSender(ctx context.Context, tx *sql.Tx, now time.Time, sender string, settled revocation.Settlement) error {
	switch {
	case settled.Status == revocation.NotificationSent:
		return exec(ctx, tx, `UPDATE mail_senders SET accepted_at = ?1 WHERE sender = ?2 AND blamed_at >= accepted_at`,
			micros(now), sender)
	case settled.About == revocation.AboutServer:
		return exec(ctx, tx, `
			INSERT INTO mail_senders (sender, blamed_at) VALUES (?1, ?2)
			ON CONFLICT (sender) DO UPDATE SET blamed_at = excluded.blamed_at WHERE blamed_at <= accepted_at`, sender, micros(now))
	default:
		return nil
	}
}
