package postgres

import (
	"strconv"
	"strings"

	"rescind/internal/revocation"
)

// A page of a list takes two statements, which see one moment. The first reads the rows; each of its sources stops
// after so many, whether or not they are of those that are looked for. When the page has become short, the second one
// finds where the first had to stop.

// statement is one under construction.
type statement struct{ args []any }

// add adds a parameter and returns its name.
func (s *statement) add(arg any) (parameter string) {
	s.args = append(s.args, arg)
	return "$" + strconv.Itoa(len(s.args))
}

// idRange is where a page begins and where its list ends: conditions on the columns of the sources.
type idRange struct {
	// source selects the jobs whose chunks are read: jobsUnderWay or jobsWithChunks.
	source string
	// order is that of the list: DESC or empty.
	order string
	// rows is about the id of a revocation.
	rows string
	// jobs, chunks and items are about the id of a job, the c.first_row of its chunk and the u.row of an item, both of
	// a job j. Each begins with AND, or is empty.
	jobs, chunks, items string
}

// stored selects the rows of revocations that are read at most; report, which may be empty, is a parameter.
func (r idRange) stored(columns, report string) string {
	selected := `SELECT ` + columns + ` FROM revocations WHERE account_id ` + ofAccount + r.rows
	if report != "" {
		selected += ` AND report_id > 0 AND report_id = ` + report // see revocations_report
	}
	return selected + ` ORDER BY id ` + r.order
}

// waiting selects the work items that are read at most.
func (r idRange) waiting(columns string) string {
	return `SELECT ` + columns + ` FROM work_items WHERE account_id ` + ofAccount +
		strings.ReplaceAll(r.rows, " id ", " revocation_id ") + ` ORDER BY revocation_id ` + r.order
}

// chunked selects the chunks that are read at most: job by job, and chunk by chunk, so that a LIMIT that follows ends it
// early.
func (r idRange) chunked(columns string) string {
	return `
		SELECT ` + columns + `
		FROM (` + r.source + r.jobs + ` ORDER BY id ` + r.order + ` OFFSET 0) AS j
		CROSS JOIN LATERAL (
			SELECT * FROM chunks c WHERE c.account_id ` + ofAccount + ` AND c.job_id = j.id` + r.chunks + `
			ORDER BY c.first_row ` + r.order + ` OFFSET 0) AS c`
}

// untried selects the items that have a row of their own and have not been tried: a few, among all that the account
// has ever asked for. They are in the order of the work items before their own are looked up, so that a page ends early.
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

// itemOf is the id of an item: the pair of its job's and its row.
func itemOf(job, row string) string {
	return `overlay(` + job + `::text PLACING lpad(to_hex(` + row + `), 8, '0') FROM 29)::uuid`
}

// inChunks selects items that are not carried out yet, in the order in which they are read: to sort them would read all
// first. ofChunks is a condition on the chunks j that have them.
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

// firstOf selects the first of the ends of sources, in the order of the list: what comes before it was read from all.
func (r idRange) firstOf(ends []string) string {
	return r.together(ends, "1")
}

// together selects the first limit rows of what parts select, which is in the order of the list, by the first column.
func (r idRange) together(parts []string, limit string) string {
	limited := " LIMIT " + limit
	return "SELECT * FROM ((" + strings.Join(parts, limited+") UNION ALL (") + limited + ")) AS parts ORDER BY 1 " + r.order + limited
}

// chunksFor is how many chunks are read where so many rows are. To search a chunk for a report costs a tenth of
// reading its items as rows.
func chunksFor(scan int) int { return max(1, 10*scan/revocation.ChunkSize) }

// storedIs is the condition that a stored revocation has one of the statuses now. It must not be asked of an empty filter.
func storedIs(f revocation.StatusFilter, s *statement) string {
	alternatives := make([]string, len(f))
	for i, status := range f {
		alternatives[i] = storedHas(status, s.add(string(status)))
	}
	return "(" + strings.Join(alternatives, " OR ") + ")"
}

// storedHas is the condition that a stored revocation has a status now, given as a parameter. An item that is not
// final is PENDING in its own row, and what has become of it stands in its work item.
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

// underWayIs is the condition that a single revocation without an outcome has one of the statuses now.
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

// emails returns a function that makes a condition, which begins with AND: that the email of a revocation has one of the
// statuses, as revocation.ShownNotification tells it. The function takes expressions for whether an email is requested, for
// the stored status of the email, and for whether the outcome is final and sends none. The condition is empty for an empty
// filter.
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
