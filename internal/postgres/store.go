// Package postgres implements the stores with PostgreSQL, for any number of APIs and workers. The number of statements does
// not depend on the size of a batch: its rows are passed as arrays.
//
// A statement names the account of each row that it touches, so that accounts are isolated and the tables can be sharded by
// account. The exceptions are the look-up of an API key by its hash, lists and counts for operators, and the work of the
// dispatcher and the janitor.
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
	// readFirst is the number of flushes that still have to read before they write; see Submit.
	readFirst atomic.Int64
	lookups   *batch.Batcher[*lookup]

	readConns, writeConns, keyConns connLimit
}

const (
	// maxConns keeps the pools of all processes under the server's max_connections, 100 by default.
	maxConns       = 16
	connectTimeout = 3 * time.Second
)

// Open returns a Store for a postgres:// URL. It does not connect: the database need not be available yet. tracers see every
// statement.
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

// Close waits for the running statements and closes all connections.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}
