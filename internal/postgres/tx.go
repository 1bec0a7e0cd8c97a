package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"rescind/internal/failpoint"
	"rescind/internal/revocation"
)

// settings opens every transaction. They end with it, so that a pooler between is no obstacle.
//
// Plans are made once and kept, which saves a third of a small transaction. Such a plan must also serve when
// the tables have grown from nothing to millions of rows, so it must not depend on what the planner takes
// their size for. Hence no scan of a table and no join but the nested loop, and two forms that leave it no
// other order:
//
//	FROM unnest(…) AS t CROSS JOIN LATERAL (SELECT … WHERE key = t.key OFFSET 0) AS o   for each of t, one look-up
//	UPDATE … AS o FROM (… the above, giving ctid AS place …) AS t WHERE o.ctid = t.place   then its row by its place
//
// What is switched off is still taken where nothing else will do, at a price that would have PostgreSQL compile
// the statement first, which takes longer than to run it: hence no just-in-time compilation.
//
// TestStore_Plans holds all statements to it.
//
// A process that is stopped in a transaction, or whose machine is gone, would keep the rows that it has locked until it
// continues or its connection is found broken, which takes hours: the server ends a session that has been silent for
// longer than any transaction may take.
const settings = `SELECT set_config('lock_timeout', '1s', true), set_config('plan_cache_mode', 'force_generic_plan', true),
	set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
	set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true),
	set_config('idle_in_transaction_session_timeout', '15s', true)`

// shortLockSettings are settings for a transaction that many wait for, and that is done in another way when it meets a lock.
const shortLockSettings = settings + `, set_config('lock_timeout', '50ms', true)`

// readTimeout bounds a statement of a page, and readTxTimeout the transaction with all of them.
const (
	readTimeout   = 2 * time.Second
	readTxTimeout = 2*readTimeout + time.Second
)

// readSettings are the settings of a transaction that reads a page. What has an order in an index is read in this order,
// and no further than a LIMIT goes: to read all and sort it reads as cheap as that while a table is small.
var readSettings = settings + `, set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true),
	set_config('statement_timeout', '` + strconv.FormatInt(readTimeout.Milliseconds(), 10) + `', true)`

// tx is a transaction of isolation READ COMMITTED that saves round trips: it begins with its first
// statements and commits with its last, so that a transaction of one batch takes one of them.
type tx struct {
	name             string
	conn             *pgxpool.Conn
	shortLockTimeout bool // it begins with shortLockSettings
	snapshot         bool // see Store.readTx
	begun            bool
	done             bool
}

// txTimeout bounds a transaction as a whole, also when the server has fallen silent.
const txTimeout = 10 * time.Second

// tx runs fn, which ends with tx.commit; without, what it did is rolled back. The error is an
// *revocation.Error, and with any code but CodeOutcomeUnknown nothing was written.
func (s *Store) tx(ctx context.Context, name string, fn func(context.Context, *tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, txTimeout)
	defer cancel()
	return s.transact(ctx, &tx{name: name}, fn)
}

func (s *Store) transact(ctx context.Context, t *tx, fn func(context.Context, *tx) error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fault(t.name, err)
	}
	defer conn.Release()
	t.conn = conn
	err = fn(ctx, t)
	if t.begun && !t.done {
		t.rollback(ctx)
	}
	return fault(t.name, err)
}

// change is tx for what callers change but do not submit singly. It has few connections, so that however long such
// transactions take, others have theirs.
func (s *Store) change(ctx context.Context, name string, fn func(context.Context, *tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, txTimeout)
	defer cancel()
	leave, err := s.writeConns.acquire(ctx)
	if err != nil {
		return fault(name, err)
	}
	defer leave()
	return s.transact(ctx, &tx{name: name}, fn)
}

// readTx runs statements that read, all of which see one moment. It has few connections, and a statement has
// readTimeout, so that reading holds up nothing else. A caller that leaves meanwhile does not end a statement: the
// connection would be lost with it.
func (s *Store) readTx(ctx context.Context, name string, fn func(context.Context, *tx) error) error {
	waiting, stopWaiting := context.WithTimeout(ctx, readTimeout)
	defer stopWaiting()
	leave, err := s.readConns.acquire(waiting)
	if err != nil {
		return fault(name, err)
	}
	defer leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTxTimeout)
	defer cancel()
	return unwritten(s.transact(ctx, &tx{name: name, snapshot: true}, fn))
}

