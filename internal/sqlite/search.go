package sqlite

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/search"
)

var dialect = search.Dialect{
	Parameter: func(n int) string { return "?" + strconv.Itoa(n) },
	Time:      func(t time.Time) any { return micros(t) },
	ByIndex:   func(index string) string { return ` INDEXED BY ` + index },
	Texts:     func(texts []string) any { return parameter(texts) },
	ForEach: func(list, index, condition string) string {
		return ` FROM json_each(` + list + `) AS t CROSS JOIN invites INDEXED BY ` + index + ` WHERE ` + condition
	},
}

// Invites implements revocation.InviteStore.
func (s *Store) Invites(ctx context.Context, f revocation.InviteFilter) (page revocation.InvitePage, err error) {
	err = s.readTx(ctx, "look for invites", func(ctx context.Context, tx *sql.Tx) error {
		account, err := inviteAccount(ctx, tx, f.Account)
		if err != nil {
			return err
		}
		page, err = search.Page(f, account, dialect, inviteReader(ctx, tx))
		return err
	})
	return page, err
}

// Invite implements revocation.InviteStore.
func (s *Store) Invite(ctx context.Context, account string, reportID int64) (invite revocation.StoredInvite, err error) {
	err = s.readTx(ctx, "look for invites", func(ctx context.Context, tx *sql.Tx) error {
		state, err := inviteAccount(ctx, tx, account)
		if err != nil {
			return err
		}
		found, err := inviteReader(ctx, tx)(search.One(dialect, account, reportID))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return notFound("There is no such invite in this account.")
		}
		invite = found[0]
		invite.SetPredicted(state)
		return nil
	})
	return invite, err
}

// inviteAccount returns the facts about an account that the rule needs. The error's code is CodeNotFound if the account does
// not exist, and CodeNotSupported if its invites are at an upstream.
func inviteAccount(ctx context.Context, tx *sql.Tx, account string) (state revocation.AccountState, err error) {
	type found struct {
		revocation.AccountState
		upstream bool
	}
	all, err := query(ctx, tx, func(rows *sql.Rows) (f found, err error) {
		var changed sql.Null[int64]
		err = rows.Scan(&changed, &f.SpareStarted, &f.upstream)
		f.PlanChangedAt = moment(changed)
		return f, err
	}, `SELECT plan_changed_at, spare_started, upstream_url IS NOT NULL FROM accounts WHERE account_id = ?1`, account)
	switch {
	case err != nil:
		return state, err
	case len(all) == 0:
		return state, notFound("There is no such account.")
	case all[0].upstream:
		return state, &revocation.Error{Code: revocation.CodeNotSupported, Detail: "The account's invites are at its upstream."}
	}
	return all[0].AccountState, nil
}

func inviteReader(ctx context.Context, tx *sql.Tx) search.Reader {
	return func(s search.Statement) ([]revocation.StoredInvite, error) {
		return query(ctx, tx, scanInvite, s.SQL, s.Args...)
	}
}

func scanInvite(rows *sql.Rows) (i revocation.StoredInvite, err error) {
	var sent, revoked sql.Null[int64]
	err = rows.Scan(&i.ReportID, &i.CandidateName, &i.CandidateEmail, &i.AssessmentID, &i.AssessmentName, &i.Language,
		&i.Progress, &sent, &revoked, optionalID{&i.RevokedBy})
	i.SentAt, i.RevokedAt = moment(sent), moment(revoked)
	return i, err
}
