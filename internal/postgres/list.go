package postgres

import (
	"cmp"
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

// list returns the statements that read a page of a list.
type list interface {
	// rows reads the entries of the page, and at most one more.
	rows() (query string, args []any)
	// bound returns the last id up to which rows has read all sources; no row if it has read them to the end. It searches up
	// to last, or to the end of the list if last is zero.
	bound(last revocation.ID) (query string, args []any)
	// descending reports whether the list begins with the highest id.
	descending() bool
}

// readPage reads a page of at most limit entries.
func readPage[Entry revocation.Revocation | revocation.Job](ctx context.Context, s *Store, name string, limit int, l list,
	scan func(pgx.Row) (Entry, error),
) (page revocation.Page[Entry], err error) {
	err = s.readTx(ctx, name, func(ctx context.Context, tx *tx) error {
		query, args := l.rows()
		first := &pgx.Batch{}
		first.Queue(query, args...).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				entry, err := scan(rows)
				if err != nil {
					return err
				}
				if !page.Add(entry, limit) {
					break
				}
			}
			rows.Close()
			return rows.Err()
		})
		if err := tx.send(ctx, first); err != nil {
			return err
		}
		last := &pgx.Batch{}
		query, args = l.bound(page.Next)
		last.Queue(query, args...).Query(func(rows pgx.Rows) error {
			for rows.Next() { // at most one
				var at revocation.ID
				if err := rows.Scan((*uuid)(&at)); err != nil {
					return err
				}
				page.Stop(at, l.descending())
			}
			return rows.Err()
		})
		return tx.commit(ctx, last)
	})
	if err != nil {
		return revocation.Page[Entry]{}, err
	}
	return page, nil
}

// Revocations implements revocation.ReadStore.
func (s *Store) Revocations(ctx context.Context, f revocation.Filter) (revocation.Page[revocation.Revocation], error) {
	f.Scan = cmp.Or(f.Scan, revocation.PageScan)
	return readPage(ctx, s, "list revocations", f.Limit, revocationList{f}, func(row pgx.Row) (revocation.Revocation, error) {
		return scanRevocation(f.Account, row)
	})
}

type revocationList struct{ revocation.Filter }

func (revocationList) descending() bool { return true }

// untried reports whether only items without an attempt are selected, of any report. Their work items name them.
func (l revocationList) untried() bool {
	return len(l.Statuses) == 1 && l.Statuses[0] == revocation.StatusPending && l.ReportID == 0
}

// underWay reports whether single revocations without an outcome can be selected.
func (l revocationList) underWay() bool { return l.JobID.IsZero() && underWayIs(l.Statuses) != "false" }

// inChunks reports whether items in chunks can be selected.
func (l revocationList) inChunks() bool {
	return l.Statuses.Includes(revocation.StatusPending)
}

func (l revocationList) within(s *statement) idRange {
	low, high := l.IDRange()
	from := s.add(uuid(low))
	r := idRange{source: jobsUnderWay, order: "DESC", rows: " AND id >= " + from, jobs: " AND id >= " + from} // the first id of a moment can be a job's, but not an item's
	if !high.IsZero() {
		r.rows += " AND id < " + s.add(uuid(high))
		if l.inChunks() {
			job, row := s.add(uuid(revocation.JobID(high))), s.add(high.Row())
			r.jobs += " AND id <= " + job
			r.chunks = " AND (j.id, c.first_row) < (" + job + ", " + row + "::bigint)"
			r.items = " AND (j.id, u.row) < (" + job + ", " + row + "::bigint)"
		}
	}
	if !l.JobID.IsZero() {
		job := s.add(uuid(l.JobID))
		r.rows += " AND id > " + job + " AND id <= " + s.add(uuid(l.JobID.Item(revocation.MaxJobItems)))
		r.jobs += " AND id = " + job
	}
	return r
}

