package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// CarryOut implements revocation.ExecutionStore.
func (s *Store) CarryOut(ctx context.Context, refs []revocation.Ref, decide func([]revocation.LockedRevocation) []revocation.Decision) (revocation.BatchResult, error) {
	return s.decideAndWrite(ctx, "carry out", refs, true, decide)
}

// RecordOutcomes implements revocation.ExecutionStore.
func (s *Store) RecordOutcomes(ctx context.Context, refs []revocation.Ref, decide func([]revocation.LockedRevocation) []revocation.Decision) (revocation.BatchResult, error) {
	return s.decideAndWrite(ctx, "record outcomes", refs, false, decide)
}

func (s *Store) decideAndWrite(ctx context.Context, name string, refs []revocation.Ref, invites bool, decide func([]revocation.LockedRevocation) []revocation.Decision) (revocation.BatchResult, error) {
	var done revocation.BatchResult
	err := s.tx(ctx, name, func(ctx context.Context, tx *tx) error {
		work, locked, err := lockWork(ctx, tx, refs, invites)
		if err != nil {
			return err
		}
		done = revocation.BatchResult{Decisions: decide(work), Locked: locked}
		if len(done.Decisions) == 0 {
			return nil
		}
		return tx.commit(ctx, writeDecisions(done.Decisions, &done.Ended))
	})
	if err != nil {
		return revocation.BatchResult{}, err
	}
	return done, nil
}

// lockWork locks the work items of refs that are not stale, and their invites if invites is true. It returns what it locked,
// in the order of the invites, and as locked the refs whose work item another transaction has locked.
func lockWork(ctx context.Context, tx *tx, refs []revocation.Ref, invites bool) (work []revocation.LockedRevocation, locked []revocation.Ref, err error) {
	refs = sortedRefs(refs)
	accounts, ids, attempts := refColumns(refs)
	batch := &pgx.Batch{}
	queueWork(batch, accounts, ids, attempts, &work)
	var states map[revocation.InviteKey]revocation.InviteState
	var facts map[string]accountFacts
	if invites {
		states, facts = queueInvites(batch, accounts, ids, attempts)
	}
	if err := tx.send(ctx, batch); err != nil {
		return nil, nil, err
	}
	slices.SortFunc(work, func(a, b revocation.LockedRevocation) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.ReportID, b.ReportID), a.ID.Compare(b.ID))
	})
	work = slices.CompactFunc(work, func(a, b revocation.LockedRevocation) bool { return a.Ref == b.Ref }) // a task can name a row twice
	if invites {
		if err := fillIn(ctx, tx, work, states, facts); err != nil {
			return nil, nil, err
		}
		if err := fillInFirsts(ctx, tx, work); err != nil {
			return nil, nil, err
		}
	}
	if len(work) < len(refs) {
		locked, err = lockedWork(ctx, tx, work, accounts, ids, attempts)
	}
	return work, locked, err
}

// queueWork locks the work items that no other transaction has locked.
func queueWork(batch *pgx.Batch, accounts []string, ids []uuid, attempts []int, work *[]revocation.LockedRevocation) {
	batch.Queue(`
		SELECT o.account_id, o.revocation_id, o.attempt, o.report_id, o.notify, o.dispatch_count, o.job_id, o.in_doubt, o.duplicate,
			o.job_id IS NOT NULL AND NOT o.in_doubt AND coalesce((
				SELECT j.state = 'CANCELLING' FROM jobs j WHERE j.account_id = o.account_id AND j.id = o.job_id), false)
		FROM unnest($1::text[], $2::uuid[], $3::int[]) AS t(account_id, id, attempt)
		CROSS JOIN LATERAL (
			SELECT * FROM work_items o
			WHERE o.account_id = t.account_id AND o.revocation_id = t.id AND o.attempt = t.attempt AND `+notWaiting+`
			FOR UPDATE SKIP LOCKED) AS o`, accounts, ids, attempts).Query(func(rows pgx.Rows) error {
		var h revocation.LockedRevocation
		var job *uuid
		var duplicate bool
		_, err := pgx.ForEachRow(rows, []any{
			&h.Account, (*uuid)(&h.ID), &h.Attempt, &h.ReportID, &h.Notify, &h.DispatchCount, &job, &h.InDoubt, &duplicate, &h.Cancelled,
		}, func() error {
			h.Job, h.Predicted = revocation.ID{}, revocation.PredictedNothing
			if duplicate {
				h.Predicted = revocation.PredictedDuplicate
			}
			if job != nil {
				h.Job = *job
			}
			*work = append(*work, h)
			return nil
		})
		return err
	})
}

// accountFacts contains what the outcomes of an account's revocations depend on.
type accountFacts struct {
	revocation.AccountState
	upstream bool
}

