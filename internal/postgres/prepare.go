package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// prepared is the key under which a connection stores the statements that are prepared on it.
const prepared = "rescind.prepared"

// prepare begins the transaction in a round trip of its own if the batch has a statement that is new to the connection. The
// driver prepares such statements before it sends the batch, which can wait for a lock, so lock_timeout must be set first.
// It is not set for the session, because a pooler shares sessions.
func (t *tx) prepare(ctx context.Context, batch *pgx.Batch) error {
	if t.begun {
		return nil
	}
	known, _ := t.conn.Conn().PgConn().CustomData()[prepared].(map[string]struct{})
	isNew := func(query *pgx.QueuedQuery) bool { _, ok := known[query.SQL]; return !ok }
	if !slices.ContainsFunc(batch.QueuedQueries, isNew) {
		return nil
	}
	return t.exchange(ctx, t.opened(&pgx.Batch{}))
}

// exchange sends a batch and remembers that its statements are prepared. After an error it forgets all statements of the
// connection, because some may not be prepared.
func (t *tx) exchange(ctx context.Context, batch *pgx.Batch) error {
	err := t.conn.SendBatch(ctx, batch).Close()
	about := t.conn.Conn().PgConn().CustomData()
	if err != nil {
		delete(about, prepared)
		return err
	}
	known, _ := about[prepared].(map[string]struct{})
	if known == nil {
		known = make(map[string]struct{})
		about[prepared] = known
	}
	for _, query := range batch.QueuedQueries {
		known[query.SQL] = struct{}{}
	}
	return nil
}

// errParameter replaces the driver's error about a parameter, which quotes the value.
var errParameter = errors.New("a parameter of a statement does not fit its type")

// isEncodeError reports whether a parameter could not be encoded. Neither its statement nor any after it was sent.
func isEncodeError(err error) bool {
	batch, ok := errors.AsType[pgx.ErrPreprocessingBatch](err)
	return ok && strings.HasPrefix(batch.Error(), "error preprocessing batch (build)")
}

// withTypes adds the remedy to an error about prepared statements: a pooler has given the connection another session.
func withTypes(err error) error {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && (answer.Code == "26000" || answer.Code == "42P05") {
		return fmt.Errorf("%w: behind a pooler of transactions, add default_query_exec_mode=cache_describe to the query of DATABASE_URL", err)
	}
	return err
}
