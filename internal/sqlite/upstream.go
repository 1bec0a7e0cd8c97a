package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"rescind/internal/revocation"
)

// upstreamColumns are the columns that scanUpstream reads.
const upstreamColumns = `
	account_id, coalesce(upstream_url, ''), upstream_key, upstream_rate, upstream_concurrency,
	upstream_hold, upstream_held_until, coalesce(upstream_held_until > :now, 0)`

// scanUpstream reads upstreamColumns into up, and the columns after them into more.
func scanUpstream(rows *sql.Rows, up *revocation.Upstream, more ...any) error {
	var heldUntil sql.Null[int64]
	err := rows.Scan(append([]any{
		&up.Account, &up.URL, &up.SealedKey, &up.Rate, &up.Concurrency, &up.Hold, &heldUntil, &up.Held,
	}, more...)...)
	up.HeldUntil = moment(heldUntil)
	return err
}

// Upstream implements revocation.CallStore.
func (s *Store) Upstream(ctx context.Context, account string) (*revocation.Upstream, error) {
	scan := func(rows *sql.Rows) (up revocation.Upstream, err error) { return up, scanUpstream(rows, &up) }
	found, err := query(ctx, s.readers, scan, `
		SELECT `+upstreamColumns+` FROM accounts WHERE account_id = :account AND upstream_url IS NOT NULL`,
		sql.Named("account", account), sql.Named("now", micros(time.Now())))
	if err != nil || len(found) == 0 {
		return nil, fault("read upstream", err)
	}
	return &found[0], nil
}

// setUpstream adds, changes or removes the account's upstream. It changes only what is not nil in up.
func setUpstream(ctx context.Context, tx *sql.Tx, account string, up revocation.UpstreamChange) error {
	if up.URL != nil && *up.URL == "" {
		return exec(ctx, tx, `
			UPDATE accounts
			SET upstream_url = NULL, upstream_key = NULL, upstream_rate = 0, upstream_concurrency = 0,
			    upstream_hold = '', upstream_held_until = NULL
			WHERE account_id = ?1`, account)
	}
	changed, err := change(ctx, tx, `
		UPDATE accounts
		SET upstream_url = coalesce(?2, upstream_url), upstream_key = coalesce(?3, upstream_key),
		    upstream_rate = coalesce(?4, upstream_rate), upstream_concurrency = coalesce(?5, upstream_concurrency),
		    upstream_hold = '', upstream_held_until = NULL
		WHERE account_id = ?1 AND coalesce(?2, upstream_url) IS NOT NULL AND coalesce(?3, upstream_key) IS NOT NULL`,
		account, up.URL, up.SealedKey, up.Rate, up.Concurrency)
	if err == nil && changed == 0 {
		return &revocation.Error{Code: revocation.CodeInvalid, Detail: "An upstream needs a URL and a key."}
	}
	return err
}

// BeginCalls implements revocation.CallStore.
func (s *Store) BeginCalls(ctx context.Context, account string, limit, items int, lease time.Duration) ([]revocation.Call, error) {
	var calls []revocation.Call
	err := s.write(ctx, "begin calls", func(tx *sql.Tx, now time.Time) error {
		for _, single := range []bool{true, false} {
			most := limit
			if !single {
				most = min(items, limit-len(calls))
			}
			found, err := query(ctx, tx, scanCall, `
				SELECT o.account_id, o.revocation_id, o.attempt, o.dispatch_count + 1, o.job_id, o.report_id, o.notify, o.in_doubt,
				       coalesce(j.state = 'CANCELLING', 0) AND NOT o.in_doubt,
				       o.job_id IS NOT NULL AND coalesce((
				           SELECT predicted FROM revocations WHERE account_id = o.account_id AND id = o.revocation_id), 0) = :duplicate
				FROM work_items AS o INDEXED BY work_items_account_due
				LEFT JOIN jobs AS j ON j.account_id = o.account_id AND j.id = o.job_id
				WHERE o.account_id = :account AND o.single = :single AND o.account_scheduled AND o.next_check_at <= :now
				  AND `+notWaiting+`
				ORDER BY o.next_check_at LIMIT :most`,
				sql.Named("account", account), sql.Named("single", single), sql.Named("now", micros(now)), sql.Named("most", most),
				sql.Named("duplicate", int(revocation.PredictedDuplicate)))
			if err != nil {
				return err
			}
			calls = append(calls, found...)
		}
		if len(calls) == 0 {
			return nil
		}
		if err := readDuplicates(ctx, tx, calls); err != nil {
			return err
		}
		return exec(ctx, tx, `
			UPDATE work_items AS o
			SET dispatch_count = p.value ->> 'dispatch_count', next_check_at = ?1, claimed = 1, in_doubt = NOT (p.value ->> 'uncalled')
			FROM json_each(?2) AS p
			WHERE o.account_id = p.value ->> 'account' AND o.revocation_id = p.value ->> 'id'`,
			micros(now.Add(lease)), parameter(callRows(calls)))
	})
	if err != nil {
		return nil, err
	}
	return calls, nil
}

