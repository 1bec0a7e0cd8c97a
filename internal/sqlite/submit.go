package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"time"

	"rescind/internal/revocation"
)

// routeRevoke is the route of single submissions in idempotency_keys. The same key of another route is independent.
const routeRevoke = "revoke"

// Submit writes a flush in one transaction of at most seven statements.
func (s *Store) Submit(ctx context.Context, flush []revocation.Submission) ([]revocation.Accepted, error) {
	var plan revocation.FlushPlan
	err := s.write(ctx, "submit", func(tx *sql.Tx, now time.Time) error {
		facts, err := flushFacts(ctx, tx, now, flush)
		if err != nil {
			return err
		}
		plan = revocation.PlanFlush(flush, facts)
		return writePlan(ctx, tx, now, &plan)
	})
	if err != nil {
		return nil, err
	}
	return plan.Accepted, nil
}

type keyRow struct {
	Account string `json:"account"`
	Key     string `json:"key"`
}

type inviteRow struct {
	Account  string `json:"account"`
	ReportID int64  `json:"report_id"`
}

// flushFacts reads what is known of the flush's keys and invites. It cannot change before the transaction ends, because there
// is no other writer.
func flushFacts(ctx context.Context, tx *sql.Tx, now time.Time, flush []revocation.Submission) (revocation.FlushFacts, error) {
	facts := revocation.FlushFacts{
		Bound:    make(map[revocation.IdempotencyKey]revocation.Binding),
		Invites:  make(map[revocation.InviteKey]bool, len(flush)),
		UnderWay: make(map[revocation.InviteKey]revocation.UnderWay),
	}
	var keys []keyRow
	invites := make([]inviteRow, len(flush))
	for i, s := range flush {
		invites[i] = inviteRow{s.Account, s.ReportID}
		if s.IdempotencyKey != "" {
			keys = append(keys, keyRow{s.Account, s.IdempotencyKey})
		}
	}
	if len(keys) > 0 {
		bound, err := query(ctx, tx, scanBinding, `
			SELECT k.account_id, k.key, k.fingerprint, k.target_id
			FROM json_each(?2) AS p
			CROSS JOIN idempotency_keys AS k
			  ON k.account_id = p.value ->> 'account' AND k.route = ?1 AND k.key = p.value ->> 'key'`,
			routeRevoke, parameter(keys))
		if err != nil {
			return facts, err
		}
		for _, b := range bound {
			facts.Bound[b.IdempotencyKey] = b
		}
	}
	// The invites of an account on an upstream are not in the database, so all of them may exist.
	known, err := query(ctx, tx, scanKnownInvite, `
		SELECT a.account_id, p.value ->> 'report_id', o.revocation_id, coalesce(o.notify, 0), coalesce(o.attempt = 0 AND o.due_at > ?2, 0)
		FROM json_each(?1) AS p
		CROSS JOIN accounts AS a ON a.account_id = p.value ->> 'account'
		LEFT JOIN invites AS i ON i.account_id = a.account_id AND i.report_id = p.value ->> 'report_id'
		LEFT JOIN work_items AS o ON o.account_id = a.account_id AND o.report_id = p.value ->> 'report_id' AND o.single
		WHERE i.report_id IS NOT NULL OR a.upstream_url IS NOT NULL`,
		parameter(invites), micros(now))
	if err != nil {
		return facts, err
	}
	for _, k := range known {
		facts.Invites[k.invite] = true
		if !k.underWay.ID.IsZero() {
			facts.UnderWay[k.invite] = k.underWay
		}
	}
	return facts, nil
}

func scanBinding(rows *sql.Rows) (b revocation.Binding, err error) {
	var fingerprint []byte
	err = rows.Scan(&b.Account, &b.Key, &fingerprint, scannedID{&b.Target})
	copy(b.Fingerprint[:], fingerprint)
	return b, err
}

type knownInvite struct {
	invite   revocation.InviteKey
	underWay revocation.UnderWay // its ID is zero if there is none
}

func scanKnownInvite(rows *sql.Rows) (k knownInvite, err error) {
	err = rows.Scan(&k.invite.Account, &k.invite.ReportID, optionalID{&k.underWay.ID}, &k.underWay.Notify, &k.underWay.Waits)
	return k, err
}

