// Package postgres keeps everything in PostgreSQL, for any number of APIs and workers. A batch takes a fixed
// number of statements, whatever its size: its rows travel as arrays.
//
// Every statement carries the account of each row it touches, which is the wall between accounts and the
// way to shard. A few look across accounts on purpose: a key's owner is found by the key's hash, the dispatcher
// takes what is due in all accounts, and what is no longer kept is deleted everywhere.
package postgres

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"

	"rescind/internal/batch"
	"rescind/internal/revocation"
)

var (
	_ revocation.SubmissionStore   = (*Store)(nil)
	_ revocation.SingleStore       = (*Store)(nil)
	_ revocation.ReadStore         = (*Store)(nil)
	_ revocation.JobStore          = (*Store)(nil)
	_ revocation.ExecutionStore    = (*Store)(nil)
	_ revocation.DispatchStore     = (*Store)(nil)
	_ revocation.NotificationStore = (*Store)(nil)
	_ revocation.BulkStore         = (*Store)(nil)
	_ revocation.CallStore         = (*Store)(nil)
	_ revocation.JanitorStore      = (*Store)(nil)
	_ revocation.InviteStore       = (*Store)(nil)
	_ revocation.EventStore        = (*Store)(nil)
)

// Store is the database. It is safe for concurrent use.
type Store struct {
	pool *pgxpool.Pool
	// readFirst counts down the flushes that look before they write.
	readFirst atomic.Int64
	lookups   *batch.Batcher[*lookup]

	readConns, writeConns, keyConns connLimit
}

const (
	// maxConns keeps the pools of all processes under the server's max_connections, 100 by default.
	maxConns       = 16
	connectTimeout = 3 * time.Second
)

// Open makes a Store of a postgres:// URL. It does not connect: a database that is away at the start is one
// that comes back later. tracers are told of every statement.
func Open(ctx context.Context, url string, tracers ...pgx.QueryTracer) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The driver's error can carry parts of the URL.
		return nil, fmt.Errorf("DATABASE_URL is not a valid postgres:// URL")
	}
	config.MaxConns = maxConns
	if len(tracers) > 0 {
		config.ConnConfig.Tracer = multitracer.New(tracers...)
	}
	config.ConnConfig.ConnectTimeout = connectTimeout
	s := &Store{readConns: make(connLimit, maxReadConns), writeConns: make(connLimit, maxWriteConns), keyConns: make(connLimit, maxKeyConns)}
	s.lookups = batch.New(lookupBatches, s.lookUp)
	preferWritable(config.ConnConfig, url)
	closeUnwritable(config.ConnConfig, func() { s.pool.Reset() })
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("set up the database pool: %w", err)
	}
	return s, nil
}

// Close ends all connections, after the statements that run.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}
