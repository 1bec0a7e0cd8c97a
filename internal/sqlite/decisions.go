package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"rescind/internal/revocation"
)

// outcomeRow is a decision as an element of a JSON parameter. Times are in microseconds.
type outcomeRow struct {
	rowKey
	ReportID      int64   `json:"report_id"`
	Status        string  `json:"status"`
	Attempts      int     `json:"attempts"`
	Timestamp     *string `json:"timestamp"`
	ErrorCode     *string `json:"error_code"`
	ErrorDetail   *string `json:"error_detail"`
	Notify        bool    `json:"notify"`
	NextCheckAt   int64   `json:"next_check_at"`
	Job           *string `json:"job"`
	RouteUpstream bool    `json:"route_upstream"`
	InDoubt       bool    `json:"in_doubt"`
	Inferred      bool    `json:"inferred"`
	Email         string  `json:"email"`
}

func outcomeOf(d revocation.Decision, now time.Time) outcomeRow {
	row := outcomeRow{
		rowKey: keyOf(d.Account, d.ID), ReportID: d.ReportID, Status: string(d.Status), Attempts: d.Attempts(),
		Notify: d.Notify, NextCheckAt: micros(now.Add(d.Delay)), Job: optionalText(d.Job),
		RouteUpstream: d.Kind == revocation.RouteUpstream, InDoubt: d.InDoubt, Inferred: d.Inferred, Email: string(d.EmailStatus()),
	}
	if d.Timestamp != "" {
		row.Timestamp = &d.Timestamp
	}
	if d.Failure != nil {
		code := string(d.Failure.Code)
		row.ErrorCode, row.ErrorDetail = &code, &d.Failure.Detail
	}
	return row
}

// writeDecisions writes decisions of all kinds.
func writeDecisions(ctx context.Context, tx *sql.Tx, now time.Time, decisions []revocation.Decision) error {
	parts := revocation.PartsOf(decisions)
	final := slices.Concat(parts.Singles, parts.Items)
	for _, part := range []struct {
		decisions []revocation.Decision
		statement string
	}{
		{parts.Postponed, postpone},
		{parts.Retried, retry},
		{parts.Revoked, markInvites},
		{parts.Notified, addNotifications},
		{final, finish},
		{final, deleteWork},
	} {
		if len(part.decisions) == 0 {
			continue
		}
		rows := make([]outcomeRow, len(part.decisions))
		for i, d := range part.decisions {
			rows[i] = outcomeOf(d, now)
		}
		if err := changeAll(ctx, tx, len(rows), part.statement,
			sql.Named("now", micros(now)), sql.Named("grace", revocation.VisibilityTimeout(0).Microseconds()),
			sql.Named("rows", parameter(rows))); err != nil {
			return err
		}
	}
	return nil
}

// changeAll runs a statement that must change want rows. The rows cannot have changed since they were read, so another number
// is a bug.
func changeAll(ctx context.Context, tx *sql.Tx, want int, statement string, args ...any) error {
	changed, err := change(ctx, tx, statement, args...)
	if err == nil && changed != int64(want) {
		err = fmt.Errorf("a statement changed %d rows instead of %d: %s", changed, want, statement)
	}
	return err
}

const (
	postpone = `
		UPDATE work_items AS o
		SET next_check_at = p.value ->> 'next_check_at', claimed = 0, in_doubt = p.value ->> 'in_doubt',
		    account_scheduled = o.account_scheduled OR p.value ->> 'route_upstream'
		FROM json_each(:rows) AS p
		WHERE o.account_id = p.value ->> 'account' AND o.revocation_id = p.value ->> 'id'`

	retry = `
		UPDATE work_items AS o
		SET attempt = p.value ->> 'attempts', due_at = p.value ->> 'next_check_at', next_check_at = p.value ->> 'next_check_at',
		    error_code = p.value ->> 'error_code', error_detail = p.value ->> 'error_detail', updated_at = :now,
		    claimed = 0, in_doubt = p.value ->> 'in_doubt'
		FROM json_each(:rows) AS p
		WHERE o.account_id = p.value ->> 'account' AND o.revocation_id = p.value ->> 'id'`

	markInvites = `
		UPDATE invites AS i SET revoked_at = :now, revoked_by = p.value ->> 'id'
		FROM json_each(:rows) AS p
		WHERE i.account_id = p.value ->> 'account' AND i.report_id = p.value ->> 'report_id' AND i.revoked_at IS NULL`

	// The emails of jobs are not enqueued one by one, so they are due at once.
	addNotifications = `
		INSERT INTO notifications (account_id, revocation_id, report_id, job_id, status, next_check_at, updated_at)
		SELECT value ->> 'account', value ->> 'id', value ->> 'report_id', value ->> 'job', value ->> 'email',
		       iif(value ->> 'job' IS NULL, :now + :grace, :now), :now
		FROM json_each(:rows)`

	finish = `
		UPDATE revocations AS r
		SET status = p.value ->> 'status', attempts = p.value ->> 'attempts', timestamp = p.value ->> 'timestamp',
		    error_code = p.value ->> 'error_code', error_detail = p.value ->> 'error_detail',
		    notify = p.value ->> 'notify', inferred = p.value ->> 'inferred', completed_at = :now
		FROM json_each(:rows) AS p
		WHERE r.account_id = p.value ->> 'account' AND r.id = p.value ->> 'id' AND r.status = 'PENDING'`

	deleteWork = `
		DELETE FROM work_items
		WHERE (account_id, revocation_id) IN (SELECT value ->> 'account', value ->> 'id' FROM json_each(:rows))`
)
