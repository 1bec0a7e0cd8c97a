package postgres

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rescind/internal/revocation"
)

// ClaimNotifications implements revocation.NotificationStore.
func (s *Store) ClaimNotifications(ctx context.Context, sender string, refs []revocation.NotificationRef, lease time.Duration) ([]revocation.Email, error) {
	refs = emailsInKeyOrder(refs)
	accounts, ids, claims := make([]string, len(refs)), make([]uuid, len(refs)), make([]int, len(refs))
	for i, ref := range refs {
		accounts[i], ids[i], claims[i] = ref.Account, uuid(ref.Revocation), ref.Claims
	}
	emails, _, err := s.claimEmails(ctx, sender, `
		UPDATE notifications n SET status = 'CLAIMED', claims = n.claims + 1, updated_at = now(),
			next_check_at = now() + make_interval(secs => $5)
		FROM unnest($2::text[], $3::uuid[], $4::int[]) AS t(account_id, id, claims)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM notifications n
			WHERE n.account_id = t.account_id AND n.revocation_id = t.id AND n.claims = t.claims
				AND n.status = 'PENDING' FOR UPDATE) AS held
		WHERE n.ctid = held.place`, accounts, ids, claims, lease.Seconds())
	return emails, err
}

// emailsInKeyOrder returns refs in the order of their keys. Statements that wait for the locks of several rows use this order,
// so that they cannot deadlock.
func emailsInKeyOrder(refs []revocation.NotificationRef) []revocation.NotificationRef {
	return slices.SortedFunc(slices.Values(refs), func(a, b revocation.NotificationRef) int {
		return cmp.Or(strings.Compare(a.Account, b.Account), a.Revocation.Compare(b.Revocation))
	})
}

// ClaimJobNotifications implements revocation.NotificationStore.
func (s *Store) ClaimJobNotifications(ctx context.Context, sender, account string, limit int, lease time.Duration) (emails []revocation.Email, unknown int, err error) {
	return s.claimEmails(ctx, sender, `
		UPDATE notifications n SET claims = n.claims + 1, updated_at = now(),
			status = CASE n.status WHEN 'COMMITTED' THEN 'UNKNOWN' ELSE 'CLAIMED' END,
			next_check_at = now() + make_interval(secs => $4)
		FROM (
			SELECT ctid AS place FROM notifications n
			WHERE n.account_id = $2 AND n.next_check_at <= now() AND `+dueJobMail+`
			ORDER BY n.next_check_at LIMIT $3 FOR UPDATE SKIP LOCKED) AS due
		WHERE n.ctid = due.place`, account, limit, lease.Seconds())
}

// claimEmails runs an update that claims emails, whose parameters begin with $2. It reads the data for their messages, and
// counts the emails that became UNKNOWN.
func (s *Store) claimEmails(ctx context.Context, sender, update string, args ...any) (emails []revocation.Email, unknown int, err error) {
	batch := &pgx.Batch{}
	batch.Queue(`
		WITH claimed AS (`+update+`
			RETURNING n.account_id, n.revocation_id, n.report_id, n.job_id, n.claims, n.attempts, n.status,
				n.deferred_since, n.blamed_at
		), tallied AS (
			INSERT INTO job_mail_counts AS m (account_id, job_id, slot, unknown)
			SELECT account_id, job_id, 0, count(*) FROM claimed WHERE status = 'UNKNOWN'
			GROUP BY account_id, job_id ORDER BY account_id, job_id
			ON CONFLICT (account_id, job_id, slot) DO UPDATE SET unknown = m.unknown + excluded.unknown
		)
		SELECT c.account_id, c.revocation_id, c.claims, c.attempts + s.cleared::int, s.cleared,
			coalesce(extract(epoch FROM now() - coalesce(c.deferred_since, CASE WHEN s.cleared THEN c.blamed_at END)), 0)::float8,
			coalesce(i.candidate_name, ''),
			coalesce(i.candidate_email, ''), coalesce(i.assessment_name, ''), a.name, a.contact,
			coalesce(r.candidate_message, j.candidate_message, ''), i.forgotten_at IS NOT NULL, c.status
		FROM claimed c
		CROSS JOIN LATERAL (
			SELECT coalesce(c.blamed_at < (SELECT accepted_at FROM mail_senders WHERE sender = $1), false) AS cleared) AS s
		CROSS JOIN LATERAL (SELECT * FROM accounts a WHERE a.account_id = c.account_id OFFSET 0) AS a
		LEFT JOIN LATERAL (
			SELECT * FROM invites i
			WHERE i.account_id = c.account_id AND i.report_id = c.report_id OFFSET 0) AS i ON true
		LEFT JOIN LATERAL (
			SELECT candidate_message FROM revocations r
			WHERE r.account_id = c.account_id AND r.id = c.revocation_id OFFSET 0) AS r ON true
		LEFT JOIN LATERAL (
			SELECT candidate_message FROM jobs j
			WHERE j.account_id = c.account_id AND j.id = c.job_id OFFSET 0) AS j ON true
		ORDER BY c.account_id, c.revocation_id`, append([]any{sender}, args...)...).Query(func(rows pgx.Rows) error {
		e := revocation.Email{Sender: sender}
		var deferred float64
		var status revocation.NotificationStatus
		_, err := pgx.ForEachRow(rows, []any{
			&e.Account, (*uuid)(&e.Revocation), &e.Claims, &e.Attempts, &e.ServerCleared, &deferred,
			&e.ToName, &e.ToAddress, &e.Assessment, &e.Company, &e.Contact, &e.Message, &e.Forgotten, &status,
		}, func() error {
			if status == revocation.NotificationUnknown {
				unknown++
			} else {
				e.Deferred = time.Duration(deferred * float64(time.Second))
				emails = append(emails, e)
			}
			return nil
		})
		return err
	})
	if err := s.run(ctx, "claim emails", batch); err != nil {
		return nil, 0, err
	}
	return emails, unknown, nil
}

