package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// routeRevoke is the route of single submissions in idempotency_keys. The same key of another route is independent.
const routeRevoke = "revoke"

const (
	// maxRounds bounds how often a flush is planned, because another flush can commit first. Each round sees what the others
	// committed, so two are nearly always enough.
	maxRounds = 8
	// readFirstFlushes is how many flushes read first after one had to be repeated because it did not.
	readFirstFlushes = 16
)

// Submit implements revocation.SubmissionStore. Nearly every submission is for an invite that exists and has no revocation
// under way, with a new idempotency key. So the first round assumes this and takes one round trip. Its statements fail if the
// assumption is wrong, or after a short time if a row is locked. The other rounds read the facts first, and which work items
// are locked. Then they can only wait for a work item or key that another transaction inserts.
func (s *Store) Submit(ctx context.Context, flush []revocation.Submission) ([]revocation.Accepted, error) {
	readFirst := s.readFirst.Add(-1) >= 0
	var plan revocation.FlushPlan
	var err error
	for range maxRounds {
		err = s.tx(ctx, "submit", func(ctx context.Context, tx *tx) error {
			tx.shortLockTimeout = true
			var facts revocation.FlushFacts
			if readFirst {
				var err error
				if facts, err = readFacts(ctx, tx, flush); err != nil {
					return err
				}
			}
			plan = revocation.PlanFlush(flush, facts)
			return tx.commit(ctx, writePlan(&plan))
		})
		switch code := revocation.ErrorCode(err); {
		case err == nil:
			return plan.Accepted, nil
		case miscounted(err), code == revocation.CodeLockTimeout && !readFirst:
			// The assumption was wrong, or another transaction committed first.
			if !readFirst {
				readFirst = true
				s.readFirst.Store(readFirstFlushes)
			}
		case code == revocation.CodeDeadlock, code == revocation.CodeSerialization:
		default:
			return nil, err
		}
	}
	return nil, err
}

// known returns a row if the invite of t exists, or may exist because the account is on an upstream.
const known = `
	SELECT FROM invites i WHERE i.account_id = t.account_id AND i.report_id = t.report_id
	UNION ALL
	SELECT FROM accounts a WHERE a.account_id = t.account_id AND a.upstream_url IS NOT NULL
	LIMIT 1`

// readFacts reads, in one round trip, what is known of the flush's keys and invites. It locks the work items whose notify or
// due_at may change, and reports the rows that another transaction has locked.
func readFacts(ctx context.Context, tx *tx, flush []revocation.Submission) (revocation.FlushFacts, error) {
	facts := revocation.FlushFacts{
		Bound:    make(map[revocation.IdempotencyKey]revocation.Binding),
		Invites:  make(map[revocation.InviteKey]bool, len(flush)),
		UnderWay: make(map[revocation.InviteKey]revocation.UnderWay),
	}
	accounts, reports, notify := make([]string, len(flush)), make([]int64, len(flush)), make([]bool, len(flush))
	var keyAccounts, keys []string
	for i, s := range flush {
		accounts[i], reports[i], notify[i] = s.Account, s.ReportID, s.Notify
		if s.IdempotencyKey != "" {
			keyAccounts, keys = append(keyAccounts, s.Account), append(keys, s.IdempotencyKey)
		}
	}
	batch := &pgx.Batch{}
	if len(keys) > 0 {
		batch.Queue(`
			SELECT k.account_id, k.key, k.fingerprint, k.target_id
			FROM unnest($1::text[], $2::text[]) AS t(account_id, key)
			CROSS JOIN LATERAL (
				SELECT * FROM idempotency_keys k
				WHERE k.account_id = t.account_id AND k.route = $3 AND k.key = t.key OFFSET 0) AS k`,
			keyAccounts, keys, routeRevoke).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var b revocation.Binding
				var fingerprint []byte
				if err := rows.Scan(&b.Account, &b.Key, &fingerprint, (*uuid)(&b.Target)); err != nil {
					return err
				}
				copy(b.Fingerprint[:], fingerprint)
				facts.Bound[b.IdempotencyKey] = b
			}
			return rows.Err()
		})
	}
	batch.Queue(`
		SELECT t.account_id, t.report_id, o.revocation_id, coalesce(o.notify, false),
			coalesce(o.waits, false), o.changes AND held.place IS NULL
		FROM unnest($1::text[], $2::bigint[], $3::boolean[]) AS t(account_id, report_id, notify)
		CROSS JOIN LATERAL (`+known+`) AS i
		LEFT JOIN LATERAL (
			SELECT o.revocation_id, o.notify, o.waits, t.notify AND NOT o.notify OR o.waits AS changes
			FROM (SELECT *, attempt = 0 AND coalesce(due_at > now(), false) AS waits FROM work_items) AS o
			WHERE o.account_id = t.account_id AND o.report_id = t.report_id AND o.single OFFSET 0) AS o ON true
		LEFT JOIN LATERAL (
			SELECT h.ctid AS place FROM work_items h
			WHERE h.account_id = t.account_id AND h.revocation_id = o.revocation_id AND o.changes
			FOR UPDATE SKIP LOCKED) AS held ON true`,
		accounts, reports, notify).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var invite revocation.InviteKey
			var under revocation.UnderWay
			var id *uuid
			var locked *bool
			if err := rows.Scan(&invite.Account, &invite.ReportID, &id, &under.Notify, &under.Waits, &locked); err != nil {
				return err
			}
			facts.Invites[invite] = true
			if id != nil {
				// Several submissions can be for the same invite, and not all of them need the lock.
				under.ID, under.Locked = *id, *locked || facts.UnderWay[invite].Locked
				facts.UnderWay[invite] = under
			}
		}
		return rows.Err()
	})
	return facts, tx.send(ctx, batch)
}

