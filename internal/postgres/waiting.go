package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// notWaiting is the condition that the work item o does not wait for its not_before or a hold.
const notWaiting = `(o.attempt > 0 OR o.due_at IS NULL OR o.due_at <= now())`

// queueInsertExtended is queueInsert for a flush in which a submission has optional values or has to wait. It marks the waiting
// submissions in the plan.
func queueInsertExtended(batch *pgx.Batch, plan *revocation.FlushPlan) {
	n := len(plan.Insert)
	accounts, ids, reports := make([]string, n), make([]uuid, n), make([]int64, n)
	notify, references, requested := make([]bool, n), make([]*string, n), make([]uuid, n)
	reasons, messages, notBefore, holds := make([]*string, n), make([]*string, n), make([]*time.Time, n), make([]float64, n)
	for i, s := range plan.Insert {
		accounts[i], ids[i], reports[i] = s.Account, uuid(s.ID), s.ReportID
		notify[i], references[i], requested[i] = s.Notify, s.ClientReference, uuid(s.RequestedBy)
		reasons[i], messages[i], notBefore[i], holds[i] = s.Reason, s.CandidateMessage, optionalTime(s.NotBefore), s.Hold.Seconds()
	}
	batch.Queue(`
		WITH added AS (
			INSERT INTO work_items (account_id, revocation_id, report_id, single, notify, client_reference, requested_by,
				reason, candidate_message, not_before, due_at, next_check_at)
			SELECT t.account_id, t.id, t.report_id, true, t.notify, t.client_reference, t.requested_by,
				t.reason, t.candidate_message, t.not_before, w.due_at,
				coalesce(w.due_at, clock_timestamp() + make_interval(secs => $7))
			FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::boolean[], $5::text[], $6::uuid[],
					$8::text[], $9::text[], $10::timestamptz[], $11::float8[])
				AS t(account_id, id, report_id, notify, client_reference, requested_by, reason, candidate_message, not_before, hold)
			CROSS JOIN LATERAL (`+known+`) AS i
			CROSS JOIN LATERAL (SELECT nullif(greatest(t.not_before, c.now + make_interval(secs => t.hold)), c.now) AS due_at
				FROM (SELECT clock_timestamp() AS now OFFSET 0) AS c) AS w
			ON CONFLICT (account_id, report_id) WHERE single DO NOTHING
			RETURNING revocation_id, due_at
		)
		SELECT array_agg(revocation_id) FILTER (WHERE due_at IS NOT NULL), 1 / (count(*) = $12)::int FROM added`,
		accounts, ids, reports, notify, references, requested, revocation.VisibilityTimeout(0).Seconds(),
		reasons, messages, notBefore, holds, n).Query(func(rows pgx.Rows) error {
		var waiting []uuid
		var one int
		_, err := pgx.ForEachRow(rows, []any{&waiting, &one}, func() error {
			marked := make(map[revocation.ID]bool, len(waiting))
			for _, id := range waiting {
				marked[revocation.ID(id)] = true
			}
			plan.MarkWaiting(marked)
			return nil
		})
		return err
	})
}

// queueMoveEarlier moves waiting revocations to an earlier time. This transaction has locked or written their rows.
func queueMoveEarlier(batch *pgx.Batch, joining []revocation.Submission) {
	n := len(joining)
	accounts, ids, notBefore, holds := make([]string, n), make([]uuid, n), make([]*time.Time, n), make([]float64, n)
	for i, s := range joining {
		accounts[i], ids[i], notBefore[i], holds[i] = s.Account, uuid(s.ID), optionalTime(s.NotBefore), s.Hold.Seconds()
	}
	batch.Queue(`
		UPDATE work_items o SET due_at = earliest.due_at, next_check_at = earliest.due_at
		FROM (
			SELECT held.place, min(greatest(t.not_before, clock_timestamp() + make_interval(secs => t.hold))) AS due_at
			FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::float8[]) AS t(account_id, id, not_before, hold)
			CROSS JOIN LATERAL (
				SELECT ctid AS place FROM work_items o
				WHERE o.account_id = t.account_id AND o.revocation_id = t.id AND o.attempt = 0 OFFSET 0) AS held
			GROUP BY held.place) AS earliest
		WHERE o.ctid = earliest.place AND o.due_at > earliest.due_at`, accounts, ids, notBefore, holds)
}

