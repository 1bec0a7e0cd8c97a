package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"rescind/internal/revocation"
)

// readTimeout bounds the transaction that reads a page.
const readTimeout = 2 * time.Second

// readTx runs read in a transaction that only reads; all its statements see one snapshot.
func (s *Store) readTx(ctx context.Context, doing string, read func(context.Context, *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	tx, err := s.pages.BeginTx(ctx, nil)
	if err != nil {
		return fault(doing, err)
	}
	defer tx.Rollback() //nolint:errcheck // there is nothing to lose
	return fault(doing, read(ctx, tx))
}

// list reads the pages of one list.
type list[Entry revocation.Revocation | revocation.Job] struct {
	// rows selects the ids of the rows that are read, in the order of the list. A LIMIT follows.
	rows string
	// descending reports whether the list begins with the highest id.
	descending bool
	// entries selects the matching entries among the rows. id is its column with their ids.
	entries selection
	id      string
	scan    func(*sql.Rows) (Entry, error)
	limit   int
}

// read reads at most most rows, adds the matching entries to the page, and returns how many more rows may be read. It sets the
// page's Next if there are more entries or rows. args are the parameters of l.rows.
func (l *list[Entry]) read(ctx context.Context, tx *sql.Tx, page *revocation.Page[Entry], most int, args ...any) (left int, err error) {
	var read int
	var lowest, highest revocation.ID
	err = tx.QueryRowContext(ctx, `SELECT count(*), min(id), max(id) FROM (`+l.rows+` LIMIT ?)`, append(args, most)...).
		Scan(&read, optionalID{&lowest}, optionalID{&highest})
	if err != nil || read == 0 {
		return most, err
	}
	order, last := ``, highest
	if l.descending {
		order, last = ` DESC`, lowest
	}
	found, err := query(ctx, tx, l.scan,
		l.entries.statement+` AND `+l.id+` BETWEEN ? AND ? ORDER BY `+l.id+order+` LIMIT ?`,
		append(slices.Clone(l.entries.args), lowest.String(), highest.String(), l.limit+1)...)
	if err != nil {
		return 0, err
	}
	for _, entry := range found {
		if !page.Add(entry, l.limit) {
			return 0, nil
		}
	}
	if read == most {
		page.Stop(last, l.descending)
	}
	return most - read, nil
}

// idRange is low <= id < high.
type idRange struct{ low, high revocation.ID }

// lastID is greater than every id.
var lastID = revocation.ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func (r idRange) empty() bool { return r.low.Compare(r.high) >= 0 }

func (r idRange) and(other idRange) idRange {
	if other.low.Compare(r.low) > 0 {
		r.low = other.low
	}
	if other.high.Compare(r.high) < 0 {
		r.high = other.high
	}
	return r
}

// Revocations implements revocation.ReadStore. It skips the items of each hidden job as a range, because they can be many.
func (s *Store) Revocations(ctx context.Context, f revocation.Filter) (page revocation.Page[revocation.Revocation], err error) {
	l := list[revocation.Revocation]{
		rows:       `SELECT id FROM revocations WHERE account_id = ? AND id >= ? AND id < ? ORDER BY id DESC`,
		descending: true, entries: selection{selectShown, []any{f.Account}}, id: `r.id`, scan: scanShown, limit: f.Limit,
	}
	args := []any{f.Account}
	if f.ReportID != 0 {
		l.rows = `
			SELECT id FROM revocations INDEXED BY revocations_report
			WHERE account_id = ? AND report_id = ? AND id >= ? AND id < ? ORDER BY id DESC`
		l.entries = selection{selectShownOfReport, []any{f.Account, f.ReportID}}
		args = append(args, f.ReportID)
	}
	l.entries.where(`r.status <> 'INVALID' AND (r.job_id IS NULL OR j.queued_at IS NOT NULL)`)
	l.entries.status(f.Statuses)
	l.entries.emails(f.Notifications)
	low, high := f.IDRange()
	if high.IsZero() {
		high = lastID
	}
	within := idRange{low, high}
	if !f.JobID.IsZero() {
		if f.JobID != revocation.JobID(f.JobID) {
			return page, nil // no job has such an id
		}
		within = within.and(idRange{f.JobID, endOfItems(f.JobID)})
	}
	err = s.readTx(ctx, "list revocations", func(ctx context.Context, tx *sql.Tx) error {
		left := cmp.Or(f.Scan, revocation.PageScan)
		for page.Next.IsZero() && !within.empty() {
			gap, rest, err := nextGap(ctx, tx, f.Account, within)
			if err != nil {
				return err
			}
			if !gap.empty() {
				left, err = l.read(ctx, tx, &page, left, append(slices.Clone(args), gap.low.String(), gap.high.String())...)
				if err != nil {
					return err
				}
			}
			if left--; left <= 0 && !rest.empty() && page.Next.IsZero() {
				page.Stop(rest.high, true) // there are many hidden jobs
			}
			within = rest
		}
		return nil
	})
	return page, err
}

// newestJob selects the newest job whose items are not listed, of those in an index.
func newestJob(index, condition string) string {
	return `SELECT id FROM (
		SELECT id FROM jobs INDEXED BY ` + index + `
		WHERE account_id = ?1 AND ` + condition + ` AND id < ?2 ORDER BY id DESC LIMIT 1)`
}

// nextGap splits a range at the newest job in it that is hidden or has not begun: into the ids above its items, and the ids
// below them.
func nextGap(ctx context.Context, tx *sql.Tx, account string, within idRange) (gap, rest idRange, err error) {
	hidden, err := query(ctx, tx, scanID, `
		SELECT max(id) AS id FROM (`+
		newestJob(`jobs_hidden`, `state IN `+hiddenStates)+` UNION ALL `+
		newestJob(`jobs_waiting`, waitingJob)+` UNION ALL `+
		newestJob(`jobs_expired`, `state = 'EXPIRED' AND NOT items_deleted`)+`)
		HAVING id IS NOT NULL`, account, within.high.String())
	gap = within
	for _, job := range hidden { // at most one
		gap = within.and(idRange{endOfItems(job), lastID})
		rest = within.and(idRange{high: job})
	}
	return gap, rest, err
}

func scanID(rows *sql.Rows) (id revocation.ID, err error) {
	err = rows.Scan(scannedID{&id})
	return id, err
}

// Results implements revocation.JobStore.
func (s *Store) Results(ctx context.Context, f revocation.ResultFilter) (page revocation.Page[revocation.Revocation], err error) {
	l := list[revocation.Revocation]{
		rows:    `SELECT id FROM revocations WHERE account_id = ? AND id > ? AND id < ? ORDER BY id`,
		entries: selection{strings.Replace(selectShown, shownMessage, `NULL`, 1), []any{f.Account}}, id: `r.id`, scan: scanShown, limit: f.Limit,
	}
	l.entries.where(`EXISTS (SELECT 1 FROM jobs AS j WHERE j.account_id = ? AND j.id = ? AND `+visibleJob(`?`)+`)`,
		f.Account, f.Job.String(), micros(time.Now()))
	l.entries.status(f.Statuses)
	if len(f.Predicted) > 0 {
		l.entries.where(shownPrediction+` IN (SELECT value FROM json_each(?))`, parameter(revocation.ShownPredictions(f.Predicted)))
	}
	err = s.readTx(ctx, "read results", func(ctx context.Context, tx *sql.Tx) error {
		_, err := l.read(ctx, tx, &page, cmp.Or(f.Scan, revocation.PageScan),
			f.Account, f.Job.Item(f.After).String(), endOfItems(f.Job).String())
		return err
	})
	return page, err
}
