package postgres

import (
	"strconv"
	"strings"

	"rescind/internal/revocation"
)

// A page of a list takes two statements, which see one snapshot. The first statement reads the rows. Each of its sources
// reads a bounded number of rows, whether or not they match. The second statement finds where the first had to stop: the page
// can be shorter than requested and yet not be the last.

// statement collects the parameters of a statement that is being built.
type statement struct{ args []any }

// add adds a parameter and returns its name.
func (s *statement) add(arg any) (parameter string) {
	s.args = append(s.args, arg)
	return "$" + strconv.Itoa(len(s.args))
}

// idRange is the range of a page, as conditions on the columns of the sources.
type idRange struct {
	// source selects the jobs whose chunks are read: jobsUnderWay or jobsWithChunks.
	source string
	// order is the order of the list: DESC or empty.
	order string
	// rows is the condition on the id of a revocation.
	rows string
	// jobs, chunks and items are the conditions on the id of a job, on c.first_row of a chunk of job j, and on u.row of an item
	// of job j. Each begins with AND or is empty.
	jobs, chunks, items string
}

// stored selects rows of revocations. report is empty, or the parameter for their report.
func (r idRange) stored(columns, report string) string {
	selected := `SELECT ` + columns + ` FROM revocations WHERE account_id ` + ofAccount + r.rows
	if report != "" {
		selected += ` AND report_id > 0 AND report_id = ` + report // see revocations_report
	}
	return selected + ` ORDER BY id ` + r.order
}

// waiting selects work items.
func (r idRange) waiting(columns string) string {
	return `SELECT ` + columns + ` FROM work_items WHERE account_id ` + ofAccount +
		strings.ReplaceAll(r.rows, " id ", " revocation_id ") + ` ORDER BY revocation_id ` + r.order
}

// chunked selects chunks in the order of their jobs and rows, so that a LIMIT after it stops early.
func (r idRange) chunked(columns string) string {
	return `
		SELECT ` + columns + `
		FROM (` + r.source + r.jobs + ` ORDER BY id ` + r.order + ` OFFSET 0) AS j
		CROSS JOIN LATERAL (
			SELECT * FROM chunks c WHERE c.account_id ` + ofAccount + ` AND c.job_id = j.id` + r.chunks + `
			ORDER BY c.first_row ` + r.order + ` OFFSET 0) AS c`
}

// untried selects the items that have a row in revocations but had no attempt. They are few among the rows of an account, so
// it reads their work items, in the order of the list, and then their rows. So a LIMIT stops early.
func (r idRange) untried(scan string) string {
	return `(
		SELECT w.account_id, w.revocation_id AS id, r.report_id, r.notify, r.client_reference, r.requested_by, r.job_id,
			r.status, r.inferred, r.attempts, r.timestamp, r.error_code, r.error_detail, r.completed_at,
			r.reason, r.candidate_message, r.not_before, r.predicted
		FROM (
			SELECT account_id, revocation_id FROM (` + r.waiting("*") + ` LIMIT ` + scan + `) AS w
			WHERE requested_by IS NULL AND attempt = 0 ORDER BY revocation_id ` + r.order + ` OFFSET 0) AS w
		CROSS JOIN LATERAL (
			SELECT * FROM revocations r WHERE r.account_id = w.account_id AND r.id = w.revocation_id OFFSET 0) AS r)`
}

// itemOf returns the id of an item as the pair of its job's id and its row.
func itemOf(job, row string) string {
	return `overlay(` + job + `::text PLACING lpad(to_hex(` + row + `), 8, '0') FROM 29)::uuid`
}

