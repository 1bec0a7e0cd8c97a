package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"rescind/internal/revocation"
)

// inviteChunk bounds the memory that a statement's parameter takes.
const inviteChunk = 5000

type newInvite struct {
	ReportID       int64  `json:"report_id"`
	CandidateName  string `json:"name"`
	CandidateEmail string `json:"email"`
	AssessmentName string `json:"assessment"`
	SentAt         int64  `json:"sent_at"`
	State          string `json:"state"`
}

// UpsertInvites adds invites to an account or replaces what it knew of them, all in one transaction; of two
// with the same report_id the later wins. What is revoked stays revoked. CodeNotFound when there is no such
// account.
func (s *Store) UpsertInvites(ctx context.Context, account string, invites []revocation.Invite) error {
	return s.write(ctx, "upsert invites", func(tx *sql.Tx, _ time.Time) error {
		if err := requireAccount(ctx, tx, account); err != nil {
			return err
		}
		for chunk := range slices.Chunk(revocation.MergeInvites(invites), inviteChunk) {
			rows := make([]newInvite, len(chunk))
			for i, v := range chunk {
				rows[i] = newInvite{v.ReportID, v.CandidateName, v.CandidateEmail, v.AssessmentName, micros(v.SentAt), string(v.Progress)}
			}
			// WHERE true keeps SQLite from reading ON as part of a join.
			if err := exec(ctx, tx, `
				INSERT INTO invites (account_id, report_id, candidate_name, candidate_email, assessment_name, sent_at, state)
				SELECT ?1, value ->> 'report_id', value ->> 'name', value ->> 'email', value ->> 'assessment', value ->> 'sent_at',
				       coalesce(nullif(value ->> 'state', ''), i.state, 'PENDING')
				FROM json_each(?2)
				LEFT JOIN invites AS i ON i.account_id = ?1 AND i.report_id = value ->> 'report_id'
				WHERE true
				ON CONFLICT (account_id, report_id) DO UPDATE
				SET candidate_name = excluded.candidate_name, candidate_email = excluded.candidate_email,
				    assessment_name = excluded.assessment_name, sent_at = excluded.sent_at, state = excluded.state`,
				account, parameter(rows)); err != nil {
				return err
			}
		}
		return nil
	})
}
