package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rescind/internal/revocation"
)

var errNoAccount = &revocation.Error{Code: revocation.CodeNotFound, Detail: "There is no such account."}

// SetAccount creates an account, or changes the fields that are not nil in change. A change of the platform cancels the jobs of
// the account that have not begun. The error's code is CodeInvalid if the upstream has no URL or no key.
func (s *Store) SetAccount(ctx context.Context, change revocation.AccountChange) error {
	var planChangedAt *time.Time
	if change.PlanChangedAt != nil && !change.PlanChangedAt.IsZero() {
		planChangedAt = change.PlanChangedAt
	}
	var hold *int
	if change.Hold != nil {
		hold = new(int(*change.Hold / time.Second))
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO accounts AS a (account_id, name, contact, plan_changed_at,
			hold_seconds, confirm_above, approve_above, spare_started, message_links, single_events)
		VALUES ($1, coalesce($2, ''), coalesce($3, ''), $5,
			coalesce($6, 0), nullif(greatest($7, -1), -1), nullif(greatest($8, -1), -1),
			coalesce($9, false), coalesce($10, false), coalesce($11, false))
		ON CONFLICT (account_id) DO UPDATE SET name = coalesce($2, a.name), contact = coalesce($3, a.contact),
			plan_changed_at = CASE WHEN $4 THEN $5 ELSE a.plan_changed_at END,
			hold_seconds = coalesce($6, a.hold_seconds),
			confirm_above = CASE WHEN $7 IS NULL THEN a.confirm_above ELSE excluded.confirm_above END,
			approve_above = CASE WHEN $8 IS NULL THEN a.approve_above ELSE excluded.approve_above END,
			spare_started = coalesce($9, a.spare_started), message_links = coalesce($10, a.message_links),
			single_events = coalesce($11, a.single_events)`,
		change.ID, change.Name, change.Contact, change.PlanChangedAt != nil, planChangedAt,
		hold, change.ConfirmAbove, change.ApproveAbove, change.SpareStarted, change.MessageLinks, change.SingleEvents)
	switch up := change.Upstream; {
	case up == nil:
	case up.URL != nil && *up.URL == "":
		batch.Queue(`
			UPDATE accounts SET upstream_url = NULL, upstream_key = NULL, upstream_rate = 0, upstream_concurrency = 0,
				upstream_hold = '', upstream_held_until = NULL
			WHERE account_id = $1`, change.ID)
	default: // a key without a URL violates the constraint
		batch.Queue(`
			UPDATE accounts SET upstream_url = coalesce($2, upstream_url),
				upstream_key = CASE WHEN coalesce($2, upstream_url) IS NULL THEN '' ELSE coalesce($3, upstream_key) END,
				upstream_rate = coalesce($4, upstream_rate), upstream_concurrency = coalesce($5, upstream_concurrency),
				upstream_hold = '', upstream_held_until = NULL
			WHERE account_id = $1`, change.ID, up.URL, up.SealedKey, up.Rate, up.Concurrency)
	}
	err := s.changeAccount(ctx, change, batch)
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.ConstraintName == "accounts_upstream_check" {
		return &revocation.Error{Code: revocation.CodeInvalid, Detail: "An upstream needs a URL and a key.", Err: err}
	}
	return err
}

const (
	upstreamColumns = `coalesce(upstream_url, ''), upstream_key, upstream_rate, upstream_concurrency,
		upstream_hold, upstream_held_until, coalesce(upstream_held_until > now(), false)`
	selectAccounts = `SELECT account_id, name, contact, plan_changed_at,
		hold_seconds, confirm_above, approve_above, spare_started, message_links, single_events, ` + upstreamColumns + ` FROM accounts`
)

func queueAccount(batch *pgx.Batch, account, lock string, found *[]revocation.Account) {
	batch.Queue(selectAccounts+` WHERE account_id = $1`+lock, account).Query(func(rows pgx.Rows) (err error) {
		*found, err = pgx.CollectRows(rows, scanAccount)
		return err
	})
}

// Accounts returns all accounts, ordered by their ids.
func (s *Store) Accounts(ctx context.Context) ([]revocation.Account, error) {
	rows, err := s.pool.Query(ctx, selectAccounts+` ORDER BY account_id`)
	if err != nil {
		return nil, fault("list accounts", err)
	}
	accounts, err := pgx.CollectRows(rows, scanAccount)
	return accounts, fault("list accounts", err)
}

// Account implements api.Accounts.
func (s *Store) Account(ctx context.Context, id string) (revocation.Account, error) {
	found := []revocation.Account{}
	batch := &pgx.Batch{}
	queueAccount(batch, id, "", &found)
	err := s.readTx(ctx, "read an account", committing(batch))
	if err == nil && len(found) == 0 {
		err = errNoAccount
	}
	if err != nil {
		return revocation.Account{}, err
	}
	return found[0], nil
}

func scanAccount(row pgx.CollectableRow) (a revocation.Account, err error) {
	var changed, held *time.Time
	var up revocation.Upstream
	var hold int
	err = row.Scan(&a.ID, &a.Name, &a.Contact, &changed,
		&hold, &a.ConfirmAbove, &a.ApproveAbove, &a.SpareStarted, &a.MessageLinks, &a.SingleEvents,
		&up.URL, &up.SealedKey, &up.Rate, &up.Concurrency, &up.Hold, &held, &up.Held)
	a.PlanChangedAt, a.Hold = timeOrZero(changed), time.Duration(hold)*time.Second
	if up.URL != "" {
		up.Account, up.HeldUntil = a.ID, timeOrZero(held)
		a.Upstream = &up
	}
	return a, err
}

// AddKey adds an API key. The error's code is CodeNotFound if the account does not exist.
func (s *Store) AddKey(ctx context.Context, key revocation.APIKey) error {
	scopes := make([]string, len(key.Scopes))
	for i, scope := range key.Scopes {
		scopes[i] = string(scope)
	}
	var expires *time.Time
	if !key.ExpiresAt.IsZero() {
		expires = &key.ExpiresAt
	}
	there := false
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO api_keys (account_id, id, secret_hash, scopes, expires_at, name)
		SELECT account_id, $2, $3, $4, $5, $6 FROM accounts WHERE account_id = $1`,
		key.Account, uuid(key.ID), key.Hash[:], scopes, expires, key.Name).Exec(func(tag pgconn.CommandTag) error {
		there = tag.RowsAffected() > 0
		return nil
	})
	queueEvents(batch, []revocation.Event{revocation.KeyCreated(&key)}) // writes none if the account does not exist
	if err := s.run(ctx, "add a key", batch); err != nil {
		return err
	}
	if !there {
		return errNoAccount
	}
	return nil
}