// CommitNotification implements revocation.NotificationStore.
func (s *Store) CommitNotification(ctx context.Context, email revocation.Email, lease time.Duration) (bool, error) {
	var held bool
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE notifications SET status = 'COMMITTED', updated_at = now(), next_check_at = now() + make_interval(secs => $4)
		WHERE account_id = $1 AND revocation_id = $2 AND claims = $3 AND status = 'CLAIMED' AND next_check_at > now()`,
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
		WITH settled AS (
			UPDATE notifications SET status = $4, attempts = $5, updated_at = now(),
				next_check_at = now() + make_interval(secs => $6),
				deferred_since = coalesce(deferred_since, CASE WHEN $8 THEN blamed_at END, CASE WHEN $9 = 'email' THEN now() END),
				blamed_at = CASE WHEN $9 = 'server' THEN now() WHEN $9 = '' AND NOT $8 THEN blamed_at END
			WHERE account_id = $1 AND revocation_id = $2 AND claims = $3 AND status IN ('CLAIMED', 'COMMITTED')
			RETURNING job_id, status)
		INSERT INTO job_mail_counts AS m (account_id, job_id, slot, sent, failed, unknown, skipped)
		SELECT $1, job_id, $7, (status = 'SENT')::int, (status = 'FAILED')::int, (status = 'UNKNOWN')::int, (status = 'SKIPPED')::int
		FROM settled WHERE job_id IS NOT NULL AND status <> 'PENDING'
		ON CONFLICT (account_id, job_id, slot) DO UPDATE SET
			sent = m.sent + excluded.sent, failed = m.failed + excluded.failed, unknown = m.unknown + excluded.unknown,
			skipped = m.skipped + excluded.skipped`,
		email.Account, uuid(email.Revocation), email.Claims, settled.Status, settled.Attempts, settled.Delay.Seconds(),
		email.Revocation[len(email.Revocation)-1]%mailCountSlots, email.ServerCleared, settled.About)
	switch {
	case settled.Status == revocation.NotificationSent:
		// Nothing is written unless the server has refused a message for its own reasons since it last accepted one.
		batch.Queue(`UPDATE mail_senders SET accepted_at = now() WHERE sender = $1 AND blamed_at >= accepted_at`, email.Sender)
	case settled.About == revocation.AboutServer:
		batch.Queue(`
			INSERT INTO mail_senders AS s (sender, blamed_at) VALUES ($1, now())
			ON CONFLICT (sender) DO UPDATE SET blamed_at = excluded.blamed_at WHERE s.blamed_at <= s.accepted_at`, email.Sender)
	}
	return s.run(ctx, "settle an email", batch)
}

// mailCountSlots is the number of rows in job_mail_counts for one job, so that many emails can be settled at once.
const mailCountSlots = 8
