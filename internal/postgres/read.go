package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// A single revocation is stored in its work item until it is final, and then in revocations. An item of a job is stored in
// its chunk until the chunk is carried out, and then in revocations, with a work item while it waits for another attempt. A
// statement that reads all of these finds each revocation once, because it sees one snapshot.
//
// requested_by IS NOT NULL means single. Testing single would make PostgreSQL use the index work_items_single, which contains
// reports and no ids.
const (
	// ofAccount is the condition on account_id.
	ofAccount = `= $1`
	// messageOfJob is the message of an item. Results omit it, because it can be long and is the same for all items.
	messageOfJob = `j.candidate_message`

	// selectStored reads revocations. storedColumns and storedFacts are its parts before and after the name of the table.
	selectStored = storedColumns + `revocations` + storedFacts

	storedColumns = `
	SELECT r.id, coalesce(r.report_id, 0), coalesce(r.notify, j.notify, false) OR coalesce(o.notify, false),
		r.client_reference, r.requested_by, r.job_id,
		r.status, r.inferred, coalesce(o.attempt, r.attempts), coalesce(r.timestamp, ''),
		coalesce(o.error_code, r.error_code, ''), coalesce(o.error_detail, r.error_detail, ''),
		o.due_at, o.updated_at, r.completed_at, coalesce(n.status, ''), coalesce(n.attempts, 0),
		coalesce(r.reason, j.reason), coalesce(r.candidate_message, ` + messageOfJob + `), coalesce(r.not_before, j.not_before),
		` + storedPrediction + `, false
	FROM `
	// storedPrediction is the prediction of an item for revocation.ShownPrediction. An item without a stored prediction is on
	// an upstream.
	storedPrediction = `CASE WHEN j.predicted_at IS NULL THEN 0 WHEN r.status = 'INVALID' THEN -1 ELSE coalesce(r.predicted::integer, ` + predictedUnknown + `) END`

	storedFacts = ` AS r
	LEFT JOIN LATERAL (
		SELECT * FROM work_items o
		WHERE o.account_id = r.account_id AND o.revocation_id = r.id AND r.completed_at IS NULL OFFSET 0) AS o ON true
	LEFT JOIN LATERAL (
		SELECT * FROM notifications n WHERE n.account_id = r.account_id AND n.revocation_id = r.id OFFSET 0) AS n ON true
	LEFT JOIN LATERAL (
		SELECT j.notify, j.reason, ` + messageOfJob + `, j.not_before, j.predicted_at, j.queued_at IS NOT NULL AS begun,
			j.state NOT IN ('RECEIVING', 'DROPPED', 'EXPIRED') AND coalesce(j.expires_at > clock_timestamp(), true) AS visible
		FROM jobs j WHERE j.account_id = r.account_id AND j.id = r.job_id OFFSET 0) AS j ON true
	WHERE r.account_id ` + ofAccount + ` AND (r.job_id IS NULL OR j.visible)`

	selectUnderWay = underWayColumns + `FROM work_items WHERE account_id ` + ofAccount + ` AND requested_by IS NOT NULL`

	underWayColumns = `
	SELECT r.id, r.report_id, r.notify, r.client_reference, r.requested_by, NULL::uuid,
		'PENDING', false, r.attempt, '', coalesce(r.error_code, ''), coalesce(r.error_detail, ''),
		r.due_at, r.updated_at, NULL::timestamptz, '', 0, r.reason, r.candidate_message, r.not_before, 0, false
	FROM (SELECT *, revocation_id AS id `

	// selectInChunk contains the columns of an item u of a job j, after the item's id.
	selectInChunk = `, u.report_id, coalesce(u.notify, j.notify), u.client_reference, j.requested_by, j.id,
		'PENDING', false, 0, '', '', '', NULL::timestamptz, NULL::timestamptz, NULL::timestamptz, '', 0,
		coalesce(u.reason, j.reason), ` + messageOfJob + `, j.not_before,
		CASE WHEN j.predicted_at IS NULL THEN 0 ELSE coalesce(u.predicted, ` + predictedUnknown + `) END,
		j.state IN ('PREVIEWING', 'PREVIEWED')`
	predictedUnknown = `6` // revocation.PredictedUnknown

	// jobsWithChunks selects the jobs whose items in chunks callers may see; more conditions can follow. jobsUnderWay selects
	// those of them that have begun.
	jobsWithChunks = chunksOfJob + ` AND state IN ('QUEUED', 'RUNNING', 'CANCELLING', 'PREVIEWING', 'PREVIEWED', 'AWAITING_APPROVAL', 'SCHEDULED')
			AND coalesce(expires_at > clock_timestamp(), true)`
	jobsUnderWay = chunksOfJob + ` AND state IN ('QUEUED', 'RUNNING', 'CANCELLING') AND queued_at IS NOT NULL`

	chunksOfJob = `
		SELECT id, notify, requested_by, reason, candidate_message, not_before, predicted_at, state FROM jobs
		WHERE account_id ` + ofAccount + ``
)

// scanRevocation reads a row with the columns above, after the columns of first.
func scanRevocation(account string, row pgx.Row, first ...any) (revocation.Revocation, error) {
	r := revocation.Revocation{Account: account}
	var job *uuid
	var failure revocation.Failure
	var due, updated, completed, notBefore *time.Time
	var email revocation.NotificationStatus
	var predicted int
	err := row.Scan(append(first, (*uuid)(&r.ID), &r.ReportID, &r.Notify, &r.ClientReference, (*uuid)(&r.RequestedBy), &job,
		&r.Status, &r.Inferred, &r.Attempts, &r.Timestamp, &failure.Code, &failure.Detail,
		&due, &updated, &completed, &email, &r.Notification.Attempts,
		&r.Reason, &r.CandidateMessage, &notBefore, &predicted, &r.Unconfirmed)...)
	if err != nil {
		return revocation.Revocation{}, err
	}
	if job != nil {
		r.Job = *job
	}
	r.NotBefore, r.Predicted = timeOrZero(notBefore), revocation.ShownPrediction(predicted)
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
	default:
		r.NextAttemptAt = timeOrZero(due)
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
