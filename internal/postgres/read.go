package postgres

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// A revocation that was submitted singly is its work row until it is final. An item of a job stands in its chunk until
// that is carried out, and has a row of its own from then on, with a work row beside it while it waits for another
// attempt. A statement that looks everywhere finds each once, for it sees one moment.
//
// That requested_by is known says the same as single, but only with that would an index be taken which knows reports
// and no ids.
const (
	// ofAccount is what the rows of one account have in common.
	ofAccount = `= $1`

	// selectStored reads the rows with outcomes, and those of items that wait for an attempt. storedColumns and
	// storedFacts stand before and after where the rows come from.
	selectStored = storedColumns + `revocations` + storedFacts

	storedColumns = `
	SELECT r.id, coalesce(r.report_id, 0), coalesce(r.notify, j.notify, false) OR coalesce(o.notify, false),
		r.client_reference, r.requested_by, r.job_id,
		r.status, r.inferred, coalesce(o.attempt, r.attempts), coalesce(r.timestamp, ''),
		coalesce(o.error_code, r.error_code, ''), coalesce(o.error_detail, r.error_detail, ''),
		o.due_at, o.updated_at, r.completed_at, coalesce(n.status, ''), coalesce(n.attempts, 0)
	FROM `
	storedFacts = ` AS r
	LEFT JOIN LATERAL (
		SELECT * FROM outstanding o
		WHERE o.account_id = r.account_id AND o.revocation_id = r.id AND r.completed_at IS NULL OFFSET 0) AS o ON true
	LEFT JOIN LATERAL (
		SELECT * FROM notifications n WHERE n.account_id = r.account_id AND n.revocation_id = r.id OFFSET 0) AS n ON true
	LEFT JOIN LATERAL (
		SELECT j.notify, j.state NOT IN ('RECEIVING', 'DROPPED') AS visible
		FROM jobs j WHERE j.account_id = r.account_id AND j.id = r.job_id OFFSET 0) AS j ON true
	WHERE r.account_id ` + ofAccount + ` AND (r.job_id IS NULL OR j.visible)`

	selectUnderWay = `
	SELECT r.id, r.report_id, r.notify, r.client_reference, r.requested_by, NULL::uuid,
		'PENDING', false, r.attempt, '', coalesce(r.error_code, ''), coalesce(r.error_detail, ''),
		r.due_at, r.updated_at, NULL::timestamptz, '', 0
	FROM (SELECT *, revocation_id AS id FROM outstanding WHERE account_id ` + ofAccount + ` AND requested_by IS NOT NULL`

	// selectInChunk is of an item u of a job j, which has got this id.
	selectInChunk = `, u.report_id, coalesce(u.notify, j.notify), u.client_reference, j.requested_by, j.id,
		'PENDING', false, 0, '', '', '', NULL::timestamptz, NULL::timestamptz, NULL::timestamptz, '', 0`

	// jobsUnderWay are those whose chunks anybody sees; more conditions follow.
	jobsUnderWay = `
		SELECT id, notify, requested_by FROM jobs
		WHERE account_id ` + ofAccount + ` AND state IN ('QUEUED', 'RUNNING', 'CANCELLING')`
)

// selectInChunks selects items that are not carried out yet, in the order of their ids or against it: job by job, chunk
// by chunk and item by item, so that a LIMIT that follows ends it early. An item's id is the pair of its job's and its
// row; the conditions, which may be empty, begin with AND.
func selectInChunks(order, ofJobs, ofChunks, ofItems string) string {
	return `
	SELECT overlay(j.id::text PLACING lpad(to_hex(u.row), 8, '0') FROM 29)::uuid` + selectInChunk + `
	FROM (` + jobsUnderWay + ofJobs + ` ORDER BY id ` + order + ` OFFSET 0) AS j
	CROSS JOIN LATERAL (
		SELECT * FROM chunks c WHERE c.account_id ` + ofAccount + ` AND c.job_id = j.id` + ofChunks + `
		ORDER BY c.first_row ` + order + ` OFFSET 0) AS c
	CROSS JOIN LATERAL (
		SELECT * FROM (
			SELECT *, c.first_row + n::integer - 1 AS row
			FROM unnest(c.report_ids, c.notify, c.client_references) WITH ORDINALITY AS u(report_id, notify, client_reference, n)) AS u
		WHERE u.report_id IS NOT NULL` + ofItems + ` ORDER BY u.n ` + order + ` OFFSET 0) AS u`
}