func scanCall(rows *sql.Rows) (c revocation.Call, err error) {
	err = rows.Scan(&c.Account, scannedID{&c.ID}, &c.Attempt, &c.DispatchCount, optionalID{&c.Job}, &c.ReportID, &c.Notify,
		&c.InDoubt, &c.Cancelled, &c.Duplicate)
	return c, err
}

// callRow is a call as an element of a JSON parameter.
type callRow struct {
	rowKey
	DispatchCount int  `json:"dispatch_count"`
	Uncalled      bool `json:"uncalled"`
}

func callRows(calls []revocation.Call) []callRow {
	rows := make([]callRow, len(calls))
	for i, c := range calls {
		rows[i] = callRow{keyOf(c.Account, c.ID), c.DispatchCount, c.Cancelled || c.Duplicate}
	}
	return rows
}

// ExtendCalls implements revocation.CallStore.
func (s *Store) ExtendCalls(ctx context.Context, calls []revocation.Call, lease time.Duration) error {
	return s.write(ctx, "extend calls", func(tx *sql.Tx, now time.Time) error {
		return exec(ctx, tx, `
			UPDATE work_items AS o SET next_check_at = ?1
			FROM json_each(?2) AS p
			WHERE o.account_id = p.value ->> 'account' AND o.revocation_id = p.value ->> 'id'
			  AND o.dispatch_count = p.value ->> 'dispatch_count' AND o.claimed`,
			micros(now.Add(lease)), parameter(callRows(calls)))
	})
}

// HoldUpstream implements revocation.CallStore.
func (s *Store) HoldUpstream(ctx context.Context, upstream revocation.Upstream, why revocation.Hold, length time.Duration) error {
	return s.changeHold(ctx, "hold upstream", upstream, why, length)
}

// ReleaseUpstream ends a hold.
func (s *Store) ReleaseUpstream(ctx context.Context, upstream revocation.Upstream) error {
	return s.changeHold(ctx, "release upstream", upstream, "", 0)
}

// changeHold puts an upstream on hold, or ends its hold if why is empty. It does nothing if the URL or key has changed since
// upstream was read. Extending a hold writes no event.
func (s *Store) changeHold(ctx context.Context, doing string, upstream revocation.Upstream, why revocation.Hold, length time.Duration) error {
	return s.write(ctx, doing, func(tx *sql.Tx, now time.Time) error {
		var before revocation.Hold
		err := tx.QueryRowContext(ctx, `
			SELECT upstream_hold FROM accounts WHERE account_id = ?1 AND upstream_url = ?2 AND upstream_key = ?3`,
			upstream.Account, upstream.URL, upstream.SealedKey).Scan(&before)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := exec(ctx, tx, `
			UPDATE accounts SET upstream_hold = ?2, upstream_held_until = CASE WHEN ?2 <> '' THEN ?3 END WHERE account_id = ?1`,
			upstream.Account, string(why), micros(now.Add(length))); err != nil {
			return err
		}
		switch {
		case before == "" && why != "":
			return addEvents(ctx, tx, now, revocation.UpstreamPaused(upstream.Account, why))
		case before != "" && why == "":
			return addEvents(ctx, tx, now, revocation.UpstreamResumed(upstream.Account, revocation.Actor{Type: revocation.ActorService}))
		}
		return nil
	})
}

// ResealUpstream replaces the encrypted key.
func (s *Store) ResealUpstream(ctx context.Context, upstream revocation.Upstream, sealed []byte) error {
	return s.write(ctx, "reseal upstream", func(tx *sql.Tx, _ time.Time) error {
		return exec(ctx, tx, `UPDATE accounts SET upstream_key = ?4 WHERE account_id = ?1 AND upstream_url = ?2 AND upstream_key = ?3`,
			upstream.Account, upstream.URL, upstream.SealedKey, sealed)
	})
}
