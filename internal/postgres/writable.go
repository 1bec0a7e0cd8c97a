package postgres

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rescind/internal/revocation"
)

// preferWritable makes the driver connect only to a server that can be written to, unless the URL has target_session_attrs.
// After a failover, the address can still lead to a standby, and a list of hosts to the former primary.
func preferWritable(config *pgx.ConnConfig, rawURL string) {
	_, query, _ := strings.Cut(rawURL, "?")
	if settings, err := url.ParseQuery(query); err == nil && !settings.Has("target_session_attrs") {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
}

// closeUnwritable makes the driver close a connection whose server reports that it is read-only, shutting down or starting. A
// session can stay read-only even if its server becomes a primary. It calls reset when the other connections of the pool are
// probably read-only too.
func closeUnwritable(config *pgx.ConnConfig, reset func()) {
	otherwise := config.OnPgError
	config.OnPgError = func(conn *pgconn.PgConn, answer *pgconn.PgError) bool {
		switch answer.Code {
		case readOnlyTransaction:
			reset()
			return false
		case "57P01", "57P02", "57P03": // terminated by an operator or a crash, starting up
			return false
		default:
			return otherwise(conn, answer)
		}
	}
}

// SQLSTATEs of servers that cannot be written to.
const (
	readOnlyTransaction = "25006"
	diskFull            = "53100"
)

var (
	errReadOnly = &revocation.Error{Code: revocation.CodeUnavailable, Detail: "The database is read-only."}
	errFull     = &revocation.Error{Code: revocation.CodeUnavailable, Detail: "The database's disk is full."}
)

// Ping returns an error unless the database has tables and can be written to. The error has a Detail if the database is
// read-only or its disk is full. Ping changes nothing.
func (s *Store) Ping(ctx context.Context) error {
	var readOnly bool
	batch := &pgx.Batch{}
	batch.Queue(`SELECT current_setting('transaction_read_only')::boolean`).QueryRow(func(row pgx.Row) error {
		return row.Scan(&readOnly)
	})
	batch.Queue(`SELECT 1 FROM notifications LIMIT 0`)
	// With this work_mem, the server writes some 100 kB of the statement's rows to a temporary file, which needs free space.
	batch.Queue(`SELECT set_config('work_mem', '64kB', true)`)
	batch.Queue(`SELECT count(*) FROM generate_series(1, 5000)`)
	err := s.readOnly(ctx, "ping", batch)
	answer, _ := errors.AsType[*pgconn.PgError](err)
	switch {
	case errors.Is(err, pgconn.ErrReadOnlyConnection):
		return errReadOnly
	case answer != nil && answer.Code == diskFull:
		return errFull
	case err == nil && readOnly:
		s.pool.Reset()
		return errReadOnly
	}
	return err
}
