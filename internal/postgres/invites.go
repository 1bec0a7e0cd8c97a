package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// UpsertInvites adds invites or changes them, in one transaction. A revoked invite stays revoked. Of two with the same
// report_id the last counts. CodeNotFound without the account.
func (s *Store) UpsertInvites(ctx context.Context, account string, invites []revocation.Invite) error {
	invites = revocation.MergeInvites(invites) // in the order in which every transaction locks them
	n := len(invites)
	reports, sent := make([]int64, n), make([]time.Time, n)
	names, emails, assessments, states := make([]string, n), make([]string, n), make([]string, n), make([]revocation.Progress, n)
	var keep []int64
	for i, invite := range invites {
		reports[i], sent[i] = invite.ReportID, invite.SentAt
		names[i], emails[i], assessments[i] = invite.CandidateName, invite.CandidateEmail, invite.AssessmentName
		states[i] = invite.Progress
		if invite.Progress == "" {
			keep, states[i] = append(keep, invite.ReportID), revocation.ProgressPending
		}
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
			INSERT INTO invites AS i (account_id, report_id, candidate_name, candidate_email, assessment_name, sent_at, state)
			SELECT $1, t.* FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[])
				AS t(report_id, candidate_name, candidate_email, assessment_name, sent_at, state)
			ON CONFLICT (account_id, report_id) DO UPDATE SET candidate_name = excluded.candidate_name,
				candidate_email = excluded.candidate_email, assessment_name = excluded.assessment_name,
				sent_at = excluded.sent_at,
				state = CASE WHEN excluded.report_id IN (SELECT unnest($8::bigint[])) THEN i.state ELSE excluded.state END`,
			account, reports, names, emails, assessments, sent, states, keep)
		return tx.commit(ctx, batch)
	})
}
