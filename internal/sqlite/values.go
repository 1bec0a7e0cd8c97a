package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"rescind/internal/revocation"
)

// micros returns a time as it is stored.
func micros(t time.Time) int64 { return t.UnixMicro() }

// optionalMicros returns a time as it is stored; nil for the zero time.
func optionalMicros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	v := micros(t)
	return &v
}

// moment returns a stored time; the zero time for NULL.
func moment(v sql.Null[int64]) time.Time {
	if !v.Valid {
		return time.Time{}
	}
	return time.UnixMicro(v.V).UTC()
}

// scannedID reads an id from its canonical text.
type scannedID struct{ id *revocation.ID }

func (s scannedID) Scan(value any) error {
	text, _ := value.(string)
	id, ok := revocation.ParseID(text)
	if !ok {
		return fmt.Errorf("a stored id is not a UUID but %T of %d characters", value, len(text))
	}
	*s.id = id
	return nil
}

// optionalID reads an id that may be NULL, as the zero id.
type optionalID struct{ id *revocation.ID }

func (o optionalID) Scan(value any) error {
	if value == nil {
		*o.id = revocation.ID{}
		return nil
	}
	return scannedID(o).Scan(value)
}

// optionalText returns the text of an id; nil for the zero id.
func optionalText(id revocation.ID) *string {
	if id.IsZero() {
		return nil
	}
	text := id.String()
	return &text
}

// rowKey identifies a row of revocations, work_items or notifications in a JSON parameter.
type rowKey struct {
	Account string `json:"account"`
	ID      string `json:"id"`
}

func keyOf(account string, id revocation.ID) rowKey { return rowKey{account, id.String()} }

// parameter returns rows as JSON, for json_each, so that the statement does not depend on the number of rows. The rows must be
// structs of strings, numbers and booleans, whose encoding cannot fail.
func parameter[Row any](rows []Row) string {
	b, err := json.Marshal(rows)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// query reads all rows of one statement.
func query[Row any](ctx context.Context, q querier, scan func(*sql.Rows) (Row, error), statement string, args ...any) ([]Row, error) {
	rows, err := q.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err returns the error
	var all []Row
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}
