package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rescind/internal/revocation"
	"rescind/internal/search"
)

// errUpstream is the error for the invites of an account on an upstream.
var errUpstream = &revocation.Error{Code: revocation.CodeNotSupported, Detail: "The account's invites are at its upstream."}

// UpsertInvites implements revocation.InviteStore.
func (s *Store) UpsertInvites(ctx context.Context, account string, invites []revocation.Invite) error {
	return s.writeInvites(ctx, account, invites)
}

// FinishImport implements revocation.InviteStore.
func (s *Store) FinishImport(ctx context.Context, account string, invites []revocation.Invite, counts revocation.Import) error {
	return s.writeInvites(ctx, account, invites, revocation.InvitesImported(account, counts))
}

func (s *Store) writeInvites(ctx context.Context, account string, invites []revocation.Invite, events ...revocation.Event) error {
	invites = revocation.MergeInvites(invites) // in the order in which every transaction locks them
	n := len(invites)
	reports, sent := make([]int64, n), make([]time.Time, n)
	names, emails, assessments, states := make([]string, n), make([]string, n), make([]string, n), make([]revocation.Progress, n)
	ids, languages := make([]*string, n), make([]*string, n)
	var keep []int64
	for i, invite := range invites {
		reports[i], sent[i] = invite.ReportID, invite.SentAt
		names[i], emails[i], assessments[i] = invite.CandidateName, invite.CandidateEmail, invite.AssessmentName
		ids[i], languages[i] = invite.AssessmentID, invite.Language
		states[i] = invite.Progress
		if invite.Progress == "" {
			keep, states[i] = append(keep, invite.ReportID), revocation.ProgressPending
		}
	}
	return s.change(ctx, "write invites", func(ctx context.Context, tx *tx) error {
		if _, err := tx.inviteAccount(ctx, account); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue(`
			INSERT INTO invites AS i (account_id, report_id, candidate_name, candidate_email, assessment_name, sent_at, state,
				assessment_id, language, name_folded, email_folded, assessment_folded)
			SELECT $1, t.* FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[],
				$9::text[], $10::text[], $11::text[], $12::text[], $13::text[]) AS t
			ON CONFLICT (account_id, report_id) DO UPDATE SET
				candidate_name = CASE WHEN i.forgotten_at IS NULL THEN excluded.candidate_name ELSE '' END,
				candidate_email = CASE WHEN i.forgotten_at IS NULL THEN excluded.candidate_email ELSE '' END,
				assessment_name = excluded.assessment_name, sent_at = excluded.sent_at,
				state = CASE WHEN excluded.report_id IN (SELECT unnest($8::bigint[])) THEN i.state ELSE excluded.state END,
				assessment_id = coalesce(excluded.assessment_id, i.assessment_id), language = coalesce(excluded.language, i.language),
				name_folded = CASE WHEN i.forgotten_at IS NULL THEN excluded.name_folded ELSE '' END,
				email_folded = CASE WHEN i.forgotten_at IS NULL THEN excluded.email_folded ELSE '' END,
				assessment_folded = excluded.assessment_folded`,
			account, reports, names, emails, assessments, sent, states, keep, ids, languages,
			folded(names), folded(emails), folded(assessments))
		queueEvents(batch, events)
		return tx.commit(ctx, batch)
	})
}

func folded(texts []string) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = search.Fold(text)
	}
	return all
}

// inviteAccount returns the facts about an account that the rule needs. It returns errNoAccount if the account does not exist,
// and errUpstream if its invites are at an upstream.
func (t *tx) inviteAccount(ctx context.Context, account string) (state revocation.AccountState, err error) {
	found, upstream := false, false
	batch := &pgx.Batch{}
	batch.Queue(`SELECT plan_changed_at, spare_started, upstream_url IS NOT NULL FROM accounts WHERE account_id = $1`, account).
		Query(eachRow(func(row pgx.Row) error {
			var changed *time.Time
			err := row.Scan(&changed, &state.SpareStarted, &upstream)
			found, state.PlanChangedAt = true, timeOrZero(changed)
			return err
		}))
	err = t.send(ctx, batch)
	switch {
	case err != nil:
		return state, err
	case !found:
		return state, errNoAccount
	case upstream:
		return state, errUpstream
	}
	return state, nil
}

// eachRow returns a callback that calls read for each row.
func eachRow(read func(pgx.Row) error) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			if err := read(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}

// FoldInvites implements revocation.JanitorStore. An invite that another transaction has locked is left for the next call.
func (s *Store) FoldInvites(ctx context.Context, limit int) (done int, err error) {
	err = s.change(ctx, "make invites findable", func(ctx context.Context, tx *tx) error {
		var accounts, names, emails, assessments []string
		var reports []int64
		batch := &pgx.Batch{}
		batch.Queue(`
			SELECT account_id, report_id, candidate_name, candidate_email, assessment_name FROM invites
			WHERE name_folded IS NULL ORDER BY sent_at DESC LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED`, limit).
			Query(eachRow(func(row pgx.Row) error {
				var account, name, email, assessment string
				var report int64
				err := row.Scan(&account, &report, &name, &email, &assessment)
				accounts, reports = append(accounts, account), append(reports, report)
				names, emails, assessments = append(names, name), append(emails, email), append(assessments, assessment)
				return err
			}))
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		batch = &pgx.Batch{}
		batch.Queue(`
			UPDATE invites AS i SET name_folded = t.name, email_folded = t.email, assessment_folded = t.assessment
			FROM (
				SELECT i.place, t.name, t.email, t.assessment
				FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[]) AS t(account_id, report_id, name, email, assessment)
				CROSS JOIN LATERAL (
					SELECT ctid AS place FROM invites i
					WHERE i.account_id = t.account_id AND i.report_id = t.report_id OFFSET 0) AS i) AS t
			WHERE i.ctid = t.place`, accounts, reports, folded(names), folded(emails), folded(assessments)).
			Exec(func(tag pgconn.CommandTag) error {
				done = int(tag.RowsAffected())
				return nil
			})
		return tx.commit(ctx, batch)
	})
	if err != nil {
		return 0, err
	}
	return done, nil
}
