package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"rescind/internal/revocation"
)

// SetAccount creates an account, or changes the fields that are not nil in change. A change of the platform cancels the jobs of
// the account that have not begun. The error's code is CodeInvalid if the upstream has no URL or no key.
func (s *Store) SetAccount(ctx context.Context, change revocation.AccountChange) error {
	var planChangedAt *int64
	if change.PlanChangedAt != nil {
		planChangedAt = optionalMicros(*change.PlanChangedAt)
	}
	var hold *int64
	if change.Hold != nil {
		hold = new(int64(*change.Hold / time.Second))
	}
	return s.write(ctx, "set account", func(tx *sql.Tx, now time.Time) error {
		before, err := readAccount(ctx, tx, change.ID)
		if err != nil {
			return err
		}
		if err := exec(ctx, tx, `
			INSERT INTO accounts (account_id, name, contact, plan_changed_at,
			    hold_seconds, confirm_above, approve_above, spare_started, message_links, single_events)
			VALUES (?1, coalesce(?2, ''), coalesce(?3, ''), ?4,
			    coalesce(?6, 0), nullif(max(?7, -1), -1), nullif(max(?8, -1), -1), coalesce(?9, 0), coalesce(?10, 0), coalesce(?11, 0))
			ON CONFLICT (account_id) DO UPDATE
			SET name = coalesce(?2, name), contact = coalesce(?3, contact),
			    plan_changed_at = CASE WHEN ?5 THEN ?4 ELSE plan_changed_at END,
			    hold_seconds = coalesce(?6, hold_seconds),
			    confirm_above = CASE WHEN ?7 IS NULL THEN confirm_above ELSE excluded.confirm_above END,
			    approve_above = CASE WHEN ?8 IS NULL THEN approve_above ELSE excluded.approve_above END,
			    spare_started = coalesce(?9, spare_started), message_links = coalesce(?10, message_links),
			    single_events = coalesce(?11, single_events)`,
			change.ID, change.Name, change.Contact, planChangedAt, change.PlanChangedAt != nil,
			hold, change.ConfirmAbove, change.ApproveAbove, change.SpareStarted, change.MessageLinks, change.SingleEvents); err != nil {
			return err
		}
		if change.Upstream != nil {
			if err := changePlatform(ctx, tx, now, change.ID, *change.Upstream); err != nil {
				return err
			}
		}
		after, err := readAccount(ctx, tx, change.ID)
		if err != nil {
			return err
		}
		var was *revocation.Account
		if len(before) > 0 {
			was = &before[0]
		}
		return addEvents(ctx, tx, now, revocation.AccountEvents(was, &after[0])...)
	})
}

// Accounts returns all accounts, ordered by their ids.
func (s *Store) Accounts(ctx context.Context) ([]revocation.Account, error) {
	accounts, err := query(ctx, s.readers, scanAccount, selectAccounts+` ORDER BY account_id`, sql.Named("now", micros(time.Now())))
	return accounts, fault("list accounts", err)
}

// Account implements api.Accounts.
func (s *Store) Account(ctx context.Context, id string) (revocation.Account, error) {
	found, err := readAccount(ctx, s.readers, id)
	if err == nil && len(found) == 0 {
		err = notFound("There is no such account.")
	}
	if err != nil {
		return revocation.Account{}, fault("read an account", err)
	}
	return found[0], nil
}

// readAccount returns the account, or an empty slice if it does not exist.
func readAccount(ctx context.Context, q querier, id string) ([]revocation.Account, error) {
	return query(ctx, q, scanAccount, selectAccounts+` WHERE account_id = :account`,
		sql.Named("now", micros(time.Now())), sql.Named("account", id))
}

const selectAccounts = `
	SELECT ` + upstreamColumns + `, name, contact, plan_changed_at,
	       hold_seconds, confirm_above, approve_above, spare_started, message_links, single_events
	FROM accounts`

func scanAccount(rows *sql.Rows) (a revocation.Account, err error) {
	var (
		planChangedAt sql.Null[int64]
		hold          int64
		up            revocation.Upstream
	)
	err = scanUpstream(rows, &up, &a.Name, &a.Contact, &planChangedAt,
		&hold, &a.ConfirmAbove, &a.ApproveAbove, &a.SpareStarted, &a.MessageLinks, &a.SingleEvents)
	a.ID, a.PlanChangedAt, a.Hold = up.Account, moment(planChangedAt), time.Duration(hold)*time.Second
	if up.URL != "" {
		a.Upstream = &up
	}
	return a, err
}

