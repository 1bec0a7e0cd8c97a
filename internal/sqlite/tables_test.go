package sqlite_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// tables gives the conformance suite access to the tables of a file.
type tables struct{ path string }

// Holding implements storetest.Tables. It also searches the bytes of the file and of its log, after
// the file was written anew.
func (d tables) Holding(t testing.TB, texts ...string) []string {
	t.Helper()
	db := openRaw(t, d.path)
	rows, err := db.QueryContext(t.Context(), `
		SELECT format('%s.%s', m.name, c.name),
			format('SELECT EXISTS (SELECT 1 FROM "%w" AS r WHERE instr(lower(CAST(r."%w" AS TEXT)), lower(?1)))', m.name, c.name)
		FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // everything has been read
	queries := make(map[string]string)
	var holding, names []string
	for rows.Next() {
		var name, query string
		if err := rows.Scan(&name, &query); err != nil {
			t.Fatal(err)
		}
		names, queries[name] = append(names, name), query
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for _, text := range texts {
			var found bool
			if err := db.QueryRowContext(t.Context(), queries[name], text).Scan(&found); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if found {
				holding = append(holding, name)
				break
			}
		}
	}
	return append(holding, d.filesHolding(t, texts)...)
}

func (d tables) filesHolding(t testing.TB, texts []string) (holding []string) {
	t.Helper()
	db := openRaw(t, d.path)
	for _, statement := range []string{`VACUUM`, `PRAGMA wal_checkpoint(TRUNCATE)`} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(d.path + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		content = bytes.ToLower(content)
		for _, text := range texts {
			if bytes.Contains(content, bytes.ToLower([]byte(text))) {
				holding = append(holding, filepath.Base(d.path)+suffix)
				break
			}
		}
	}
	return holding
}

// Pass implements storetest.Tables.
func (d tables) Pass(t testing.TB, by time.Duration) {
	t.Helper()
	if _, err := openRaw(t, d.path).ExecContext(t.Context(), fmt.Sprintf(`
		UPDATE jobs SET due_at = due_at - %[1]d, counted_at = counted_at - %[1]d, expires_at = expires_at - %[1]d`, by.Microseconds())); err != nil {
		t.Fatal(err)
	}
}

// Unfold implements storetest.Tables.
func (d tables) Unfold(t testing.TB, account string) {
	t.Helper()
	if _, err := openRaw(t, d.path).ExecContext(t.Context(), `
		UPDATE invites SET name_folded = NULL, email_folded = NULL, assessment_folded = NULL WHERE account_id = ?1`, account); err != nil {
		t.Fatal(err)
	}
}
