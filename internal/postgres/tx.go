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

// settings are the settings of every transaction. They end with it, so they work behind a pooler too.
//
// plan_cache_mode: a statement is planned once and the plan is kept, which saves a third of a small transaction. The plan
// must still be fast when an empty table has grown to millions of rows, so it must not depend on the planner's estimate of
// a table's size.
//
// enable_seqscan, enable_hashjoin, enable_mergejoin: these plans depend on the estimate, so only look-ups in an index and
// nested loops remain. Statements have two forms, for which the planner has only one order:
//
//	FROM unnest(…) AS t CROSS JOIN LATERAL (SELECT … WHERE key = t.key OFFSET 0) AS o   one look-up for each of t
//	UPDATE … AS o FROM (… the above, with ctid AS place …) AS t WHERE o.ctid = t.place   then the row by its ctid
//
// jit: PostgreSQL still uses a disabled plan if there is no other, at a very high estimated cost. Then it would compile the
// statement, which takes longer than running it.
//
// idle_in_transaction_session_timeout: a process that is suspended in a transaction, or whose machine has failed, would
// keep its locks until it continues or its connection is found broken, which takes hours. So the server ends a session that
// is silent for longer than a transaction may take.
//
// TestStore_Plans checks all statements.
const settings = `SELECT set_config('lock_timeout', '1s', true), set_config('plan_cache_mode', 'force_generic_plan', true),
	set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
	set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true),
	set_config('idle_in_transaction_session_timeout', '15s', true)`

// shortLockSettings are the settings of a transaction for which many requests wait. If a row is locked, the caller retries in
// another way.
const shortLockSettings = settings + `, set_config('lock_timeout', '50ms', true)`

// readTimeout bounds one statement that reads a page, and readTxTimeout the transaction.
const (
	readTimeout   = 2 * time.Second
	readTxTimeout = 2*readTimeout + time.Second
)

// readSettings are the settings of a transaction that reads a page. Without sorts and bitmap scans, the planner reads rows
// in the order of an index and stops at the LIMIT. While a table is small, reading and sorting all rows seems as cheap.
var readSettings = settings + `, set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true),
	set_config('statement_timeout', '` + strconv.FormatInt(readTimeout.Milliseconds(), 10) + `', true)`

// tx is a transaction of isolation READ COMMITTED. It saves round trips: BEGIN is sent with the first batch and COMMIT with
// the last one, so a transaction of one batch takes one round trip.
type tx struct {
	name             string
	conn             *pgxpool.Conn
	shortLockTimeout bool // begin with shortLockSettings
	snapshot         bool // isolation REPEATABLE READ, read only, with readSettings; see Store.readTx
	begun            bool
	done             bool
}

// txTimeout bounds a transaction as a whole, also if the server does not answer any more.
const txTimeout = 10 * time.Second

// tx runs fn in a transaction and rolls it back unless fn calls tx.commit. The error is a *revocation.Error. Nothing was
// written if there is an error, unless its code is CodeOutcomeUnknown.
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

// change is tx for changes that callers request, except single submissions. It uses few connections at once, so that slow
// changes leave connections for others.
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

// readTx runs fn in a transaction that only reads; all its statements see one snapshot. It uses few connections at once,
// and readTimeout bounds a statement, so that reads do not delay other work. The end of ctx does not interrupt a statement,
// because the driver would close the connection.
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

// run runs a transaction of one batch, in one round trip.
func (s *Store) run(ctx context.Context, name string, batch *pgx.Batch) error {
	return s.tx(ctx, name, committing(batch))
}

// committing returns a function for tx that runs one batch and commits.
func committing(batch *pgx.Batch) func(context.Context, *tx) error {
	return func(ctx context.Context, tx *tx) error { return tx.commit(ctx, batch) }
}

// readOnly is run for statements that write nothing.
func (s *Store) readOnly(ctx context.Context, name string, batch *pgx.Batch) error {
	return unwritten(s.run(ctx, name, batch))
}

// unwritten returns the error of a transaction that wrote nothing: its outcome is never unknown.
func unwritten(err error) error {
	if revocation.ErrorCode(err) == revocation.CodeOutcomeUnknown {
		err = &revocation.Error{Code: revocation.CodeConnectionLost, Err: err}
	}
	return err
}

// send runs the statements of a batch in one round trip. Their callbacks read the results.
func (t *tx) send(ctx context.Context, batch *pgx.Batch) error {
	if err := t.prepare(ctx, batch); err != nil {
		return err
	}
	return t.exchange(ctx, t.opened(batch))
}

// commit runs the last batch and commits, in one round trip. A callback cannot prevent the commit; a statement can, see
// exactly.
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
	// A backend that is terminated during the commit first reports the commit, and then the termination.
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
	// COMMIT was sent, and the server did not report the outcome.
	return &revocation.Error{Code: revocation.CodeOutcomeUnknown, Err: fmt.Errorf("commit: %w", err)}
}

// opened returns the batch, with BEGIN and the settings before it if it is the first of the transaction.
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

// rollback rolls back, even if ctx has ended, so that the connection can be used again. If that fails, the pool closes the
// connection and the server rolls back.
func (t *tx) rollback(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = t.conn.Exec(ctx, "ROLLBACK")
}

// exactly queues a statement that changes rows, and aborts the transaction unless it changes n rows. The server compares
// the numbers, because COMMIT may be in the same round trip.
func exactly(batch *pgx.Batch, n int, statement string, args ...any) {
	exactlyWith(batch, n, "", statement, args...)
}

// exactlyWith is exactly for a statement that needs the common table expressions first: "name AS (…),".
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

// uuid is the type of an id in the driver.
type uuid = [16]byte
