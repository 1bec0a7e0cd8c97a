// Package postgres keeps everything in PostgreSQL, for any number of APIs and workers. A batch takes a fixed
// number of statements, whatever its size: its rows travel as arrays.
//
// Every statement carries the account of each row it touches, which is the wall between accounts and the
// way to shard. Three look across accounts on purpose: a key's owner is found by the key's hash, and the
// two claims of the dispatcher take what is due whoever it belongs to.
package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"rescind/internal/revocation"
)

var (
	_ revocation.ServiceStore      = (*Store)(nil)
	_ revocation.ExecutionStore    = (*Store)(nil)
	_ revocation.DispatchStore     = (*Store)(nil)
	_ revocation.NotificationStore = (*Store)(nil)
)

// Store is the database. It is safe for concurrent use.
type Store struct {
	pool *pgxpool.Pool
}

const (
	// maxConns keeps the pools of all processes under the server's max_connections, 100 by default.
	maxConns       = 16
	connectTimeout = 3 * time.Second
)

// Open makes a Store of a postgres:// URL. It does not connect: a database that is away at the start is one
// that comes back later.
func Open(ctx context.Context, url string) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The driver's error can carry parts of the URL.
		return nil, fmt.Errorf("DATABASE_URL is not a valid postgres:// URL")
	}
	config.MaxConns = maxConns
	config.ConnConfig.ConnectTimeout = connectTimeout
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("set up the database pool: %w", err)
	}
	return &Store{pool: pool}, nil
}

// Close ends all connections, after the statements that run.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// Ping tells whether the database answers and has this program's tables.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `SELECT 1 FROM notifications LIMIT 0`)
	return fault("ping", err)
}

// begin opens every transaction. All statements on the large tables find their rows by key; the planner is
// held to that, because it plans for tables as they were when last analysed, and a table that has just been
// filled looks empty to it. The settings end with the transaction, so that a pooler between is no obstacle.
const begin = `BEGIN;
SET LOCAL lock_timeout = '1s';
SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off`

// tx runs fn in a transaction of isolation READ COMMITTED. What it returns is an *revocation.Error; with any
// but CodeOutcomeUnknown nothing was written.
func (s *Store) tx(ctx context.Context, name string, fn func(pgx.Tx) error) error {
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return fault(name, err)
	}
	if err := fn(tx); err != nil {
		rollback(ctx, tx)
		return fault(name, err)
	}
	if err := tx.Commit(ctx); err != nil {
		return commitFault(name, err)
	}
	return nil
}

// rollback frees the connection even when ctx has ended; if it fails the pool discards the connection, and
// the server rolls back by itself.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = tx.Rollback(ctx)
}

// send runs the statements of a batch in one round trip and gives the number of rows that each changed.
func send(ctx context.Context, tx pgx.Tx, batch *pgx.Batch) ([]int64, error) {
	if batch.Len() == 0 {
		return nil, nil
	}
	results := tx.SendBatch(ctx, batch)
	changed := make([]int64, batch.Len())
	for i := range changed {
		tag, err := results.Exec()
		if err != nil {
			_ = results.Close() // its error is the same one
			return nil, err
		}
		changed[i] = tag.RowsAffected()
	}
	return changed, results.Close()
}

// uuid is the form in which the driver knows an id.
type uuid = [16]byte
