package sqlite

import (
	"database/sql"
	"strings"

	"rescind/internal/revocation"
)

// While a revocation has a work item, its attempts and its last error are in the work item, and later in its row. An item
// without notify uses the default of its job.
const (
	shownStatus = `CASE WHEN o.attempt > 0 THEN 'ERROR_REVOKING' ELSE r.status END`

	shownMessage = `coalesce(r.candidate_message, j.candidate_message)`

	shownNotify = `(coalesce(r.notify, j.notify, 0) OR coalesce(o.notify, 0))`

	// shownEmail is revocation.ShownNotification in SQL.
	shownEmail = `
		CASE WHEN n.status IN ('CLAIMED', 'COMMITTED') THEN 'PENDING' WHEN n.status IS NOT NULL THEN n.status
		     WHEN NOT ` + shownNotify + ` THEN 'NOT_REQUESTED'
		     WHEN r.completed_at IS NOT NULL AND r.status <> 'REVOKED' THEN 'SKIPPED' ELSE 'PENDING' END`

	// shownPrediction is the prediction of an item for revocation.ShownPrediction. An item without a stored prediction is on
	// an upstream.
	shownPrediction = `CASE WHEN j.predicted_at IS NULL THEN 0 WHEN r.status = 'INVALID' THEN -1 ELSE coalesce(r.predicted, 6) END`

	shownColumns = `
		SELECT r.account_id, r.id, r.report_id, ` + shownNotify + `,
		       r.client_reference, r.requested_by, r.job_id, r.inferred,
		       ` + shownStatus + `, r.completed_at IS NOT NULL, coalesce(r.timestamp, ''), coalesce(o.attempt, r.attempts), o.due_at,
		       coalesce(r.error_code, o.error_code), coalesce(r.error_detail, o.error_detail),
		       n.status, coalesce(n.attempts, 0), o.updated_at, r.completed_at,
		       coalesce(r.reason, j.reason), ` + shownMessage + `, coalesce(r.not_before, j.not_before),
		       ` + shownPrediction + `, coalesce(j.state IN ('PREVIEWING', 'PREVIEWED'), 0) AND r.status = 'PENDING'
		FROM revocations AS r`

	shownJoins = `
		LEFT JOIN jobs AS j ON j.account_id = r.account_id AND j.id = r.job_id
		LEFT JOIN work_items AS o ON o.account_id = r.account_id AND o.revocation_id = r.id
		LEFT JOIN notifications AS n ON n.account_id = r.account_id AND n.revocation_id = r.id
		WHERE r.account_id = ?`

	selectShown = shownColumns + shownJoins

	// Without INDEXED BY, SQLite would read all revocations of the account in the order of their ids.
	selectShownOfReport = shownColumns + ` INDEXED BY revocations_report` + shownJoins + ` AND r.report_id = ?`
)

// selection is a statement that is being built, with its parameters.
type selection struct {
	statement string
	args      []any
}

func (s *selection) where(condition string, args ...any) {
	s.statement += ` AND ` + condition
	s.args = append(s.args, args...)
}

// status selects by the status that callers see. It tests the revocation's row first, so that most rows are skipped without
// reading their work items.
func (s *selection) status(f revocation.StatusFilter) {
	if len(f) == 0 {
		return
	}
	in, args := ` IN (?`+strings.Repeat(`, ?`, len(f)-1)+`)`, make([]any, len(f))
	for i, status := range f {
		args[i] = string(status)
	}
	if f.Includes(revocation.StatusPending) || f.Includes(revocation.StatusErrorRevoking) {
		s.where(`(r.status = 'PENDING' OR r.status`+in+`)`, args...)
		s.where(shownStatus+in, args...)
		return
	}
	s.where(`r.status`+in, args...)
}

// emails selects by the email's status that callers see.
func (s *selection) emails(f []revocation.NotificationStatus) {
	if len(f) == 0 {
		return
	}
	args := make([]any, len(f))
	for i, status := range f {
		args[i] = string(status)
	}
	s.where(shownEmail+` IN (?`+strings.Repeat(`, ?`, len(f)-1)+`)`, args...)
}

func scanShown(row *sql.Rows) (revocation.Revocation, error) {
	var (
		r                           revocation.Revocation
		reportID                    sql.Null[int64]
		errorCode, errorDetail      sql.Null[string]
		notification                sql.Null[string]
		dueAt, updatedAt, completed sql.Null[int64]
		notBefore                   sql.Null[int64]
		predicted                   int
	)
	if err := row.Scan(
		&r.Account, scannedID{&r.ID}, &reportID, &r.Notify,
		&r.ClientReference, scannedID{&r.RequestedBy}, optionalID{&r.Job}, &r.Inferred,
		&r.Status, &r.Final, &r.Timestamp, &r.Attempts, &dueAt,
		&errorCode, &errorDetail,
		&notification, &r.Notification.Attempts, &updatedAt, &completed,
		&r.Reason, &r.CandidateMessage, &notBefore, &predicted, &r.Unconfirmed,
	); err != nil {
		return revocation.Revocation{}, err
	}
	r.ReportID = reportID.V
	switch {
	case errorCode.Valid:
		r.LastError = &revocation.Failure{Code: revocation.Code(errorCode.V), Detail: errorDetail.V}
	case r.Status == revocation.StatusInvalid:
		r.Invalid = errorDetail.V
	}
	r.Notification.Status = revocation.ShownNotification(
		r.Notify, r.Final, r.Status, revocation.NotificationStatus(notification.V))
	r.NotBefore, r.Predicted = moment(notBefore), revocation.ShownPrediction(predicted)
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
