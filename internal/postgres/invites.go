package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// UpsertInvites adds invites or changes them, in one transaction; what revoked one stays. Of two with the
// same report_id the last counts. CodeNotFound without the account.
func (s *Store) UpsertInvites(ctx context.Context, account string, invites []revocation.Invite) error {
	last := make(map[int64]revocation.Invite, len(invites))
	for _, invite := range invites {
		last[invite.ReportID] = invite
	}
	reports := make([]int64, 0, len(last))
	for id := range last {
		reports = append(reports, id)
	}
	slices.Sort(reports) // in the order in which every transaction locks them
	n := len(reports)
	names, emails, assessments, sent := make([]string, n), make([]string, n), make([]string, n), make([]time.Time, n)
	for i, id := range reports {
		invite := last[id]
		names[i], emails[i] = invite.CandidateName, invite.CandidateEmail
		assessments[i], sent[i] = invite.AssessmentName, invite.SentAt
	}
	return s.tx(ctx, "write invites", func(ctx context.Context, tx *tx) error {
		batch := &pgx.Batch{}
		var there bool
		batch.Queue(`SELECT EXISTS (SELECT FROM accounts WHERE account_id = $1)`, account).
			QueryRow(func(row pgx.Row) error { return row.Scan(&there) })
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		if !there {
			return errNoAccount
		}
		batch = &pgx.Batch{}
		batch.Queue(`
			INSERT INTO invites (account_id, report_id, candidate_name, candidate_email, assessment_name, sent_at)
			SELECT $1, t.* FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
				AS t(report_id, candidate_name, candidate_email, assessment_name, sent_at)
			ON CONFLICT (account_id, report_id) DO UPDATE SET candidate_name = excluded.candidate_name,
				candidate_email = excluded.candidate_email, assessment_name = excluded.assessment_name,
				sent_at = excluded.sent_at`, account, reports, names, emails, assessments, sent)
		return tx.commit(ctx, batch)
	})
}
