package sqlite

import (
	"context"
	"database/sql"
	"slices"

	"rescind/internal/revocation"
)

// idRange is low <= id < high.
type idRange struct{ low, high revocation.ID }

// lastID is above all ids that are made.
var lastID = revocation.ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Revocations gives a page of those that f selects, newest first. The items of hidden jobs are passed over by
// their ranges, since they can be many.
func (s *Store) Revocations(ctx context.Context, f revocation.Filter) ([]revocation.Revocation, error) {
	selected := selection{selectShown, []any{f.Account}}
	if f.ReportID != 0 {
		selected = selection{selectShownOfReport, []any{f.Account, f.ReportID}}
	}
	selected.where(`r.status <> 'INVALID'`)
	if f.Status != "" {
		selected.status(f.Status)
	}
	low, high := f.IDRange()
	if high.IsZero() {
		high = lastID
	}
	within := idRange{low, high}
	if !f.JobID.IsZero() {
		if f.JobID != revocation.JobID(f.JobID) {
			return nil, nil // no job has such an id
		}
		within = within.and(idRange{f.JobID, endOfItems(f.JobID)})
	}
	// One transaction, so that no job becomes visible between its looks.
	tx, err := s.readers.BeginTx(ctx, nil)
	if err != nil {
		return nil, fault("list revocations", err)
	}
	defer tx.Rollback() //nolint:errcheck // there is nothing to lose
	page, err := pageOf(ctx, tx, f, selected, within)
	return page, fault("list revocations", err)
}

func (r idRange) and(other idRange) idRange {
	if other.low.Compare(r.low) > 0 {
		r.low = other.low
	}
	if other.high.Compare(r.high) < 0 {
		r.high = other.high
	}
	return r
}

// pageOf goes down from gap to gap between the hidden jobs, until the page is full.
func pageOf(ctx context.Context, tx *sql.Tx, f revocation.Filter, selected selection, within idRange) (page []revocation.Revocation, err error) {
	selected.statement += ` AND r.id >= ? AND r.id < ? ORDER BY r.id DESC LIMIT ?`
	for len(page) < f.Limit && within.low.Compare(within.high) < 0 {
		hidden, err := query(ctx, tx, scanID, `
			SELECT id FROM jobs INDEXED BY jobs_hidden
			WHERE account_id = ?1 AND state IN `+hiddenStates+` AND id < ?2 ORDER BY id DESC LIMIT 1`,
			f.Account, within.high.String())
		if err != nil {
			return nil, err
		}
		gap, rest := within, idRange{}
		for _, job := range hidden { // of which there is one at most
			gap = within.and(idRange{endOfItems(job), lastID})
			rest = within.and(idRange{high: job})
		}
		args := append(slices.Clone(selected.args), gap.low.String(), gap.high.String(), f.Limit-len(page))
		found, err := query(ctx, tx, scanShown, selected.statement, args...)
		if err != nil {
			return nil, err
		}
		page, within = append(page, found...), rest
	}
	return page, nil
}

func scanID(rows *sql.Rows) (id revocation.ID, err error) {
	err = rows.Scan(scannedID{&id})
	return id, err
}

// Results gives a page of a job's items, in the order of the input.
func (s *Store) Results(ctx context.Context, f revocation.ResultFilter) ([]revocation.Revocation, error) {
	selected := selection{selectShown, []any{f.Account}}
	selected.where(`r.id > ? AND r.id < ?`, f.Job.Item(f.After).String(), endOfItems(f.Job).String())
	selected.where(`EXISTS (SELECT 1 FROM jobs WHERE account_id = ? AND id = ? AND state NOT IN `+hiddenStates+`)`,
		f.Account, f.Job.String())
	if f.Status != "" {
		selected.status(f.Status)
	}
	page, err := query(ctx, s.readers, scanShown, selected.statement+` ORDER BY r.id LIMIT ?`,
		append(selected.args, f.Limit)...)
	return page, fault("read results", err)
}