// untriedItems are those that have a row of their own and have not been tried, newest first: a few, among all that the
// account has ever asked for. They are in the order of the work rows before their own are looked up, so that a page ends
// that early. ofIDs is a condition on r.id.
func untriedItems(ofIDs string) string {
	return `(
		SELECT w.account_id, w.revocation_id AS id, r.report_id, r.notify, r.client_reference, r.requested_by, r.job_id,
			r.status, r.inferred, r.attempts, r.timestamp, r.error_code, r.error_detail, r.completed_at
		FROM (
			SELECT account_id, revocation_id FROM outstanding w
			WHERE account_id = $1 AND requested_by IS NULL AND attempt = 0 AND ` +
		strings.ReplaceAll(ofIDs, "r.id", "revocation_id") + `
			ORDER BY revocation_id DESC OFFSET 0) AS w
		CROSS JOIN LATERAL (
			SELECT * FROM revocations r WHERE r.account_id = w.account_id AND r.id = w.revocation_id OFFSET 0) AS r)`
}

// storedIs is the condition that a stored revocation has a status now, given as a parameter. An item that is not
// final is PENDING in its own row, and what has become of it stands in its work row.
func storedIs(status revocation.Status, parameter string) string {
	switch status {
	case revocation.StatusPending:
		return `coalesce(o.attempt, 0) = 0 AND r.status = ` + parameter
	case revocation.StatusErrorRevoking:
		return `(o.attempt > 0 OR r.status = ` + parameter + `)`
	default:
		return `r.status = ` + parameter
	}
}

func underWayIs(status revocation.Status) string {
	switch status {
	case revocation.StatusPending:
		return `r.attempt = 0`
	case revocation.StatusErrorRevoking:
		return `r.attempt > 0`
	default:
		return `false`
	}
}

func inChunksIs(status revocation.Status) string {
	switch status {
	case "", revocation.StatusPending:
		return ``
	default:
		return ` AND false`
	}
}

// Revocations implements revocation.ReadStore. Each kind of rows gives as many as are asked for.
func (s *Store) Revocations(ctx context.Context, f revocation.Filter) ([]revocation.Revocation, error) {
	args := []any{f.Account}
	add := func(arg any) (parameter string) {
		args = append(args, arg)
		return "$" + strconv.Itoa(len(args))
	}
	low, high := f.IDRange()
	from := add(uuid(low))
	where := " r.id >= " + from
	ofJobs, ofChunks, ofItems := " AND id >= "+from+inChunksIs(f.Status), "", "" // a moment's first id could be a job's, and no item's
	if !high.IsZero() {
		where += " AND r.id < " + add(uuid(high))
		job, row := add(uuid(revocation.JobID(high))), add(high.Row())
		ofJobs += " AND id <= " + job
		ofChunks += " AND (j.id, c.first_row) < (" + job + ", " + row + "::bigint)"
		ofItems += " AND (j.id, u.row) < (" + job + ", " + row + "::bigint)"
	}
	job := ""
	if !f.JobID.IsZero() {
		job = add(uuid(f.JobID))
		where += " AND r.id > " + job + " AND r.id <= " + add(uuid(f.JobID.Item(revocation.MaxJobItems)))
		ofJobs += " AND id = " + job
	}
	limited := " LIMIT " + add(f.Limit)
	stored := selectStored
	if f.Status == revocation.StatusPending && f.ReportID == 0 {
		stored = storedColumns + untriedItems(where) + storedFacts
	}
	stored += " AND r.status <> 'INVALID' AND " + where
	underWay := selectUnderWay
	if f.ReportID != 0 {
		report := add(f.ReportID)
		stored += " AND r.report_id > 0 AND r.report_id = " + report      // see revocations_report
		underWay += " AND single AND report_id = " + report + " OFFSET 0" // there is one at most
		ofChunks += " AND " + report + " = ANY (c.report_ids)"
		ofItems += " AND u.report_id = " + report
	}
	underWay += ") AS r WHERE" + where
	if job != "" {
		stored += " AND r.job_id = " + job
		underWay += " AND false"
	}
	if f.Status != "" {
		stored += " AND " + storedIs(f.Status, add(string(f.Status)))
		underWay += " AND " + underWayIs(f.Status)
	}
	const newestFirst = " ORDER BY 1 DESC"
	query := "(" + stored + newestFirst + limited + ") UNION ALL (" + underWay + newestFirst + limited +
		") UNION ALL (" + selectInChunks("DESC", ofJobs, ofChunks, ofItems) + limited + ")" + newestFirst + limited
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

// scanRevocation reads a row whose columns are those above, after as many others as first takes.
func scanRevocation(account string, row pgx.Row, first ...any) (revocation.Revocation, error) {
	r := revocation.Revocation{Account: account}
	var job *uuid
	var failure revocation.Failure
	var due, updated, completed *time.Time
	var email revocation.NotificationStatus
	err := row.Scan(append(first, (*uuid)(&r.ID), &r.ReportID, &r.Notify, &r.ClientReference, (*uuid)(&r.RequestedBy), &job,
		&r.Status, &r.Inferred, &r.Attempts, &r.Timestamp, &failure.Code, &failure.Detail,
		&due, &updated, &completed, &email, &r.Notification.Attempts)...)
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
