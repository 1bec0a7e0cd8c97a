package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"rescind/internal/revocation"
)

// While a revocation has a work row, what has come of it stands there; after that, in its own row.
const (
	shownStatus = `CASE WHEN o.attempt > 0 THEN 'ERROR_REVOKING' ELSE r.status END`

	shownColumns = `
		SELECT r.account_id, r.id, r.report_id, r.notify OR coalesce(o.notify, 0), r.client_reference, r.requested_by,
		       ` + shownStatus + `, r.completed_at IS NOT NULL, coalesce(r.timestamp, ''), coalesce(o.attempt, r.attempts), o.due_at,
		       coalesce(r.error_code, o.error_code), coalesce(r.error_detail, o.error_detail),
		       n.status, coalesce(n.attempts, 0), o.updated_at, r.completed_at
		FROM revocations AS r`

	shownJoins = `
		LEFT JOIN outstanding AS o ON o.account_id = r.account_id AND o.revocation_id = r.id
		LEFT JOIN notifications AS n ON n.account_id = r.account_id AND n.revocation_id = r.id
		WHERE r.account_id = ?`

	selectShown = shownColumns + shownJoins

	// Left to itself, SQLite would read all that the account has, in the order of the ids.
	selectShownOfReport = shownColumns + ` INDEXED BY revocations_report` + shownJoins + ` AND r.report_id = ?`
)

// Revocation gives one by its id.
func (s *Store) Revocation(ctx context.Context, account string, id revocation.ID) (revocation.Revocation, error) {
	r, err := scanShown(s.readers.QueryRowContext(ctx, selectShown+` AND r.id = ?`, account, id.String()))
	if errors.Is(err, sql.ErrNoRows) {
		return revocation.Revocation{}, notFound("There is no such revocation in this account.")
	}
	return r, fault("read revocation", err)
}

// Revocations gives a page of those that f selects, newest first.
func (s *Store) Revocations(ctx context.Context, f revocation.Filter) ([]revocation.Revocation, error) {
	if !f.JobID.IsZero() {
		return nil, nil // every revocation here was submitted singly
	}
	statement, args := selectShown, []any{f.Account}
	if f.ReportID != 0 {
		statement, args = selectShownOfReport, append(args, f.ReportID)
	}
	where := func(condition string, value any) {
		statement += ` AND ` + condition
		args = append(args, value)
	}
	low, high := f.IDRange()
	if !low.IsZero() {
		where(`r.id >= ?`, low.String())
	}
	if !high.IsZero() {
		where(`r.id < ?`, high.String())
	}
	if f.Status != "" {
		where(shownStatus+` = ?`, string(f.Status))
	}
	scan := func(rows *sql.Rows) (revocation.Revocation, error) { return scanShown(rows) }
	page, err := query(ctx, s.readers, scan, statement+` ORDER BY r.id DESC LIMIT ?`, append(args, f.Limit)...)
	return page, fault("list revocations", err)
}

func scanShown(row interface{ Scan(...any) error }) (revocation.Revocation, error) {
	var (
		r                           revocation.Revocation
		errorCode, errorDetail      sql.Null[string]
		notification                sql.Null[string]
		dueAt, updatedAt, completed sql.Null[int64]
	)
	if err := row.Scan(
		&r.Account, scannedID{&r.ID}, &r.ReportID, &r.Notify, &r.ClientReference, scannedID{&r.RequestedBy},
		&r.Status, &r.Final, &r.Timestamp, &r.Attempts, &dueAt,
		&errorCode, &errorDetail,
		&notification, &r.Notification.Attempts, &updatedAt, &completed,
	); err != nil {
		return revocation.Revocation{}, err
	}
	if errorCode.Valid {
		r.LastError = &revocation.Failure{Code: revocation.Code(errorCode.V), Detail: errorDetail.V}
	}
	r.Notification.Status = revocation.ShownNotification(
		r.Notify, r.Final, r.Status, revocation.NotificationStatus(notification.V))
	r.NextAttemptAt = moment(dueAt)
	r.CompletedAt = moment(completed)
	switch {
	case r.Final:
		r.UpdatedAt = r.CompletedAt
	case updatedAt.Valid:
		r.UpdatedAt = moment(updatedAt)
	default:
		r.UpdatedAt = r.ID.Time()
	}
	return r, nil
}