type newRow struct {
	rowKey
	ReportID        int64   `json:"report_id"`
	Notify          bool    `json:"notify"`
	ClientReference *string `json:"client_reference"`
	RequestedBy     string  `json:"requested_by"`
	extendedRow
}

// extendedRow contains the values that few submissions have.
type extendedRow struct {
	Reason           *string `json:"reason,omitempty"`
	CandidateMessage *string `json:"candidate_message,omitempty"`
	NotBefore        *int64  `json:"not_before,omitempty"`
	DueAt            *int64  `json:"due_at,omitempty"`
}

type bindingRow struct {
	keyRow
	Fingerprint string `json:"fingerprint"`
	Target      string `json:"target"`
}

func writePlan(ctx context.Context, tx *sql.Tx, now time.Time, plan *revocation.FlushPlan) error {
	if len(plan.Insert) > 0 {
		if err := insert(ctx, tx, now, plan); err != nil {
			return err
		}
	}
	if len(plan.MoveEarlier) > 0 {
		if err := moveEarlier(ctx, tx, now, plan.MoveEarlier); err != nil {
			return err
		}
	}
	if len(plan.EnableNotify) > 0 {
		wishes := make([]rowKey, len(plan.EnableNotify))
		for i, w := range plan.EnableNotify {
			wishes[i] = keyOf(w.Account, w.ID)
		}
		if err := exec(ctx, tx, `
			UPDATE work_items SET notify = notify OR NOT in_doubt
			WHERE (account_id, revocation_id) IN (SELECT value ->> 'account', value ->> 'id' FROM json_each(?1))`,
			parameter(wishes)); err != nil {
			return err
		}
	}
	if len(plan.Bind) == 0 {
		return nil
	}
	bindings := make([]bindingRow, len(plan.Bind))
	for i, b := range plan.Bind {
		bindings[i] = bindingRow{keyRow{b.Account, b.Key}, hex.EncodeToString(b.Fingerprint[:]), b.Target.String()}
	}
	return exec(ctx, tx, `
		INSERT INTO idempotency_keys (account_id, route, key, fingerprint, target_id, created_at)
		SELECT value ->> 'account', ?1, value ->> 'key', unhex(value ->> 'fingerprint'), value ->> 'target', ?2
		FROM json_each(?3)`,
		routeRevoke, micros(now), parameter(bindings))
}

// insert inserts the revocations and their work items, and marks the waiting submissions in the plan. The dispatcher checks a
// work item when it is due, or when its task counts as lost.
func insert(ctx context.Context, tx *sql.Tx, now time.Time, plan *revocation.FlushPlan) error {
	rows := make([]newRow, len(plan.Insert))
	waiting := make(map[revocation.ID]bool)
	for i, s := range plan.Insert {
		due := s.DueAt(now)
		rows[i] = newRow{
			rowKey: keyOf(s.Account, s.ID), ReportID: s.ReportID, Notify: s.Notify,
			ClientReference: s.ClientReference, RequestedBy: s.RequestedBy.String(),
			extendedRow: extendedRow{s.Reason, s.CandidateMessage, optionalMicros(s.NotBefore), optionalMicros(due)},
		}
		if !due.IsZero() {
			waiting[s.ID] = true
		}
	}
	plan.MarkWaiting(waiting)
	added := parameter(rows)
	if err := exec(ctx, tx, `
		INSERT INTO revocations (account_id, id, report_id, notify, client_reference, requested_by,
		       reason, candidate_message, not_before)
		SELECT value ->> 'account', value ->> 'id', value ->> 'report_id', value ->> 'notify',
		       value ->> 'client_reference', value ->> 'requested_by',
		       value ->> 'reason', value ->> 'candidate_message', value ->> 'not_before'
		FROM json_each(?1)`, added); err != nil {
		return err
	}
	return exec(ctx, tx, `
		INSERT INTO work_items (account_id, revocation_id, report_id, single, notify, due_at, next_check_at)
		SELECT value ->> 'account', value ->> 'id', value ->> 'report_id', 1, value ->> 'notify',
		       value ->> 'due_at', coalesce(value ->> 'due_at', ?1)
		FROM json_each(?2)`, micros(now.Add(revocation.VisibilityTimeout(0))), added)
}