// queueInvites locks the invites that no other transaction has locked, and reads the accounts' facts. It finds the invites by
// the work items, so that all statements fit into one round trip.
func queueInvites(batch *pgx.Batch, accounts []string, ids []uuid, attempts []int) (states map[revocation.InviteKey]revocation.InviteState, facts map[string]accountFacts) {
	states, facts = make(map[revocation.InviteKey]revocation.InviteState, len(ids)), make(map[string]accountFacts)
	batch.Queue(`
		SELECT i.account_id, i.report_id, i.sent_at, i.revoked_at IS NOT NULL, i.state <> 'PENDING'
		FROM unnest($1::text[], $2::uuid[], $3::int[]) AS t(account_id, id, attempt)
		CROSS JOIN LATERAL (
			SELECT o.report_id FROM work_items o
			WHERE o.account_id = t.account_id AND o.revocation_id = t.id AND o.attempt = t.attempt OFFSET 0) AS o
		CROSS JOIN LATERAL (
			SELECT * FROM invites i WHERE i.account_id = t.account_id AND i.report_id = o.report_id
			FOR UPDATE SKIP LOCKED) AS i`, accounts, ids, attempts).Query(func(rows pgx.Rows) error {
		var key revocation.InviteKey
		var state revocation.InviteState
		_, err := pgx.ForEachRow(rows, []any{&key.Account, &key.ReportID, &state.SentAt, &state.Revoked, &state.Started}, func() error {
			states[key] = state
			return nil
		})
		return err
	})
	batch.Queue(`
		SELECT account_id, plan_changed_at, spare_started, upstream_url IS NOT NULL FROM accounts
		WHERE account_id = ANY ($1) AND (plan_changed_at IS NOT NULL OR spare_started OR upstream_url IS NOT NULL)`, slices.Compact(slices.Clone(accounts))).Query(func(rows pgx.Rows) error {
		var account string
		var changed *time.Time
		var spare, upstream bool
		_, err := pgx.ForEachRow(rows, []any{&account, &changed, &spare, &upstream}, func() error {
			state := revocation.AccountState{PlanChangedAt: timeOrZero(changed), SpareStarted: spare}
			facts[account] = accountFacts{state, upstream}
			return nil
		})
		return err
	})
	return states, facts
}

// lockedWork returns the refs whose work items exist and are not in work: another transaction has locked them. If that
// transaction deletes one, the next try finds that the ref is stale.
func lockedWork(ctx context.Context, tx *tx, work []revocation.LockedRevocation, accounts []string, ids []uuid, attempts []int) (locked []revocation.Ref, err error) {
	seen := make(map[revocation.Ref]bool, len(ids))
	for _, h := range work {
		seen[h.Ref] = true
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		SELECT o.account_id, o.revocation_id, o.attempt
		FROM unnest($1::text[], $2::uuid[], $3::int[]) AS t(account_id, id, attempt)
		CROSS JOIN LATERAL (
			SELECT * FROM work_items o
			WHERE o.account_id = t.account_id AND o.revocation_id = t.id AND o.attempt = t.attempt AND `+notWaiting+` OFFSET 0) AS o`, accounts, ids, attempts).Query(func(rows pgx.Rows) error {
		var ref revocation.Ref
		_, err := pgx.ForEachRow(rows, []any{&ref.Account, (*uuid)(&ref.ID), &ref.Attempt}, func() error {
			if !seen[ref] {
				seen[ref] = true
				locked = append(locked, ref)
			}
			return nil
		})
		return err
	})
	return locked, tx.send(ctx, batch)
}

// fillIn adds to work the facts that the rule needs. An invite is contended if it exists and is not in states.
func fillIn(ctx context.Context, tx *tx, work []revocation.LockedRevocation, states map[revocation.InviteKey]revocation.InviteState, facts map[string]accountFacts) error {
	var accounts []string
	var reports []int64
	for i := range work {
		h := &work[i]
		h.AccountState, h.Upstream = facts[h.Account].AccountState, facts[h.Account].upstream
		if state, ok := states[revocation.InviteKey{Account: h.Account, ReportID: h.ReportID}]; ok {
			h.Invite = &state
		} else {
			accounts, reports = append(accounts, h.Account), append(reports, h.ReportID)
		}
	}
	if len(reports) == 0 {
		return nil
	}
	return markContended(ctx, tx, work, accounts, reports)
}

func markContended(ctx context.Context, tx *tx, work []revocation.LockedRevocation, accounts []string, reports []int64) error {
	there := make(map[revocation.InviteKey]bool)
	batch := &pgx.Batch{}
	batch.Queue(`
		SELECT i.account_id, i.report_id
		FROM unnest($1::text[], $2::bigint[]) AS t(account_id, report_id)
		CROSS JOIN LATERAL (
			SELECT * FROM invites i WHERE i.account_id = t.account_id AND i.report_id = t.report_id OFFSET 0) AS i`, accounts, reports).Query(func(rows pgx.Rows) error {
		var key revocation.InviteKey
		_, err := pgx.ForEachRow(rows, []any{&key.Account, &key.ReportID}, func() error {
			there[key] = true
			return nil
		})
		return err
	})
	if err := tx.send(ctx, batch); err != nil {
		return err
	}
	for i := range work {
		h := &work[i]
		h.Contended = h.Invite == nil && there[revocation.InviteKey{Account: h.Account, ReportID: h.ReportID}]
	}
	return nil
}

// sortedRefs returns refs in the order in which every transaction locks their rows.
func sortedRefs(refs []revocation.Ref) []revocation.Ref {
	return slices.SortedFunc(slices.Values(refs), func(a, b revocation.Ref) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), a.ID.Compare(b.ID))
	})
}

func refColumns(refs []revocation.Ref) (accounts []string, ids []uuid, attempts []int) {
	accounts, ids, attempts = make([]string, len(refs)), make([]uuid, len(refs)), make([]int, len(refs))
	for i, ref := range refs {
		accounts[i], ids[i], attempts[i] = ref.Account, uuid(ref.ID), ref.Attempt
	}
	return accounts, ids, attempts
}
