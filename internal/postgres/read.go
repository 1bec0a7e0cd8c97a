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
	SELECT r.id, coalesce(r.report_id, 0), coalesce(r.notify, j.notify, false) OR coalesce(o.notify, false),
		r.client_reference, r.requested_by, r.job_id,
		r.status, r.inferred, coalesce(o.attempt, r.attempts), coalesce(r.timestamp, ''),
		coalesce(o.error_code, r.error_code, ''), coalesce(o.error_detail, r.error_detail, ''),
		o.due_at, o.updated_at, r.completed_at, coalesce(n.status, ''), coalesce(n.attempts, 0)
	FROM revocations r
	LEFT JOIN LATERAL (
		SELECT * FROM outstanding o WHERE o.account_id = r.account_id AND o.revocation_id = r.id OFFSET 0) AS o ON true
	LEFT JOIN LATERAL (
		SELECT * FROM notifications n WHERE n.account_id = r.account_id AND n.revocation_id = r.id OFFSET 0) AS n ON true
	LEFT JOIN LATERAL (
		SELECT j.notify, j.state NOT IN ('RECEIVING', 'DROPPED') AS visible
		FROM jobs j WHERE j.account_id = r.account_id AND j.id = r.job_id OFFSET 0) AS j ON true
	WHERE r.account_id = $1 AND (r.job_id IS NULL OR j.visible)`

// statusIs is the condition that a revocation has a status now, given as a parameter. What is not final is
// PENDING in its own row, and what has become of it stands in its work row.
func statusIs(status revocation.Status, parameter string) string {
	switch status {
	case revocation.StatusPending:
		return `coalesce(o.attempt, 0) = 0 AND r.status = ` + parameter
	case revocation.StatusErrorRevoking:
		return `(o.attempt > 0 OR r.status = ` + parameter + `)`
	default:
		return `r.status = ` + parameter
	}
}

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
	if f.Status != "" {
		args = append(args, string(f.Status))
		where.WriteString(" AND " + statusIs(f.Status, "$"+strconv.Itoa(len(args))))
	}
	if !f.JobID.IsZero() {
		and("r.id > ", uuid(f.JobID))
		and("r.id <= ", uuid(f.JobID.Item(revocation.MaxJobItems)))
		and("r.job_id = ", uuid(f.JobID))
	}
	args = append(args, f.Limit)
	query := selectRevocation + where.String() + " AND r.status <> 'INVALID'" + " ORDER BY r.id DESC LIMIT $" + strconv.Itoa(len(args))
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
	return found, s.readOnly(ctx, "read revocations", batch)
}

func scanRevocation(account string, row pgx.Row) (revocation.Revocation, error) {
	r := revocation.Revocation{Account: account}
	var job *uuid
	var failure revocation.Failure
	var due, updated, completed *time.Time
	var email revocation.NotificationStatus
	err := row.Scan((*uuid)(&r.ID), &r.ReportID, &r.Notify, &r.ClientReference, (*uuid)(&r.RequestedBy), &job,
		&r.Status, &r.Inferred, &r.Attempts, &r.Timestamp, &failure.Code, &failure.Detail,
		&due, &updated, &completed, &email, &r.Notification.Attempts)
	if err != nil {
		return revocation.Revocation{}, err
	}
	if job != nil {
		r.Job = *job
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
	switch r.Status {
	case revocation.StatusErrorRevoking:
		r.LastError = &failure
	case revocation.StatusInvalid:
		r.Invalid = failure.Detail
	}
	r.Notification.Status = revocation.ShownNotification(r.Notify, r.Final, r.Status, email)
	return r, nil
}
