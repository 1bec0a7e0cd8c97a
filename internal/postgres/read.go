package postgres

import (
	"context"
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
	LEFT JOIN LATERAL (
		SELECT * FROM outstanding o WHERE o.account_id = r.account_id AND o.revocation_id = r.id OFFSET 0) AS o ON true
	LEFT JOIN LATERAL (
		SELECT * FROM notifications n WHERE n.account_id = r.account_id AND n.revocation_id = r.id OFFSET 0) AS n ON true
	WHERE r.account_id = $1`

// Revocation implements revocation.ReadStore.
func (s *Store) Revocation(ctx context.Context, account string, id revocation.ID) (revocation.Revocation, error) {
	found, err := s.selectRevocations(ctx, account, selectRevocation+` AND r.id = $2`, account, uuid(id))
	if err != nil {
		return revocation.Revocation{}, err
	}
	if len(found) == 0 {
		return revocation.Revocation{}, &revocation.Error{
			Code: revocation.CodeNotFound, Detail: "There is no such revocation in this account.",
		}
	}
	return found[0], nil
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
		and("r.report_id > 0 AND r.report_id = ", f.ReportID) // see revocations_report
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
	return s.selectRevocations(ctx, f.Account, query, args...)
}

func (s *Store) selectRevocations(ctx context.Context, account, query string, args ...any) (found []revocation.Revocation, err error) {
	batch := &pgx.Batch{}
	batch.Queue(query, args...).Query(func(rows pgx.Rows) (err error) {
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (revocation.Revocation, error) {
			return scanRevocation(account, row)
		})
		return err
	})
	err = s.run(ctx, "read revocations", batch)
	if revocation.ErrorCode(err) == revocation.CodeOutcomeUnknown { // there was nothing to commit
		err = &revocation.Error{Code: revocation.CodeConnectionLost, Err: err}
	}
	return found, err
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
