package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
	"rescind/internal/search"
)

// Forget implements revocation.InviteStore.
func (s *Store) Forget(ctx context.Context, account string, reportID int64, by revocation.Actor) error {
	return s.change(ctx, "forget a candidate", func(ctx context.Context, tx *tx) error {
		if _, err := tx.inviteAccount(ctx, account); err != nil {
			return err
		}
		var found, forgotten bool
		batch := &pgx.Batch{}
		batch.Queue(`
			SELECT forgotten_at IS NOT NULL FROM invites WHERE account_id = $1 AND report_id = $2 FOR NO KEY UPDATE`,
			account, reportID).Query(eachRow(func(row pgx.Row) error {
			found = true
			return row.Scan(&forgotten)
		}))
		switch err := tx.send(ctx, batch); {
		case err != nil:
			return err
		case !found:
			return &revocation.Error{Code: revocation.CodeNotFound, Detail: "There is no such invite in this account."}
		case forgotten:
			return tx.commit(ctx, &pgx.Batch{})
		}
		return tx.commit(ctx, forgetInvites([]revocation.InviteKey{{Account: account, ReportID: reportID}}, by))
	})
}

// ForgetAddress implements revocation.InviteStore.
func (s *Store) ForgetAddress(ctx context.Context, account, address string, limit int, by revocation.Actor) (int, error) {
	return s.forgetSome(ctx, by, func(batch *pgx.Batch, found func(pgx.Rows) error) {
		batch.Queue(`
			SELECT account_id, report_id FROM invites
			WHERE account_id = $1 AND email_folded IS NOT NULL AND email_folded = $2 AND forgotten_at IS NULL
			ORDER BY sent_at DESC, report_id DESC LIMIT $3 FOR NO KEY UPDATE`, account, search.Fold(address), limit).Query(found)
	}, account)
}

// ForgetOld implements revocation.JanitorStore. An invite that another transaction has locked is left for a later call.
func (s *Store) ForgetOld(ctx context.Context, age time.Duration, limit int) (int, error) {
	return s.forgetSome(ctx, revocation.Actor{Type: revocation.ActorService}, func(batch *pgx.Batch, found func(pgx.Rows) error) {
		batch.Queue(`
			SELECT account_id, report_id FROM invites
			WHERE forgotten_at IS NULL AND sent_at < now() - make_interval(secs => $1)
			ORDER BY sent_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED`, age.Seconds(), limit).Query(found)
	}, "")
}

// forgetSome forgets the candidates of the invites that a statement selects and locks. account is empty for all accounts.
func (s *Store) forgetSome(ctx context.Context, by revocation.Actor, queue func(*pgx.Batch, func(pgx.Rows) error), account string) (n int, err error) {
	err = s.change(ctx, "forget candidates", func(ctx context.Context, tx *tx) error {
		if account != "" {
			if _, err := tx.inviteAccount(ctx, account); err != nil {
				return err
			}
		}
		var invites []revocation.InviteKey
		batch := &pgx.Batch{}
		queue(batch, eachRow(func(row pgx.Row) error {
			var key revocation.InviteKey
			err := row.Scan(&key.Account, &key.ReportID)
			invites = append(invites, key)
			return err
		}))
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		n = len(invites)
		return tx.commit(ctx, forgetInvites(invites, by))
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// forgetInvites returns the statements that erase the names and addresses of locked invites and skip their emails. They do not
// skip an email that is being sent to a mail server. They lock the emails in the order of their keys; see emailsInKeyOrder.
func forgetInvites(invites []revocation.InviteKey, by revocation.Actor) *pgx.Batch {
	batch := &pgx.Batch{}
	accounts, reports := make([]string, len(invites)), make([]int64, len(invites))
	counts := make(map[string]int)
	for i, invite := range invites {
		accounts[i], reports[i] = invite.Account, invite.ReportID
		counts[invite.Account]++
	}
	exactly(batch, len(invites), `
		UPDATE invites i SET candidate_name = '', candidate_email = '', name_folded = '', email_folded = '', forgotten_at = now()
		FROM unnest($1::text[], $2::bigint[]) AS t(account_id, report_id)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM invites i WHERE i.account_id = t.account_id AND i.report_id = t.report_id OFFSET 0) AS held
		WHERE i.ctid = held.place`, accounts, reports)
	batch.Queue(`
		WITH skipped AS (
			UPDATE notifications n SET status = 'SKIPPED', updated_at = now()
			FROM (
				SELECT r.account_id, r.id
				FROM unnest($1::text[], $2::bigint[]) AS t(account_id, report_id)
				CROSS JOIN LATERAL (
					SELECT r.account_id, r.id FROM revocations r
					WHERE r.account_id = t.account_id AND r.report_id > 0 AND r.report_id = t.report_id OFFSET 0) AS r
				ORDER BY r.account_id, r.id OFFSET 0) AS r
			CROSS JOIN LATERAL (
				SELECT ctid AS place FROM notifications n
				WHERE n.account_id = r.account_id AND n.revocation_id = r.id AND n.status IN ('PENDING', 'CLAIMED')
				FOR UPDATE) AS held
			WHERE n.ctid = held.place
			RETURNING n.account_id, n.job_id)
		INSERT INTO job_mail_counts AS m (account_id, job_id, slot, skipped)
		SELECT account_id, job_id, 0, count(*) FROM skipped WHERE job_id IS NOT NULL GROUP BY account_id, job_id
		ORDER BY account_id, job_id
		ON CONFLICT (account_id, job_id, slot) DO UPDATE SET skipped = m.skipped + excluded.skipped`, accounts, reports)
	var events []revocation.Event
	for account, n := range counts {
		events = append(events, revocation.ForgottenEvent(account, by, n))
	}
	queueEvents(batch, events)
	return batch
}
