package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// tables gives the conformance suite access to the tables of a database.
type tables struct{ url string }

func (d tables) connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// Holding implements storetest.Tables.
func (d tables) Holding(t testing.TB, texts ...string) []string {
	t.Helper()
	conn := d.connect(t)
	rows, err := conn.Query(t.Context(), `
		SELECT format('%s.%s', table_name, column_name),
			format('SELECT EXISTS (SELECT FROM %I.%I AS r CROSS JOIN unnest($1::text[]) AS t
				WHERE position(lower(t) IN lower(%s)) > 0)', table_schema, table_name,
				format(CASE data_type WHEN 'bytea' THEN 'encode(r.%I, ''escape'')' ELSE 'r.%I::text' END, column_name))
		FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
		WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	type column struct{ Name, Query string }
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	if err != nil {
		t.Fatal(err)
	}
	var holding []string
	for _, c := range columns {
		var found bool
		if err := conn.QueryRow(t.Context(), c.Query, texts).Scan(&found); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		if found {
			holding = append(holding, c.Name)
		}
	}
	return holding
}

// Pass implements storetest.Tables.
func (d tables) Pass(t testing.TB, by time.Duration) {
	t.Helper()
	if _, err := d.connect(t).Exec(t.Context(), `
		UPDATE jobs SET due_at = due_at - make_interval(secs => $1), counted_at = counted_at - make_interval(secs => $1),
			expires_at = expires_at - make_interval(secs => $1)`, by.Seconds()); err != nil {
		t.Fatal(err)
	}
}

// Unfold implements storetest.Tables.
func (d tables) Unfold(t testing.TB, account string) {
	t.Helper()
	if _, err := d.connect(t).Exec(t.Context(), `
		UPDATE invites SET name_folded = NULL, email_folded = NULL, assessment_folded = NULL WHERE account_id = $1`, account); err != nil {
		t.Fatal(err)
	}
}
