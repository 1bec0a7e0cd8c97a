package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/search"
)

const (
	// selectTimeout bounds the statement that finds the invites of a selection.
	selectTimeout = 10 * time.Second
	// selectedBatch is how many items of a selection are written at once. Other writers wait for that long.
	selectedBatch = 5000
	// rowDigits is how many hexadecimal digits at the end of an item's id are its row.
	rowDigits = 8
)

// SelectItems implements revocation.JobStore. One statement finds the invites, so the list is of one moment. The items are
// written in batches, because a million at once would keep all other writers waiting for seconds.
func (s *Store) SelectItems(ctx context.Context, job revocation.NewJob, selected revocation.Selection, limit int, lease time.Duration) (total int, err error) {
	reports, err := s.selectReports(ctx, selected, limit+1, job.Account)
	switch {
	case err != nil:
		return 0, err
	case len(reports) == 0:
		return 0, revocation.ErrNothingSelected
	case len(reports) > limit:
		return 0, &revocation.Error{Code: revocation.CodeTooManyItems}
	}
	for batch := range slices.Chunk(reports, selectedBatch) {
		if err := s.addReports(ctx, job, total+1, batch, lease); err != nil {
			return 0, err
		}
		total += len(batch)
	}
	return total, nil
}

// selectReports returns the reports that are selected, in ascending order, at most limit.
func (s *Store) selectReports(ctx context.Context, selected revocation.Selection, limit int, account string) (reports []int64, err error) {
	const doing = "select invites"
	ctx, cancel := context.WithTimeout(ctx, selectTimeout)
	defer cancel()
	select {
	case s.selecting <- struct{}{}:
		defer func() { <-s.selecting }()
	case <-ctx.Done():
		return nil, fault(doing, ctx.Err())
	}
	tx, err := s.pages.BeginTx(ctx, nil)
	if err != nil {
		return nil, fault(doing, err)
	}
	defer tx.Rollback() //nolint:errcheck // there is nothing to lose
	if _, err := inviteAccount(ctx, tx, account); err != nil {
		return nil, fault(doing, err)
	}
	read := func(statement search.Statement) ([]int64, error) {
		return query(ctx, tx, func(rows *sql.Rows) (report int64, err error) {
			err = rows.Scan(&report)
			return report, err
		}, statement.SQL, statement.Args...)
	}
	if search.NeedsFolded(selected) {
		unfolded, err := read(search.Unfolded(dialect))
		if err != nil {
			return nil, fault(doing, err)
		}
		if len(unfolded) > 0 {
			return nil, revocation.ErrNotFindable
		}
	}
	reports, err = read(search.Select(dialect, account, selected, limit))
	slices.Sort(reports)
	return reports, fault(doing, err)
}

// addReports adds the reports as items of a job, from the given row on, and renews the job's lease.
func (s *Store) addReports(ctx context.Context, job revocation.NewJob, row int, reports []int64, lease time.Duration) error {
	return s.write(ctx, "add items", func(tx *sql.Tx, now time.Time) error {
		if err := renewLease(ctx, tx, job, now.Add(lease)); err != nil {
			return err
		}
		id := job.ID.String()
		return exec(ctx, tx, `
			INSERT INTO revocations (account_id, id, report_id, requested_by, job_id)
			SELECT ?1, ?2 || printf('%08x', ?3 + key), value, ?4, ?5 FROM json_each(?6)`,
			job.Account, id[:len(id)-rowDigits], row, job.RequestedBy.String(), id, parameter(reports))
	})
}