const (
	keyColumns = `k.account_id, k.id, k.name, k.secret_hash, k.scopes, k.expires_at, k.revoked_at`
	selectKey  = `SELECT ` + keyColumns + ` FROM api_keys k `
	// selectCaller also reads the columns of revocation.Caller.
	selectCaller = `SELECT ` + keyColumns + `, a.hold_seconds, a.message_links, a.upstream_url IS NOT NULL
		FROM api_keys k JOIN accounts a ON a.account_id = k.account_id `
)

// Keys returns the keys of an account, or of all accounts if account is empty, ordered by account and age.
func (s *Store) Keys(ctx context.Context, account string) ([]revocation.APIKey, error) {
	rows, err := s.pool.Query(ctx, selectKey+`WHERE k.account_id = $1 OR $1 = '' ORDER BY k.account_id, k.id`, account)
	if err != nil {
		return nil, fault("list keys", err)
	}
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (revocation.APIKey, error) { return scanKey(row) })
	return keys, fault("list keys", err)
}

// KeysByHash returns the keys, valid or not, whose secrets have one of the hashes, in any order.
func (s *Store) KeysByHash(ctx context.Context, hashes []revocation.SecretHash) ([]revocation.APIKey, error) {
	leave, err := s.keyConns.acquire(ctx)
	if err != nil {
		return nil, fault("look up keys", err)
	}
	defer leave()
	bare := make([][]byte, len(hashes))
	for i := range hashes {
		bare[i] = hashes[i][:]
	}
	rows, err := s.pool.Query(ctx, selectCaller+`WHERE k.secret_hash = ANY($1)`, bare)
	if err != nil {
		return nil, fault("look up keys", err)
	}
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (revocation.APIKey, error) {
		var caller revocation.Caller
		var hold int
		key, err := scanKey(row, &hold, &caller.MessageLinks, &caller.Upstream)
		caller.Hold = time.Duration(hold) * time.Second
		key.Caller = caller
		return key, err
	})
	return keys, fault("look up keys", err)
}

// RevokeKey revokes a key. It does not change a key that is revoked already. The error's code is CodeNotFound if the account
// has no such key.
func (s *Store) RevokeKey(ctx context.Context, account string, id revocation.ID) error {
	return s.tx(ctx, "revoke a key", func(ctx context.Context, tx *tx) error {
		var revoked, there bool
		batch := &pgx.Batch{}
		batch.Queue(`
			UPDATE api_keys SET revoked_at = now() WHERE account_id = $1 AND id = $2 AND revoked_at IS NULL`,
			account, uuid(id)).Exec(func(tag pgconn.CommandTag) error {
			revoked = tag.RowsAffected() > 0
			return nil
		})
		batch.Queue(`SELECT EXISTS (SELECT FROM api_keys WHERE account_id = $1 AND id = $2)`, account, uuid(id)).
			QueryRow(func(row pgx.Row) error { return row.Scan(&there) })
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		if !there {
			return &revocation.Error{Code: revocation.CodeNotFound, Detail: "There is no such key in this account."}
		}
		batch = &pgx.Batch{}
		if revoked {
			queueEvents(batch, []revocation.Event{revocation.KeyRevoked(account, id)})
		}
		return tx.commit(ctx, batch)
	})
}

// scanKey reads keyColumns, and the columns after them into more.
func scanKey(row pgx.Row, more ...any) (revocation.APIKey, error) {
	var key revocation.APIKey
	var hash []byte
	var scopes []string
	var expires, revoked *time.Time
	err := row.Scan(append([]any{&key.Account, (*uuid)(&key.ID), &key.Name, &hash, &scopes, &expires, &revoked}, more...)...)
	if err != nil {
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
