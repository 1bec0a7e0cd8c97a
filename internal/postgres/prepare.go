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

// prepared is where a connection keeps which statements have run on it, and so are prepared there.
const prepared = "rescind.prepared"

// prepare begins the transaction by itself when the batch has a statement that is new to the connection. The driver
// has such statements prepared before it sends any, which can have to wait for a lock: so only within the settings
// does that end in time. The session could have the settings, but behind a pooler it is also somebody else's.
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

// requestContext sends a batch, and keeps in mind that its statements are prepared now. After an error they may have to be
// prepared again.
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

// errParameter stands for the driver's error about a parameter, which quotes the value.
var errParameter = errors.New("a parameter of a statement does not fit its type")

// isEncodeError reports whether a parameter could not be encoded. Its statement was not sent, nor any that follows.
func isEncodeError(err error) bool {
	batch, ok := errors.AsType[pgx.ErrPreprocessingBatch](err)
	return ok && strings.HasPrefix(batch.Error(), "error preprocessing batch (build)")
}

// withTypes adds to an error about prepared statements what to do: somebody between has changed the session.
func withTypes(err error) error {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && (answer.Code == "26000" || answer.Code == "42P05") {
		return fmt.Errorf("%w: behind a pooler of transactions, add default_query_exec_mode=cache_describe to the query of DATABASE_URL", err)
	}
	return err
}
