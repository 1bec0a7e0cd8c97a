package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// routeRevoke names the route in idempotency_keys; a key counts for one route.
const routeRevoke = "revoke"

// maxRounds bounds how often a flush is planned anew because another flush came first. Each round sees what
// the others committed, so a second is nearly always enough.
const maxRounds = 8

// errVoid tells that something changed between reading and writing.
var errVoid = errors.New("another transaction came first")

// Submit implements revocation.SubmissionStore.
func (s *Store) Submit(ctx context.Context, flush []revocation.Submission) ([]revocation.Accepted, error) {
	var plan revocation.FlushPlan
	var err error
	for range maxRounds {
		err = s.tx(ctx, "submit", func(tx pgx.Tx) error {
			facts, err := readFacts(ctx, tx, flush)
			if err != nil {
				return err
			}
			plan = revocation.PlanFlush(flush, facts)
			return writePlan(ctx, tx, plan)
		})
		switch revocation.ErrorCode(err) {
		case revocation.CodeDeadlock, revocation.CodeSerialization:
			continue
		}
		if !errors.Is(err, errVoid) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return plan.Accepted, nil
}

// readFacts asks in one round trip for what the flush's keys and invites are by now.
func readFacts(ctx context.Context, tx pgx.Tx, flush []revocation.Submission) (revocation.FlushFacts, error) {
	facts := revocation.FlushFacts{
		Bound:    make(map[revocation.AccountKey]revocation.Binding),
		Invites:  make(map[revocation.InviteKey]bool, len(flush)),
		UnderWay: make(map[revocation.InviteKey]revocation.UnderWay),
	}
	accounts, reports := make([]string, len(flush)), make([]int64, len(flush))
	var keyAccounts, keys []string
	for i, s := range flush {
		accounts[i], reports[i] = s.Account, s.ReportID
		if s.IdempotencyKey != "" {
			keyAccounts, keys = append(keyAccounts, s.Account), append(keys, s.IdempotencyKey)
		}
	}
	batch := &pgx.Batch{}
	if len(keys) > 0 {
		batch.Queue(`
			SELECT k.account_id, k.key, k.fingerprint, k.target_id
			FROM unnest($1::text[], $2::text[]) AS t(account_id, key)
			JOIN idempotency_keys k ON k.account_id = t.account_id AND k.route = $3 AND k.key = t.key`,
			keyAccounts, keys, routeRevoke).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var b revocation.Binding
				var fingerprint []byte
				if err := rows.Scan(&b.Account, &b.Key, &fingerprint, (*uuid)(&b.Target)); err != nil {
					return err
				}
				copy(b.Fingerprint[:], fingerprint)
				facts.Bound[b.AccountKey] = b
			}
			return rows.Err()
		})
	}
	batch.Queue(`
		SELECT i.account_id, i.report_id, o.revocation_id, coalesce(o.notify, false)
		FROM unnest($1::text[], $2::bigint[]) AS t(account_id, report_id)
		JOIN invites i ON i.account_id = t.account_id AND i.report_id = t.report_id
		LEFT JOIN outstanding o ON o.account_id = t.account_id AND o.report_id = t.report_id AND o.single`,
		accounts, reports).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var invite revocation.InviteKey
			var under revocation.UnderWay
			var id *uuid
			if err := rows.Scan(&invite.Account, &invite.ReportID, &id, &under.Notify); err != nil {
				return err
			}
			facts.Invites[invite] = true
			if id != nil {
				under.ID = *id
				facts.UnderWay[invite] = under
			}
		}
		return rows.Err()
	})
	return facts, tx.SendBatch(ctx, batch).Close()
}

// writePlan writes in one round trip, and gives errVoid when a row that the plan counts on is not as it was.
// All flushes take their rows in the same order, so they wait for each other but never in a circle.
func writePlan(ctx context.Context, tx pgx.Tx, plan revocation.FlushPlan) error {
	batch := &pgx.Batch{}
	var expected []int64
	if n := len(plan.Wish); n > 0 {
		accounts, ids := make([]string, n), make([]uuid, n)
		for i, w := range plan.Wish {
			accounts[i], ids[i] = w.Account, uuid(w.ID)
		}
		batch.Queue(`
			WITH held AS (
				SELECT o.account_id, o.revocation_id
				FROM unnest($1::text[], $2::uuid[]) AS t(account_id, revocation_id)
				JOIN outstanding o USING (account_id, revocation_id)
				ORDER BY o.account_id, o.report_id
				FOR UPDATE OF o)
			UPDATE outstanding o SET notify = true FROM held
			WHERE o.account_id = held.account_id AND o.revocation_id = held.revocation_id`, accounts, ids)
		expected = append(expected, int64(n))
	}
	if n := len(plan.Insert); n > 0 {
		queueInsert(batch, plan.Insert)
		expected = append(expected, int64(n), int64(n))
	}
	if n := len(plan.Bind); n > 0 {
		accounts, keys := make([]string, n), make([]string, n)
		fingerprints, targets := make([][]byte, n), make([]uuid, n)
		for i, b := range plan.Bind {
			accounts[i], keys[i] = b.Account, b.Key
			fingerprints[i], targets[i] = b.Fingerprint[:], uuid(b.Target)
		}
		batch.Queue(`
			INSERT INTO idempotency_keys (account_id, route, key, fingerprint, target_id)
			SELECT account_id, $5, key, fingerprint, target_id
			FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[]) AS t(account_id, key, fingerprint, target_id)
			ON CONFLICT DO NOTHING`, accounts, keys, fingerprints, targets, routeRevoke)
		expected = append(expected, int64(n))
	}
	changed, err := send(ctx, tx, batch)
	if err != nil {
		return err
	}
	for i := range changed {
		if changed[i] != expected[i] {
			return errVoid
		}
	}
	return nil
}

// queueInsert adds the work rows, whose unique key settles who comes first for an invite, and the
// revocations. When a work row is not taken, the plan is void and both are rolled back.
func queueInsert(batch *pgx.Batch, fresh []revocation.Submission) {
	n := len(fresh)
	accounts, ids, reports := make([]string, n), make([]uuid, n), make([]int64, n)
	notify, references, requested := make([]bool, n), make([]*string, n), make([]uuid, n)
	for i, s := range fresh {
		accounts[i], ids[i], reports[i] = s.Account, uuid(s.ID), s.ReportID
		notify[i], references[i], requested[i] = s.Notify, s.ClientReference, uuid(s.RequestedBy)
	}
	batch.Queue(`
		INSERT INTO outstanding (account_id, revocation_id, report_id, single, notify, look_at)
		SELECT account_id, id, report_id, true, notify, clock_timestamp() + make_interval(secs => $5)
		FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::boolean[]) AS t(account_id, id, report_id, notify)
		ON CONFLICT (account_id, report_id) WHERE single DO NOTHING`,
		accounts, ids, reports, notify, revocation.Grace(0).Seconds())
	batch.Queue(`
		INSERT INTO revocations (account_id, id, report_id, notify, client_reference, requested_by)
		SELECT account_id, id, report_id, notify, client_reference, requested_by
		FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::boolean[], $5::text[], $6::uuid[])
			AS t(account_id, id, report_id, notify, client_reference, requested_by)`,
		accounts, ids, reports, notify, references, requested)
}
