package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

var errNoAccount = &revocation.Error{Code: revocation.CodeNotFound, Detail: "There is no such account."}

// SetAccount creates an account or changes what change names.
func (s *Store) SetAccount(ctx context.Context, change revocation.AccountChange) error {
	var planChangedAt *time.Time
	if change.PlanChangedAt != nil && !change.PlanChangedAt.IsZero() {
		planChangedAt = change.PlanChangedAt
	}
	_, err := s.pool.Exec(ctx, `
		INSERT INTO accounts AS a (account_id, name, contact, plan_changed_at)
		VALUES ($1, coalesce($2, ''), coalesce($3, ''), $5)
		ON CONFLICT (account_id) DO UPDATE SET name = coalesce($2, a.name), contact = coalesce($3, a.contact),
			plan_changed_at = CASE WHEN $4 THEN $5 ELSE a.plan_changed_at END`,
		change.ID, change.Name, change.Contact, change.PlanChangedAt != nil, planChangedAt)
	return fault("set an account", err)
}

// Accounts gives all accounts by their ids.
func (s *Store) Accounts(ctx context.Context) ([]revocation.Account, error) {
	rows, err := s.pool.Query(ctx, `SELECT account_id, name, contact, plan_changed_at FROM accounts ORDER BY account_id`)
	if err != nil {
		return nil, fault("list accounts", err)
	}
	accounts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a revocation.Account, err error) {
		var changed *time.Time
		err = row.Scan(&a.ID, &a.Name, &a.Contact, &changed)
		a.PlanChangedAt = timeOrZero(changed)
		return a, err
	})
	return accounts, fault("list accounts", err)
}

// AddKey adds an API key; CodeNotFound without its account.
func (s *Store) AddKey(ctx context.Context, key revocation.APIKey) error {
	scopes := make([]string, len(key.Scopes))
	for i, scope := range key.Scopes {
		scopes[i] = string(scope)
	}
	var expires *time.Time
	if !key.ExpiresAt.IsZero() {
		expires = &key.ExpiresAt
	}
	tag, err := s.pool.Exec(ctx, `
		INSERT INTO api_keys (account_id, id, secret_hash, scopes, expires_at)
		SELECT account_id, $2, $3, $4, $5 FROM accounts WHERE account_id = $1`,
		key.Account, uuid(key.ID), key.Hash[:], scopes, expires)
	if err == nil && tag.RowsAffected() == 0 {
		return errNoAccount
	}
	return fault("add a key", err)
}

const selectKey = `SELECT account_id, id, secret_hash, scopes, expires_at, revoked_at FROM api_keys `

// Keys gives the keys of an account, or of all with "", by account and age.
func (s *Store) Keys(ctx context.Context, account string) ([]revocation.APIKey, error) {
	rows, err := s.pool.Query(ctx, selectKey+`WHERE account_id = $1 OR $1 = '' ORDER BY account_id, id`, account)
	if err != nil {
		return nil, fault("list keys", err)
	}
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (revocation.APIKey, error) { return scanKey(row) })
	return keys, fault("list keys", err)
}

// KeyByHash finds a key, valid or not, by its secret's hash; CodeNotFound when there is none.
func (s *Store) KeyByHash(ctx context.Context, hash revocation.SecretHash) (revocation.APIKey, error) {
	key, err := scanKey(s.pool.QueryRow(ctx, selectKey+`WHERE secret_hash = $1`, hash[:]))
	if errors.Is(err, pgx.ErrNoRows) {
		return key, &revocation.Error{Code: revocation.CodeNotFound, Detail: "There is no such key."}
	}
	return key, fault("look up a key", err)
}

// RevokeKey ends a key; one that is revoked already keeps its time. CodeNotFound when the account has none
// such.
func (s *Store) RevokeKey(ctx context.Context, account string, id revocation.ID) error {
	tag, err := s.pool.Exec(ctx, `
		UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE account_id = $1 AND id = $2`,
		account, uuid(id))
	if err == nil && tag.RowsAffected() == 0 {
		return &revocation.Error{Code: revocation.CodeNotFound, Detail: "There is no such key in this account."}
	}
	return fault("revoke a key", err)
}

func scanKey(row pgx.Row) (revocation.APIKey, error) {
	var key revocation.APIKey
	var hash []byte
	var scopes []string
	var expires, revoked *time.Time
	if err := row.Scan(&key.Account, (*uuid)(&key.ID), &hash, &scopes, &expires, &revoked); err != nil {
		return revocation.APIKey{}, err
	}
	copy(key.Hash[:], hash)
	for _, scope := range scopes {
		key.Scopes = append(key.Scopes, revocation.Scope(scope))
	}
	key.ExpiresAt, key.RevokedAt = timeOrZero(expires), timeOrZero(revoked)
	return key, nil
}

func timeOrZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
