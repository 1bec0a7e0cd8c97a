package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/revocation"
)

const (
	// A change of an account's platform is tried platformTries times while jobs of the account are being changed, with
	// platformPause between two tries.
	platformTries = 50
	platformPause = 50 * time.Millisecond
)

// errJobLocked reports that another transaction changes a job that has not begun.
var errJobLocked = &revocation.Error{Code: revocation.CodeLockTimeout, Err: errors.New("a job of the account is locked")}

// changeAccount runs the statements of batch, which change an account. If they change its platform, it cancels the jobs of
// the account that have not begun, in the same transaction.
func (s *Store) changeAccount(ctx context.Context, change revocation.AccountChange, batch *pgx.Batch) (err error) {
	for range platformTries {
		err = s.tx(ctx, "set an account", func(ctx context.Context, tx *tx) error { return setAccount(ctx, tx, change, batch) })
		if !errors.Is(err, errJobLocked) {
			break
		}
		select {
		case <-time.After(platformPause):
		case <-ctx.Done():
			return err
		}
	}
	return err
}

func setAccount(ctx context.Context, tx *tx, change revocation.AccountChange, batch *pgx.Batch) (err error) {
	var before, after []revocation.Account
	first := &pgx.Batch{}
	queueAccount(first, change.ID, ` FOR NO KEY UPDATE`, &before)
	if err := tx.send(ctx, first); err != nil {
		return err
	}
	var cancelled []revocation.Event
	if change.Upstream != nil && change.Upstream.URL != nil {
		if cancelled, err = cancelWaiting(ctx, tx, change.ID, *change.Upstream.URL != ""); err != nil {
			return err
		}
	}
	all := &pgx.Batch{}
	all.QueuedQueries = append(all.QueuedQueries, batch.QueuedQueries...)
	queueAccount(all, change.ID, "", &after)
	if err := tx.send(ctx, all); err != nil {
		return err
	}
	var was *revocation.Account
	if len(before) > 0 {
		was = &before[0]
	}
	last := &pgx.Batch{}
	queueEvents(last, append(revocation.AccountEvents(was, &after[0]), cancelled...))
	return tx.commit(ctx, last)
}

// cancelWaiting cancels the account's jobs that have not begun, unless the account is on that platform already. It locks the
// account's row before the jobs' rows. Other transactions lock a job before its account, so cancelWaiting must not wait for a
// job: it returns errJobLocked if another transaction has locked one.
func cancelWaiting(ctx context.Context, tx *tx, account string, upstream bool) (events []revocation.Event, err error) {
	const waiting = ` FROM jobs WHERE account_id = $1 AND state IN ('PREVIEWING', 'PREVIEWED', 'AWAITING_APPROVAL', 'SCHEDULED')`
	locked, all := 0, 0
	var jobs []revocation.Job
	batch := &pgx.Batch{}
	batch.Queue(`SELECT FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE`, account)
	facts := queueJobFacts(batch, account)
	batch.Queue(`SELECT id`+waiting+` ORDER BY id FOR NO KEY UPDATE SKIP LOCKED`, account).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			locked++
		}
		return rows.Err()
	})
	batch.Queue(`SELECT count(*)`+waiting, account).QueryRow(func(row pgx.Row) error { return row.Scan(&all) })
	batch.Queue(selectJob+` AND j.state IN ('PREVIEWING', 'PREVIEWED', 'AWAITING_APPROVAL', 'SCHEDULED') ORDER BY j.id`, account).
		Query(collectJobs(&jobs, account, scanStoredJob))
	if err := tx.send(ctx, batch); err != nil {
		return nil, err
	}
	if facts.Now.IsZero() || facts.Upstream == upstream {
		return nil, nil // a new account, or the same platform
	}
	if locked < all {
		return nil, errJobLocked
	}
	by := revocation.Actor{Type: revocation.ActorService}
	batch = &pgx.Batch{}
	for i := range jobs {
		job := &jobs[i]
		was := job.State
		types, err := job.Change(revocation.JobChange{Kind: revocation.ChangeCancel, By: by}, *facts)
		if err != nil {
			continue // it has expired
		}
		queueJob(batch, job, was)
		events = append(events, revocation.JobEvents(job, by, types...)...)
	}
	return events, tx.send(ctx, batch)
}