func (l revocationList) rows() (string, []any) {
	s := &statement{args: []any{l.Account}}
	within := l.within(s)
	scan, limit := s.add(l.Scan), s.add(l.Limit+1)
	report := ""
	if l.ReportID != 0 {
		report = s.add(l.ReportID)
	}
	source := "(" + within.stored("*", report) + " LIMIT " + scan + ")"
	if l.untried() {
		source = within.untried(scan)
	}
	stored := storedColumns + source + storedFacts + " AND r.status <> 'INVALID' AND (r.job_id IS NULL OR j.begun)"
	if !l.JobID.IsZero() {
		stored += " AND r.job_id = " + s.add(uuid(l.JobID))
	}
	if len(l.Statuses) > 0 {
		stored += " AND " + storedIs(l.Statuses, s)
	}
	emails := s.emails(l.Notifications)
	stored += emails(`coalesce(r.notify, j.notify, false) OR coalesce(o.notify, false)`, `n.status`, `r.completed_at IS NOT NULL AND r.status <> 'REVOKED'`)
	const newestFirst = " ORDER BY 1 DESC"
	parts := []string{stored + newestFirst}
	if l.underWay() {
		source := "FROM (" + within.waiting("*") + " LIMIT " + scan + ") AS o WHERE requested_by IS NOT NULL"
		if report != "" { // at most one
			source = "FROM work_items WHERE account_id " + ofAccount + " AND requested_by IS NOT NULL AND single AND report_id = " + report + " OFFSET 0"
		}
		parts = append(parts, underWayColumns+source+") AS r WHERE "+underWayIs(l.Statuses)+emails(`r.notify`, `NULL`, `false`)+within.rows+newestFirst)
	}
	if l.inChunks() {
		ofChunks, ofItems := "true", emails(`coalesce(u.notify, j.notify)`, `NULL`, `false`)
		if report != "" {
			ofChunks, ofItems = report+" = ANY (j.report_ids)", ofItems+" AND u.report_id = "+report
		}
		parts = append(parts, within.inChunks(s.add(chunksFor(l.Scan)), ofChunks, ofItems))
	}
	return within.together(parts, limit), s.args
}

func (l revocationList) bound(last revocation.ID) (string, []any) {
	s := &statement{args: []any{l.Account}}
	within := l.within(s)
	if !last.IsZero() {
		within.rows += " AND id >= " + s.add(uuid(last))
	}
	before := s.add(l.Scan - 1)
	report := ""
	if l.ReportID != 0 {
		report = s.add(l.ReportID)
	}
	var ends []string
	if !l.untried() {
		ends = append(ends, within.stored("id", report)+" OFFSET "+before)
	}
	if report == "" && (l.untried() || l.underWay()) {
		ends = append(ends, within.waiting("revocation_id")+" OFFSET "+before)
	}
	if l.inChunks() {
		ends = append(ends, within.chunked(itemOf("j.id", "c.first_row"))+" OFFSET "+s.add(chunksFor(l.Scan)-1))
	}
	return within.firstOf(ends), s.args
}

// Results implements revocation.JobStore.
func (s *Store) Results(ctx context.Context, f revocation.ResultFilter) (revocation.Page[revocation.Revocation], error) {
	f.Scan = cmp.Or(f.Scan, revocation.PageScan)
	return readPage(ctx, s, "read results", f.Limit, resultList{f}, func(row pgx.Row) (revocation.Revocation, error) {
		return scanRevocation(f.Account, row)
	})
}

type resultList struct{ revocation.ResultFilter }

func (resultList) descending() bool { return false }

// inChunks reports whether items in chunks can be selected.
func (l resultList) inChunks() bool { return l.Statuses.Includes(revocation.StatusPending) }

func (l resultList) within(s *statement) idRange {
	r := idRange{source: jobsWithChunks, rows: " AND id > " + s.add(uuid(l.Job.Item(l.After))) + " AND id <= " + s.add(uuid(l.Job.Item(revocation.MaxJobItems)))}
	if l.inChunks() {
		after := s.add(l.After)
		r.jobs = " AND id = " + s.add(uuid(l.Job))
		r.chunks, r.items = " AND c.end_row > "+after, " AND u.row > "+after
	}
	return r
}

func (l resultList) rows() (string, []any) {
	s := &statement{args: []any{l.Account}}
	within := l.within(s)
	limit := s.add(l.Limit + 1)
	stored := storedColumns + "(" + within.stored("*", "") + " LIMIT " + s.add(l.Scan) + ")" + storedFacts +
		" AND r.job_id = " + s.add(uuid(l.Job))
	if len(l.Statuses) > 0 {
		stored += " AND " + storedIs(l.Statuses, s)
	}
	ofItems := ""
	if len(l.Predicted) > 0 {
		shown := s.add(revocation.ShownPredictions(l.Predicted))
		stored += " AND " + storedPrediction + " = ANY (" + shown + ")"
		ofItems = " AND j.predicted_at IS NOT NULL AND coalesce(u.predicted, " + predictedUnknown + ") = ANY (" + shown + ")"
	}
	parts := []string{stored + " ORDER BY 1"}
	if l.inChunks() {
		parts = append(parts, within.inChunks(s.add(chunksFor(l.Scan)), "true", ofItems))
	}
	return strings.ReplaceAll(within.together(parts, limit), messageOfJob, "NULL::text"), s.args
}

func (l resultList) bound(last revocation.ID) (string, []any) {
	s := &statement{args: []any{l.Account}}
	within := l.within(s)
	if !last.IsZero() {
		within.rows += " AND id <= " + s.add(uuid(last))
	}
	ends := []string{within.stored("id", "") + " OFFSET " + s.add(l.Scan-1)}
	if l.inChunks() {
		ends = append(ends, within.chunked(itemOf("j.id", "c.end_row"))+" OFFSET "+s.add(chunksFor(l.Scan)-1))
	}
	return within.firstOf(ends), s.args
}
