package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
	"rescind/internal/search"
)

var dialect = search.Dialect{
	Parameter: func(n int) string { return "$" + strconv.Itoa(n) },
	Time:      func(t time.Time) any { return t },
	Texts:     func(texts []string) any { return texts },
	ForEach: func(list, _, condition string) string {
		return ` FROM unnest(` + list + `::text[]) AS t(value) CROSS JOIN LATERAL (SELECT report_id FROM invites WHERE ` + condition + ` OFFSET 0) AS i`
	},
}

// Invites implements revocation.InviteStore.
func (s *Store) Invites(ctx context.Context, f revocation.InviteFilter) (page revocation.InvitePage, err error) {
	err = s.readInvites(ctx, f.Account, func(account revocation.AccountState, read search.Reader) error {
		page, err = search.Page(f, account, dialect, read)
		return err
	})
	if err != nil {
		return revocation.InvitePage{}, err
	}
	return page, nil
}

var errNoInvite = &revocation.Error{Code: revocation.CodeNotFound, Detail: "There is no such invite in this account."}

// Invite implements revocation.InviteStore.
func (s *Store) Invite(ctx context.Context, account string, reportID int64) (invite revocation.StoredInvite, err error) {
	err = s.readInvites(ctx, account, func(state revocation.AccountState, read search.Reader) error {
		found, err := read(search.One(dialect, account, reportID))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return errNoInvite
		}
		invite = found[0]
		invite.SetPredicted(state)
		return nil
	})
	if err != nil {
		return revocation.StoredInvite{}, err
	}
	return invite, nil
}

// readInvites calls fn with the state of an account and a reader, both of the same snapshot.
func (s *Store) readInvites(ctx context.Context, account string, fn func(revocation.AccountState, search.Reader) error) error {
	return s.readTx(ctx, "look for invites", func(ctx context.Context, tx *tx) error {
		state, err := tx.inviteAccount(ctx, account)
		if err != nil {
			return err
		}
		return fn(state, func(statement search.Statement) (found []revocation.StoredInvite, err error) {
			batch := &pgx.Batch{}
			batch.Queue(statement.SQL, statement.Args...).Query(eachRow(func(row pgx.Row) error {
				invite, err := scanInvite(row)
				found = append(found, invite)
				return err
			}))
			return found, tx.send(ctx, batch)
		})
	})
}

func scanInvite(row pgx.Row) (i revocation.StoredInvite, err error) {
	var revoked *time.Time
	var by *uuid
	err = row.Scan(&i.ReportID, &i.CandidateName, &i.CandidateEmail, &i.AssessmentID, &i.AssessmentName, &i.Language,
		&i.Progress, &i.SentAt, &revoked, &by)
	i.SentAt, i.RevokedAt = i.SentAt.UTC(), timeOrZero(revoked)
	if by != nil {
		i.RevokedBy = *by
	}
	return i, err
}