// run is a transaction of one batch, in one round trip.
func (s *Store) run(ctx context.Context, name string, batch *pgx.Batch) error {
	return s.tx(ctx, name, committing(batch))
}

// committing is all of a transaction of one batch.
func committing(batch *pgx.Batch) func(context.Context, *tx) error {
	return func(ctx context.Context, tx *tx) error { return tx.commit(ctx, batch) }
}

// readOnly is run for statements that write nothing.
func (s *Store) readOnly(ctx context.Context, name string, batch *pgx.Batch) error {
	return unwritten(s.run(ctx, name, batch))
}

// unwritten is the error of a transaction that had nothing to commit.
func unwritten(err error) error {
	if revocation.ErrorCode(err) == revocation.CodeOutcomeUnknown {
		err = &revocation.Error{Code: revocation.CodeConnectionLost, Err: err}
	}
	return err
}

// send runs the statements of a batch in one round trip; their callbacks read what they gave.
func (t *tx) send(ctx context.Context, batch *pgx.Batch) error {
	if err := t.prepare(ctx, batch); err != nil {
		return err
	}
	return t.exchange(ctx, t.opened(batch))
}

// commit runs the statements of a last batch and commits, in one round trip. No callback can prevent the
// commit any more: what must hold has to be said by exactly.
func (t *tx) commit(ctx context.Context, batch *pgx.Batch) error {
	if err := t.prepare(ctx, batch); err != nil {
		return err
	}
	batch = t.opened(batch)
	committed := false
	batch.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
		committed = tag.String() == "COMMIT"
		return nil
	})
	failpoint.Reach(failpoint.BeforeCommit, t.name)
	err := t.exchange(ctx, batch)
	// A backend that is terminated while it commits reports the commit first, and then its end.
	if err == nil || committed {
		t.done = true
		failpoint.Reach(failpoint.AfterCommit, t.name)
		return nil
	}
	_, answered := errors.AsType[*pgconn.PgError](err)
	_, unsent := errors.AsType[pgx.ErrPreprocessingBatch](err)
	if answered || unsent || pgconn.SafeToRetry(err) {
		return err
	}
	// It was sent, and the server did not report the outcome.
	return &revocation.Error{Code: revocation.CodeOutcomeUnknown, Err: fmt.Errorf("commit: %w", err)}
}

// opened puts the beginning of the transaction before its first batch.
func (t *tx) opened(batch *pgx.Batch) *pgx.Batch {
	if t.begun {
		return batch
	}
	t.begun = true
	first := &pgx.Batch{}
	if t.snapshot {
		first.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	} else {
		first.Queue("BEGIN")
	}
	switch {
	case t.snapshot:
		first.Queue(readSettings)
	case t.shortLockTimeout:
		first.Queue(shortLockSettings)
	default:
		first.Queue(settings)
	}
	first.QueuedQueries = append(first.QueuedQueries, batch.QueuedQueries...)
	return first
}

// rollback keeps the connection for others, even when ctx has ended. If it fails, the pool discards the
// connection and the server rolls back by itself.
func (t *tx) rollback(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = t.conn.Exec(ctx, "ROLLBACK")
}

// exactly queues a statement that changes rows and aborts the transaction unless it changes n of them. The
// server does the counting, because the commit may be on its way in the same round trip.
func exactly(batch *pgx.Batch, n int, statement string, args ...any) {
	exactlyWith(batch, n, "", statement, args...)
}

// exactlyWith is exactly for a statement that uses the results of others, which come first: "name AS (…),".
func exactlyWith(batch *pgx.Batch, n int, first, statement string, args ...any) {
	args = append(args, n)
	batch.Queue(`WITH `+first+` changed AS (`+statement+` RETURNING 1)
		SELECT 1 / (count(*) = $`+strconv.Itoa(len(args))+`)::int FROM changed`, args...)
}

// miscounted reports whether exactly aborted the transaction.
func miscounted(err error) bool {
	answer, ok := errors.AsType[*pgconn.PgError](err)
	return ok && answer.Code == "22012" // division by zero
}

// uuid is the form in which the driver knows an id.
type uuid = [16]byte
