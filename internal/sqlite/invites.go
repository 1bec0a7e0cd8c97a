package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/search"
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
	// An optional value is nil to leave it as it is.
	AssessmentID *string `json:"assessment_id"`
	Language     *string `json:"language"`
	foldedTexts
}

// foldedTexts are the copies of an invite's texts for search.
type foldedTexts struct {
	Name       string `json:"name_folded"`
	Email      string `json:"email_folded"`
	Assessment string `json:"assessment_folded"`
}

func fold(name, email, assessment string) foldedTexts {
	return foldedTexts{search.Fold(name), search.Fold(email), search.Fold(assessment)}
}

// UpsertInvites implements revocation.InviteStore.
func (s *Store) UpsertInvites(ctx context.Context, account string, invites []revocation.Invite) error {
	return s.writeInvites(ctx, account, invites)
}

// FinishImport implements revocation.InviteStore.
func (s *Store) FinishImport(ctx context.Context, account string, invites []revocation.Invite, counts revocation.Import) error {
	return s.writeInvites(ctx, account, invites, revocation.InvitesImported(account, counts))
}

func (s *Store) writeInvites(ctx context.Context, account string, invites []revocation.Invite, events ...revocation.Event) error {
	return s.write(ctx, "upsert invites", func(tx *sql.Tx, now time.Time) error {
		if _, err := inviteAccount(ctx, tx, account); err != nil {
			return err
		}
		for chunk := range slices.Chunk(revocation.MergeInvites(invites), inviteChunk) {
			rows := make([]newInvite, len(chunk))
			for i, v := range chunk {
				rows[i] = newInvite{
					v.ReportID, v.CandidateName, v.CandidateEmail, v.AssessmentName, micros(v.SentAt), string(v.Progress),
					v.AssessmentID, v.Language, fold(v.CandidateName, v.CandidateEmail, v.AssessmentName),
				}
			}
			// WHERE true keeps SQLite from reading ON as part of a join.
			if err := exec(ctx, tx, `
				INSERT INTO invites (account_id, report_id, candidate_name, candidate_email, assessment_name, sent_at, state,
				    assessment_id, language, name_folded, email_folded, assessment_folded)
				SELECT ?1, value ->> 'report_id', value ->> 'name', value ->> 'email', value ->> 'assessment', value ->> 'sent_at',
				       coalesce(nullif(value ->> 'state', ''), i.state, 'PENDING'),
				       coalesce(value ->> 'assessment_id', i.assessment_id), coalesce(value ->> 'language', i.language),
				       value ->> 'name_folded', value ->> 'email_folded', value ->> 'assessment_folded'
				FROM json_each(?2)
				LEFT JOIN invites AS i ON i.account_id = ?1 AND i.report_id = value ->> 'report_id'
				WHERE true
				ON CONFLICT (account_id, report_id) DO UPDATE
				SET candidate_name = iif(invites.forgotten_at IS NULL, excluded.candidate_name, ''),
				    candidate_email = iif(invites.forgotten_at IS NULL, excluded.candidate_email, ''),
				    assessment_name = excluded.assessment_name, sent_at = excluded.sent_at, state = excluded.state,
				    assessment_id = excluded.assessment_id, language = excluded.language,
				    name_folded = iif(invites.forgotten_at IS NULL, excluded.name_folded, ''),
				    email_folded = iif(invites.forgotten_at IS NULL, excluded.email_folded, ''), assessment_folded = excluded.assessment_folded`,
				account, parameter(rows)); err != nil {
				return err
			}
		}
		return addEvents(ctx, tx, now, events...)
	})
}

type unfoldedInvite struct {
	Account  string `json:"account"`
	ReportID int64  `json:"report_id"`
	foldedTexts
}

// FoldInvites implements revocation.JanitorStore.
func (s *Store) FoldInvites(ctx context.Context, limit int) (folded int, err error) {
	err = s.write(ctx, "make invites findable", func(tx *sql.Tx, _ time.Time) error {
		found, err := query(ctx, tx, func(rows *sql.Rows) (i unfoldedInvite, err error) {
			var name, email, assessment string
			err = rows.Scan(&i.Account, &i.ReportID, &name, &email, &assessment)
			i.foldedTexts = fold(name, email, assessment)
			return i, err
		}, `
			SELECT account_id, report_id, candidate_name, candidate_email, assessment_name
			FROM invites INDEXED BY invites_unfolded WHERE name_folded IS NULL ORDER BY sent_at DESC LIMIT ?1`, limit)
		if err != nil || len(found) == 0 {
			return err
		}
		folded = len(found)
		return exec(ctx, tx, `
			UPDATE invites SET name_folded = t.value ->> 'name_folded', email_folded = t.value ->> 'email_folded',
			    assessment_folded = t.value ->> 'assessment_folded'
			FROM json_each(?1) AS t
			WHERE invites.account_id = t.value ->> 'account' AND invites.report_id = t.value ->> 'report_id'`, parameter(found))
	})
	if err != nil {
		return 0, err
	}
	return folded, nil
}
