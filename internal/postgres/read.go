package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// selectRevocation reads what is stored in three places: the request, its work while it is not final, and
// its email.
const selectRevocation = `
	SELECT r.id, r.report_id, r.notify OR coalesce(o.notify, false), r.client_reference, r.requested_by,
		r.status, coalesce(o.attempt, r.attempts), coalesce(r.timestamp, ''),
		coalesce(o.error_code, r.error_code, ''), coalesce(o.error_detail, r.error_detail, ''),
		o.due_at, o.updated_at, r.completed_at, coalesce(n.status, ''), coalesce(n.attempts, 0)
	FROM revocations r
	LEFT JOIN outstanding o ON o.account_id = r.account_id AND o.revocation_id = r.id
	LEFT JOIN notifications n ON n.account_id = r.account_id AND n.revocation_id = r.id
	WHERE r.account_id = $1`

// Revocation implements revocation.ReadStore.
func (s *Store) Revocation(ctx context.Context, account string, id revocation.ID) (revocation.Revocation, error) {
	r, err := scanRevocation(account, s.pool.QueryRow(ctx, selectRevocation+` AND r.id = $2`, account, uuid(id)))
	if errors.Is(err, pgx.ErrNoRows) {
		return r, &revocation.Error{Code: revocation.CodeNotFound, Detail: "There is no such revocation in this account."}
	}
	return r, fault("read a revocation", err)
}

// Revocations implements revocation.ReadStore.
func (s *Store) Revocations(ctx context.Context, f revocation.Filter) ([]revocation.Revocation, error) {
	var where strings.Builder
	args := []any{f.Account}
	and := func(condition string, arg any) {
		args = append(args, arg)
		where.WriteString(" AND " + condition + "$" + strconv.Itoa(len(args)))
	}
	low, high := f.IDRange()
	and("r.id >= ", uuid(low))
	if !high.IsZero() {
		and("r.id < ", uuid(high))
	}
	if f.ReportID != 0 {
		and("r.report_id = ", f.ReportID)
	}
	switch f.Status {
	case "":
	case revocation.StatusPending:
		and("coalesce(o.attempt, 0) = 0 AND r.status = ", f.Status)
	case revocation.StatusErrorRevoking:
		and("(o.attempt > 0 OR r.status = ", f.Status)
		where.WriteString(")")
	default:
		and("r.status = ", f.Status)
	}
	if !f.JobID.IsZero() {
		return nil, nil // a single revocation belongs to no job
	}
	args = append(args, f.Limit)
	query := selectRevocation + where.String() + " ORDER BY r.id DESC LIMIT $" + strconv.Itoa(len(args))

	var page []revocation.Revocation
	err := s.tx(ctx, "list revocations", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		page, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (revocation.Revocation, error) {
			return scanRevocation(f.Account, row)
		})
		return err
	})
	return page, err
}

func scanRevocation(account string, row pgx.Row) (revocation.Revocation, error) {
	r := revocation.Revocation{Account: account}
	var failure revocation.Failure
	var due, updated, completed *time.Time
	var email revocation.NotificationStatus
	err := row.Scan((*uuid)(&r.ID), &r.ReportID, &r.Notify, &r.ClientReference, (*uuid)(&r.RequestedBy),
		&r.Status, &r.Attempts, &r.Timestamp, &failure.Code, &failure.Detail,
		&due, &updated, &completed, &email, &r.Notification.Attempts)
	if err != nil {
		return revocation.Revocation{}, err
	}
	r.UpdatedAt = r.ID.Time()
	switch {
	case completed != nil:
		r.Final = true
		r.CompletedAt = completed.UTC()
		r.UpdatedAt = r.CompletedAt
	case r.Attempts > 0:
		r.Status = revocation.StatusErrorRevoking
		r.NextAttemptAt = due.UTC()
		r.UpdatedAt = updated.UTC()
	}
	if r.Status == revocation.StatusErrorRevoking {
		r.LastError = &failure
	}
	r.Notification.Status = revocation.ShownNotification(r.Notify, r.Final, r.Status, email)
	return r, nil
}