// lockedSingle is the work item of a single revocation that this transaction has locked.
type lockedSingle struct {
	found   bool
	inDoubt bool
	report  int64
	attempt int
}

// lockSingle locks the work item of a single revocation. It waits if another transaction has locked it.
func lockSingle(ctx context.Context, tx *tx, account string, id revocation.ID) (single lockedSingle, err error) {
	batch := &pgx.Batch{}
	batch.Queue(`
		SELECT in_doubt, report_id, attempt FROM work_items
		WHERE account_id = $1 AND revocation_id = $2 AND requested_by IS NOT NULL FOR UPDATE`, account, uuid(id)).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&single.inDoubt, &single.report, &single.attempt}, func() error {
			single.found = true
			return nil
		})
		return err
	})
	return single, tx.send(ctx, batch)
}

// CancelSingle implements revocation.SingleStore.
func (s *Store) CancelSingle(ctx context.Context, account string, id revocation.ID, by revocation.Actor) (revocation.Revocation, error) {
	err := s.change(ctx, "cancel a revocation", func(ctx context.Context, tx *tx) error {
		single, err := lockSingle(ctx, tx, account, id)
		switch {
		case err != nil || !single.found:
			return err
		case single.inDoubt:
			return &revocation.Error{Code: revocation.CodeUnderWay}
		}
		batch := &pgx.Batch{}
		exactlyWith(batch, 1, `ended AS (DELETE FROM work_items WHERE account_id = $1 AND revocation_id = $2 RETURNING *),`, `
			INSERT INTO revocations (account_id, id, report_id, notify, client_reference, requested_by,
				reason, candidate_message, not_before, status, attempts, completed_at)
			SELECT account_id, revocation_id, report_id, notify, client_reference, requested_by,
				reason, candidate_message, not_before, 'CANCELLED', attempt, now() FROM ended`, account, uuid(id))
		cancelled, finished := revocation.CancelledEvents(revocation.Ref{Account: account, ID: id, Attempt: single.attempt}, single.report, by)
		queueAccountEvents(batch, []revocation.Event{cancelled}, "")
		queueAccountEvents(batch, []revocation.Event{finished}, ifSingleEvents)
		return tx.commit(ctx, batch)
	})
	return s.afterSingle(ctx, account, id, err, revocation.StatusCancelled)
}

// StartSingle implements revocation.SingleStore.
func (s *Store) StartSingle(ctx context.Context, account string, id revocation.ID) (revocation.Revocation, error) {
	err := s.change(ctx, "start a revocation", func(ctx context.Context, tx *tx) error {
		batch := &pgx.Batch{}
		batch.Queue(`
			UPDATE work_items SET due_at = NULL, next_check_at = now()
			WHERE account_id = $1 AND revocation_id = $2 AND requested_by IS NOT NULL AND attempt = 0 AND due_at > now()`,
			account, uuid(id))
		return tx.commit(ctx, batch)
	})
	return s.afterSingle(ctx, account, id, err, "")
}

// afterSingle returns the revocation after a change, or err if the change failed. It returns an error if the revocation is
// final with another status.
func (s *Store) afterSingle(ctx context.Context, account string, id revocation.ID, err error, status revocation.Status) (revocation.Revocation, error) {
	if err != nil {
		return revocation.Revocation{}, err
	}
	r, err := s.Revocation(ctx, account, id)
	if err != nil {
		return revocation.Revocation{}, err
	}
	return r, r.SingleChanged(status)
}
