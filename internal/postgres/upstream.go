package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// Upstream implements revocation.CallStore.
func (s *Store) Upstream(ctx context.Context, account string) (*revocation.Upstream, error) {
	var found *revocation.Upstream
	batch := &pgx.Batch{}
	batch.Queue(`SELECT `+upstreamColumns+` FROM accounts WHERE account_id = $1 AND upstream_url IS NOT NULL`, account).
		Query(func(rows pgx.Rows) error {
			for rows.Next() {
				found = &revocation.Upstream{Account: account}
				var held *time.Time
				err := rows.Scan(&found.URL, &found.SealedKey, &found.Rate, &found.Concurrency, &found.Hold, &held, &found.Held)
				if err != nil {
					return err
				}
				found.HeldUntil = timeOrZero(held)
			}
			return rows.Err()
		})
	return found, s.readOnly(ctx, "read an upstream", batch)
}

// BeginCalls implements revocation.CallStore. It reads whether a row was in doubt when it locks the row.
func (s *Store) BeginCalls(ctx context.Context, account string, limit, items int, lease time.Duration) ([]revocation.Call, error) {
	var calls []revocation.Call
	batch := &pgx.Batch{}
	batch.Queue(`
		WITH singles AS MATERIALIZED (
			SELECT ctid AS place, in_doubt, false AS cancelled FROM work_items o
			WHERE account_id = $1 AND single = true AND next_check_at <= now() AND account_scheduled AND dispatch_count >= 0
				AND `+notWaiting+`
			ORDER BY next_check_at LIMIT $2 FOR UPDATE SKIP LOCKED
		), items AS MATERIALIZED (
			SELECT ctid AS place, in_doubt, NOT in_doubt AND coalesce((
				SELECT j.state = 'CANCELLING' FROM jobs j WHERE j.account_id = $1 AND j.id = o.job_id), false) AS cancelled
			FROM work_items o
			WHERE account_id = $1 AND single = false AND next_check_at <= now() AND account_scheduled AND dispatch_count >= 0
			ORDER BY next_check_at LIMIT least($3, $2 - (SELECT count(*) FROM singles)) FOR UPDATE SKIP LOCKED
		), due AS (
			SELECT * FROM singles UNION ALL SELECT * FROM items
		)
		UPDATE work_items o SET dispatch_count = o.dispatch_count + 1, claimed = true, in_doubt = NOT (due.cancelled OR o.duplicate),
			next_check_at = now() + make_interval(secs => $4)
		FROM due WHERE o.ctid = due.place
		RETURNING o.revocation_id, o.attempt, o.dispatch_count, o.report_id, o.notify, o.job_id, due.in_doubt, due.cancelled, o.duplicate`,
		account, limit, items, lease.Seconds()).Query(func(rows pgx.Rows) error {
		var call revocation.Call
		var job *uuid
		_, err := pgx.ForEachRow(rows, []any{
			(*uuid)(&call.ID), &call.Attempt, &call.DispatchCount, &call.ReportID, &call.Notify, &job, &call.InDoubt, &call.Cancelled, &call.Duplicate,
		}, func() error {
			call.Account, call.Job = account, revocation.ID{}
			if job != nil {
				call.Job = *job
			}
			calls = append(calls, call)
			return nil
		})
		return err
	})
	if err := s.run(ctx, "begin calls", batch); err != nil {
		return nil, err
	}
	// After an error, First is nil, as if the originals were not final.
	_ = s.fillInFirsts(ctx, calls)
	return calls, nil
}

// ExtendCalls implements revocation.CallStore.
func (s *Store) ExtendCalls(ctx context.Context, calls []revocation.Call, lease time.Duration) error {
	accounts, ids, dispatchCounts := make([]string, len(calls)), make([]uuid, len(calls)), make([]int, len(calls))
	for i, call := range calls {
		accounts[i], ids[i], dispatchCounts[i] = call.Account, uuid(call.ID), call.DispatchCount
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE work_items o SET next_check_at = now() + make_interval(secs => $4)
		FROM unnest($1::text[], $2::uuid[], $3::int[]) AS t(account_id, id, dispatch_count)
		CROSS JOIN LATERAL (
			SELECT ctid AS place FROM work_items o
			WHERE o.account_id = t.account_id AND o.revocation_id = t.id AND o.dispatch_count = t.dispatch_count AND o.claimed
			FOR UPDATE SKIP LOCKED) AS held
		WHERE o.ctid = held.place`, accounts, ids, dispatchCounts, lease.Seconds())
	return s.run(ctx, "extend calls", batch)
}

// HoldUpstream implements revocation.CallStore.
func (s *Store) HoldUpstream(ctx context.Context, upstream revocation.Upstream, why revocation.Hold, length time.Duration) error {
	return s.changeHold(ctx, "hold an upstream", upstream, why, length)
}

// ReleaseUpstream implements revocation.CallStore.
func (s *Store) ReleaseUpstream(ctx context.Context, upstream revocation.Upstream) error {
	return s.changeHold(ctx, "release an upstream", upstream, "", 0)
}

// changeHold puts an upstream on hold, or ends its hold if why is empty. It does nothing if the URL or key has changed since
// upstream was read. Extending a hold writes no event.
func (s *Store) changeHold(ctx context.Context, name string, upstream revocation.Upstream, why revocation.Hold, length time.Duration) error {
	return s.tx(ctx, name, func(ctx context.Context, tx *tx) error {
		var before []revocation.Hold
		batch := &pgx.Batch{}
		batch.Queue(`
			SELECT upstream_hold FROM accounts WHERE account_id = $1 AND upstream_url = $2 AND upstream_key = $3 FOR NO KEY UPDATE`,
			upstream.Account, upstream.URL, upstream.SealedKey).Query(func(rows pgx.Rows) (err error) {
			before, err = pgx.CollectRows(rows, pgx.RowTo[revocation.Hold])
			return err
		})
		if err := tx.send(ctx, batch); err != nil || len(before) == 0 {
			return err
		}
		batch = &pgx.Batch{}
		batch.Queue(`
			UPDATE accounts SET upstream_hold = $2,
				upstream_held_until = CASE WHEN $2 <> '' THEN now() + make_interval(secs => $3) END
			WHERE account_id = $1`, upstream.Account, string(why), length.Seconds())
		switch {
		case before[0] == "" && why != "":
			queueEvents(batch, []revocation.Event{revocation.UpstreamPaused(upstream.Account, why)})
		case before[0] != "" && why == "":
			queueEvents(batch, []revocation.Event{revocation.UpstreamResumed(upstream.Account, revocation.Actor{Type: revocation.ActorService})})
		}
		return tx.commit(ctx, batch)
	})
}

// ResealUpstream implements revocation.CallStore.
func (s *Store) ResealUpstream(ctx context.Context, upstream revocation.Upstream, sealed []byte) error {
	batch := &pgx.Batch{}
	batch.Queue(`UPDATE accounts SET upstream_key = $4 WHERE account_id = $1 AND upstream_url = $2 AND upstream_key = $3`,
		upstream.Account, upstream.URL, upstream.SealedKey, sealed)
	return s.run(ctx, "reseal an upstream", batch)
}
