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

// preferWritable has connections lead to a server that can be written to, unless the URL says by target_session_attrs
// which servers it means. After a failover, the address can still lead to a standby, and a list of hosts to the
// primary of before.
func preferWritable(config *pgx.ConnConfig, rawURL string) {
	_, query, _ := strings.Cut(rawURL, "?")
	if settings, err := url.ParseQuery(query); err == nil && !settings.Has("target_session_attrs") {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
}

// closeUnwritable closes a connection whose server reports that it cannot be written to or is about to end. A session can
// stay read-only for its life, whatever becomes of the server. reset is called when the others must be expected to be
// the same.
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

// SQLSTATEs of servers that cannot be used.
const (
	readOnlyTransaction = "25006"
	diskFull            = "53100"
)

var (
	errReadOnly = &revocation.Error{Code: revocation.CodeUnavailable, Detail: "The database is read-only."}
	errFull     = &revocation.Error{Code: revocation.CodeUnavailable, Detail: "The database's disk is full."}
)

// Ping reports whether the database has this program's tables and can be written to: CodeUnavailable when not, with a
// Detail when it is read-only or full. It changes nothing.
func (s *Store) Ping(ctx context.Context) error {
	var readOnly bool
	batch := &pgx.Batch{}
	batch.Queue(`SELECT current_setting('transaction_read_only')::boolean`).QueryRow(func(row pgx.Row) error {
		return row.Scan(&readOnly)
	})
	batch.Queue(`SELECT 1 FROM notifications LIMIT 0`)
	// More than the server keeps in memory: it asks the disk for some 100 kB and gives them back.
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
