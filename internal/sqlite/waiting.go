package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"rescind/internal/revocation"
)

// notWaiting is the condition that the work item o does not wait for its not_before or a hold.
const notWaiting = `(o.attempt > 0 OR o.due_at IS NULL OR o.due_at <= :now)`

type dueRow struct {
	rowKey
	DueAt int64 `json:"due_at"`
}

// moveEarlier moves waiting revocations to an earlier time.
func moveEarlier(ctx context.Context, tx *sql.Tx, now time.Time, joining []revocation.Submission) error {
	earliest := make(map[revocation.ID]dueRow, len(joining))
	for _, s := range joining {
		due := s.DueAt(now)
		if due.IsZero() {
			due = now
		}
		row := dueRow{keyOf(s.Account, s.ID), micros(due)}
		if other, ok := earliest[s.ID]; ok {
			row.DueAt = min(row.DueAt, other.DueAt)
		}
		earliest[s.ID] = row
	}
	rows := make([]dueRow, 0, len(earliest))
	for _, row := range earliest {
		rows = append(rows, row)
	}
	return exec(ctx, tx, `
		UPDATE work_items AS o SET due_at = p.value ->> 'due_at', next_check_at = p.value ->> 'due_at'
		FROM json_each(?1) AS p
		WHERE o.account_id = p.value ->> 'account' AND o.revocation_id = p.value ->> 'id'
		  AND o.attempt = 0 AND o.due_at > p.value ->> 'due_at'`, parameter(rows))
}

// CancelSingle implements revocation.SingleStore.
func (s *Store) CancelSingle(ctx context.Context, account string, id revocation.ID, by revocation.Actor) (revocation.Revocation, error) {
	err := s.write(ctx, "cancel revocation", func(tx *sql.Tx, now time.Time) error {
		ref := revocation.Ref{Account: account, ID: id}
		var inDoubt, withEvents bool
		var report int64
		err := tx.QueryRowContext(ctx, `
			SELECT o.in_doubt, o.report_id, o.attempt, a.single_events
			FROM work_items AS o JOIN accounts AS a ON a.account_id = o.account_id
			WHERE o.account_id = ?1 AND o.revocation_id = ?2 AND o.single`,
			account, id.String()).Scan(&inDoubt, &report, &ref.Attempt, &withEvents)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return nil
		case err != nil:
			return err
		case inDoubt:
			return &revocation.Error{Code: revocation.CodeUnderWay}
		}
		if err := changeAll(ctx, tx, 1, `
			UPDATE revocations AS r
			SET status = 'CANCELLED', attempts = o.attempt, notify = o.notify, completed_at = ?1
			FROM work_items AS o
			WHERE o.account_id = ?2 AND o.revocation_id = ?3
			  AND r.account_id = ?2 AND r.id = ?3 AND r.status = 'PENDING'`, micros(now), account, id.String()); err != nil {
			return err
		}
		if err := changeAll(ctx, tx, 1, `DELETE FROM work_items WHERE account_id = ?1 AND revocation_id = ?2`,
			account, id.String()); err != nil {
			return err
		}
		cancelled, finished := revocation.CancelledEvents(ref, report, by)
		events := []revocation.Event{cancelled}
		if withEvents {
			events = append(events, finished)
		}
		return addEvents(ctx, tx, now, events...)
	})
	return s.afterSingle(ctx, account, id, err, revocation.StatusCancelled)
}

// StartSingle implements revocation.SingleStore.
func (s *Store) StartSingle(ctx context.Context, account string, id revocation.ID) (revocation.Revocation, error) {
	err := s.write(ctx, "start revocation", func(tx *sql.Tx, now time.Time) error {
		return exec(ctx, tx, `
			UPDATE work_items SET due_at = NULL, next_check_at = ?1
			WHERE account_id = ?2 AND revocation_id = ?3 AND single AND attempt = 0 AND due_at > ?1`,
			micros(now), account, id.String())
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