// inChunks selects items in chunks, in the order in which they are read; sorting would read all of them. ofChunks is a
// condition on their chunks j.
func (r idRange) inChunks(chunks, ofChunks, ofItems string) string {
	return `
	SELECT ` + itemOf("j.id", "u.row") + selectInChunk + `
	FROM (` + r.chunked(`j.id, j.notify, j.requested_by, j.reason, `+messageOfJob+`, j.not_before, j.predicted_at, j.state,
		c.first_row, c.report_ids, c.notify AS wishes, c.client_references, c.reasons, c.predictions || '' AS predictions`) + `
		LIMIT ` + chunks + `) AS j
	CROSS JOIN LATERAL (
		SELECT * FROM (
			SELECT *, j.first_row + n::integer - 1 AS row, get_byte(j.predictions, n::integer - 1) AS predicted
			FROM unnest(j.report_ids, j.wishes, j.client_references, j.reasons) WITH ORDINALITY
				AS u(report_id, notify, client_reference, reason, n)) AS u
		WHERE u.report_id IS NOT NULL` + r.items + ofItems + ` ORDER BY u.n ` + r.order + ` OFFSET 0) AS u
	WHERE ` + ofChunks
}

// firstOf selects the first of the ends of sources, in the order of the list. All sources were read up to it.
func (r idRange) firstOf(ends []string) string {
	return r.together(ends, "1")
}

// together merges parts, whose rows are in the order of the list by the first column, and selects the first limit rows.
func (r idRange) together(parts []string, limit string) string {
	limited := " LIMIT " + limit
	return "SELECT * FROM ((" + strings.Join(parts, limited+") UNION ALL (") + limited + ")) AS parts ORDER BY 1 " + r.order + limited
}

// chunksFor returns how many chunks are read if scan rows are read. Searching a chunk for a report costs a tenth of reading
// its items as rows.
func chunksFor(scan int) int { return max(1, 10*scan/revocation.ChunkSize) }

// storedIs returns the condition that a stored revocation has one of the statuses of f, which must not be empty.
func storedIs(f revocation.StatusFilter, s *statement) string {
	alternatives := make([]string, len(f))
	for i, status := range f {
		alternatives[i] = storedHas(status, s.add(string(status)))
	}
	return "(" + strings.Join(alternatives, " OR ") + ")"
}

// storedHas returns the condition that a stored revocation has the status of a parameter. The row of an item that is not final
// is PENDING; the attempts of its work item determine its status.
func storedHas(status revocation.Status, parameter string) string {
	switch status {
	case revocation.StatusPending:
		return `(coalesce(o.attempt, 0) = 0 AND r.status = ` + parameter + `)`
	case revocation.StatusErrorRevoking:
		return `(o.attempt > 0 OR r.status = ` + parameter + `)`
	default:
		return `r.status = ` + parameter
	}
}

// underWayIs returns the condition that a single revocation without an outcome has one of the statuses of f.
func underWayIs(f revocation.StatusFilter) string {
	pending, failed := f.Includes(revocation.StatusPending), f.Includes(revocation.StatusErrorRevoking)
	switch {
	case pending && failed:
		return `true`
	case pending:
		return `r.attempt = 0`
	case failed:
		return `r.attempt > 0`
	default:
		return `false`
	}
}

// emails returns a function that returns the condition that the email of a revocation has one of the statuses of f, as
// revocation.ShownNotification computes it. The condition begins with AND, and is empty if f is empty. The function's
// arguments are expressions for whether an email is requested, for the stored status of the email, and for whether the
// outcome is final and sends no email.
func (s *statement) emails(f []revocation.NotificationStatus) func(notify, stored, skipped string) string {
	if len(f) == 0 {
		return func(string, string, string) string { return "" }
	}
	wanted := make([]string, len(f))
	for i, status := range f {
		wanted[i] = string(status)
	}
	parameter := s.add(wanted)
	return func(notify, stored, skipped string) string {
		return ` AND CASE WHEN ` + stored + ` IN ('CLAIMED', 'COMMITTED') THEN 'PENDING' WHEN ` + stored + ` IS NOT NULL THEN ` + stored + `
			WHEN NOT (` + notify + `) THEN 'NOT_REQUESTED' WHEN ` + skipped + ` THEN 'SKIPPED' ELSE 'PENDING' END = ANY (` + parameter + `::text[])`
	}
}
