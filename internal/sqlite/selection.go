package sqlite

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/search"
)

var errNoneSelected = &revocation.Error{Code: revocation.CodeInvalid, Detail: "No invite matches the selection."}

// rowDigits is how many hexadecimal digits at the end of an item's id are its row.
const rowDigits = 8

// SelectItems implements revocation.JobStore.
func (s *Store) SelectItems(ctx context.Context, job revocation.NewJob, selected revocation.Selection, limit int, lease time.Duration) (total int, err error) {
	err = s.write(ctx, "select items", func(tx *sql.Tx, _ time.Time) error {
		if _, err := inviteAccount(ctx, tx, job.Account); err != nil {
			return err
		}
		added, err := addSelected(ctx, tx, job, search.Select(dialect, job.Account, selected, limit+1))
		switch {
		case err != nil:
			return err
		case added == 0:
			return errNoneSelected
		case added > int64(limit):
			return &revocation.Error{Code: revocation.CodeTooManyItems}
		}
		total = int(added)
		// The statement may have taken a while, so the lease begins after it.
		return renewLease(ctx, tx, job, time.Now().Add(lease))
	})
	if err != nil {
		return 0, err
	}
	return total, nil
}

// addSelected adds the reports of a statement as the items of a job, and returns their number.
func addSelected(ctx context.Context, tx *sql.Tx, job revocation.NewJob, selected search.Statement) (int64, error) {
	args := selected.Args
	add := func(arg any) string {
		args = append(args, arg)
		return "?" + strconv.Itoa(len(args))
	}
	id := job.ID.String()
	return change(ctx, tx, `
		INSERT INTO revocations (account_id, id, report_id, requested_by, job_id)
		SELECT `+add(job.Account)+`, `+add(id[:len(id)-rowDigits])+` || printf('%08x', row_number() OVER (ORDER BY report_id)), report_id, `+
		add(job.RequestedBy.String())+`, `+add(id)+`
		FROM (`+selected.SQL+`) ORDER BY report_id`, args...)
}
