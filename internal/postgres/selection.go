package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
	"rescind/internal/search"
)

// SelectItems implements revocation.JobStore. One statement finds the invites and writes the chunks, so the list is of one
// moment and does not leave the server.
func (s *Store) SelectItems(ctx context.Context, job revocation.NewJob, selected revocation.Selection, limit int, lease time.Duration) (total int, err error) {
	err = s.change(ctx, "select items", func(ctx context.Context, tx *tx) error {
		if _, err := tx.inviteAccount(ctx, job.Account); err != nil {
			return err
		}
		if search.NeedsFolded(selected) {
			if err := tx.allFolded(ctx); err != nil {
				return err
			}
		}
		batch := &pgx.Batch{}
		queueSelection(batch, job, search.Select(dialect, job.Account, selected, limit+1), limit, &total)
		if err := tx.send(ctx, batch); err != nil {
			return err
		}
		switch {
		case total == 0:
			return revocation.ErrNothingSelected
		case total > limit:
			return &revocation.Error{Code: revocation.CodeTooManyItems}
		}
		batch = &pgx.Batch{}
		exactly(batch, 1, `
			UPDATE jobs SET lease_until = now() + make_interval(secs => $3), total = $4
			WHERE account_id = $1 AND id = $2 AND state = 'RECEIVING' AND total = 0`,
			job.Account, uuid(job.ID), lease.Seconds(), total)
		return tx.commit(ctx, batch)
	})
	if miscounted(err) {
		err = revocation.ErrUploadDropped
	}
	if err != nil {
		return 0, err
	}
	return total, nil
}

// allFolded returns revocation.ErrNotFindable if there are invites whose texts are not folded yet.
func (t *tx) allFolded(ctx context.Context) error {
	found := false
	batch := &pgx.Batch{}
	batch.Queue(search.Unfolded(dialect).SQL).Query(eachRow(func(pgx.Row) error {
		found = true
		return nil
	}))
	if err := t.send(ctx, batch); err != nil {
		return err
	}
	if found {
		return revocation.ErrNotFindable
	}
	return nil
}

// queueSelection writes what a statement selects in chunks, unless it is more than limit, and counts it. The statement has
// a LIMIT, so it is planned by itself: that the reports are sorted afterwards must not lead it to another index.
func queueSelection(batch *pgx.Batch, job revocation.NewJob, selected search.Statement, limit int, total *int) {
	args := selected.Args
	add := func(arg any) string {
		args = append(args, arg)
		return "$" + strconv.Itoa(len(args))
	}
	size := add(revocation.ChunkSize) + "::integer"
	batch.Queue(`
		WITH found AS MATERIALIZED (
			SELECT ids, coalesce(cardinality(ids), 0) AS total
			FROM (SELECT array_agg(report_id ORDER BY report_id) AS ids FROM (`+selected.SQL+`) AS i) AS i),
		written AS (
			INSERT INTO chunks (account_id, job_id, first_row, end_row, report_ids)
			SELECT `+add(job.Account)+`, `+add(uuid(job.ID))+`, first, least(first + `+size+` - 1, total), ids[first:first + `+size+` - 1]
			FROM found CROSS JOIN LATERAL generate_series(1, total, `+size+`) AS first
			WHERE total <= `+add(limit)+`)
		SELECT total FROM found`, args...).
		QueryRow(func(row pgx.Row) error { return row.Scan(total) })
}