// requireAccount returns an error with CodeNotFound if the account does not exist.
func requireAccount(ctx context.Context, tx *sql.Tx, account string) error {
	var found bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM accounts WHERE account_id = ?1)`, account).Scan(&found); err != nil {
		return err
	}
	if !found {
		return notFound("There is no such account.")
	}
	return nil
}

// AddKey adds an API key. The error's code is CodeNotFound if the account does not exist.
func (s *Store) AddKey(ctx context.Context, key revocation.APIKey) error {
	scopes := make([]string, len(key.Scopes))
	for i, scope := range key.Scopes {
		scopes[i] = string(scope)
	}
	return s.write(ctx, "add key", func(tx *sql.Tx, now time.Time) error {
		if err := requireAccount(ctx, tx, key.Account); err != nil {
			return err
		}
		if err := exec(ctx, tx, `
			INSERT INTO api_keys (account_id, id, secret_hash, scopes, expires_at, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`,
			key.Account, key.ID.String(), key.Hash[:], strings.Join(scopes, " "), optionalMicros(key.ExpiresAt), key.Name); err != nil {
			return err
		}
		return addEvents(ctx, tx, now, revocation.KeyCreated(&key))
	})
}

const (
	keyColumns = `k.account_id, k.id, k.name, k.secret_hash, k.scopes, k.expires_at, k.revoked_at`
	selectKey  = `SELECT ` + keyColumns + ` FROM api_keys AS k`
	// selectCaller also reads the columns of revocation.Caller.
	selectCaller = `SELECT ` + keyColumns + `, a.hold_seconds, a.message_links, a.upstream_url IS NOT NULL
		FROM api_keys AS k JOIN accounts AS a ON a.account_id = k.account_id`
)

// Keys returns the keys of an account, or of all accounts if account is empty, ordered by account and age.
func (s *Store) Keys(ctx context.Context, account string) ([]revocation.APIKey, error) {
	scan := func(rows *sql.Rows) (revocation.APIKey, error) { return scanKey(rows) }
	keys, err := query(ctx, s.readers, scan, selectKey+`
		WHERE k.account_id = ?1 OR ?1 = '' ORDER BY k.account_id, k.id`, account)
	return keys, fault("list keys", err)
}

// KeysByHash returns the keys, valid or not, whose secrets have one of the hashes, in any order.
func (s *Store) KeysByHash(ctx context.Context, hashes []revocation.SecretHash) ([]revocation.APIKey, error) {
	hex := make([]string, len(hashes))
	for i := range hashes {
		hex[i] = fmt.Sprintf("%x", hashes[i][:])
	}
	scan := func(rows *sql.Rows) (revocation.APIKey, error) {
		var caller revocation.Caller
		var hold int
		key, err := scanKey(rows, &hold, &caller.MessageLinks, &caller.Upstream)
		caller.Hold = time.Duration(hold) * time.Second
		key.Caller = caller
		return key, err
	}
	keys, err := query(ctx, s.readers, scan, selectCaller+` WHERE k.secret_hash IN (SELECT unhex(value) FROM json_each(?1))`, parameter(hex))
	return keys, fault("look up keys", err)
}

// scanKey reads keyColumns, and the columns after them into more.
func scanKey(row *sql.Rows, more ...any) (revocation.APIKey, error) {
	var (
		key                  revocation.APIKey
		hash                 []byte
		scopes               string
		expiresAt, revokedAt sql.Null[int64]
	)
	err := row.Scan(append([]any{&key.Account, scannedID{&key.ID}, &key.Name, &hash, &scopes, &expiresAt, &revokedAt}, more...)...)
	if err != nil {
		return revocation.APIKey{}, err
	}
	copy(key.Hash[:], hash)
	for scope := range strings.FieldsSeq(scopes) {
		key.Scopes = append(key.Scopes, revocation.Scope(scope))
	}
	key.ExpiresAt, key.RevokedAt = moment(expiresAt), moment(revokedAt)
	return key, nil
}

// RevokeKey revokes a key. It does not change a key that is revoked already. The error's code is CodeNotFound if the account
// has no such key.
func (s *Store) RevokeKey(ctx context.Context, account string, id revocation.ID) error {
	return s.write(ctx, "revoke key", func(tx *sql.Tx, now time.Time) error {
		changed, err := change(ctx, tx, `
			UPDATE api_keys SET revoked_at = ?1 WHERE account_id = ?2 AND id = ?3 AND revoked_at IS NULL`,
			micros(now), account, id.String())
		if err != nil {
			return err
		}
		if changed > 0 {
			return addEvents(ctx, tx, now, revocation.KeyRevoked(account, id))
		}
		var there bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM api_keys WHERE account_id = ?1 AND id = ?2)`,
			account, id.String()).Scan(&there); err != nil {
			return err
		}
		if !there {
			return notFound("There is no such key in this account.")
		}
		return nil
	})
}