// writePlan returns the statements that write a plan. They fail if a row has changed since it was read. All flushes lock
// rows in the same order, so they cannot deadlock.
func writePlan(plan *revocation.FlushPlan) *pgx.Batch {
	batch := &pgx.Batch{}
	if n := len(plan.EnableNotify); n > 0 {
		// An upstream that may have been called already knows whether to send an email, which cannot change any more.
		accounts, ids := make([]string, n), make([]uuid, n)
		for i, w := range plan.EnableNotify {
			accounts[i], ids[i] = w.Account, uuid(w.ID)
		}
		exactly(batch, n, `
			UPDATE work_items o SET notify = o.notify OR NOT o.in_doubt
			FROM unnest($1::text[], $2::uuid[]) AS t(account_id, id)
			CROSS JOIN LATERAL (
				SELECT ctid AS place FROM work_items o
				WHERE o.account_id = t.account_id AND o.revocation_id = t.id
				FOR UPDATE) AS held
			WHERE o.ctid = held.place`, accounts, ids)
	}
	switch {
	case slices.ContainsFunc(plan.Insert, func(s revocation.Submission) bool { return s.Extended() }):
		queueInsertExtended(batch, plan)
	case len(plan.Insert) > 0:
		queueInsert(batch, plan.Insert)
	}
	if len(plan.MoveEarlier) > 0 {
		queueMoveEarlier(batch, plan.MoveEarlier)
	}
	if n := len(plan.Bind); n > 0 {
		accounts, keys := make([]string, n), make([]string, n)
		fingerprints, targets := make([][]byte, n), make([]uuid, n)
		for i, b := range plan.Bind {
			accounts[i], keys[i] = b.Account, b.Key
			fingerprints[i], targets[i] = b.Fingerprint[:], uuid(b.Target)
		}
		exactly(batch, n, `
			INSERT INTO idempotency_keys (account_id, route, key, fingerprint, target_id)
			SELECT account_id, $5, key, fingerprint, target_id
			FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[]) AS t(account_id, key, fingerprint, target_id)
			ON CONFLICT DO NOTHING`, accounts, keys, fingerprints, targets, routeRevoke)
	}
	return batch
}

// queueInsert inserts the work items. Their unique key decides which of several flushes is first for an invite.
func queueInsert(batch *pgx.Batch, fresh []revocation.Submission) {
	n := len(fresh)
	accounts, ids, reports := make([]string, n), make([]uuid, n), make([]int64, n)
	notify, references, requested := make([]bool, n), make([]*string, n), make([]uuid, n)
	for i, s := range fresh {
		accounts[i], ids[i], reports[i] = s.Account, uuid(s.ID), s.ReportID
		notify[i], references[i], requested[i] = s.Notify, s.ClientReference, uuid(s.RequestedBy)
	}
	exactly(batch, n, `
		INSERT INTO work_items (account_id, revocation_id, report_id, single, notify, client_reference, requested_by, next_check_at)
		SELECT t.account_id, t.id, t.report_id, true, t.notify, t.client_reference, t.requested_by,
			clock_timestamp() + make_interval(secs => $7)
		FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::boolean[], $5::text[], $6::uuid[])
			AS t(account_id, id, report_id, notify, client_reference, requested_by)
		CROSS JOIN LATERAL (`+known+`) AS i
		ON CONFLICT (account_id, report_id) WHERE single DO NOTHING`,
		accounts, ids, reports, notify, references, requested, revocation.VisibilityTimeout(0).Seconds())
}
