package sqlite

import (
	"database/sql"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"
)

// atVersion1 makes a file as it was before there were jobs, with revocations in all the states that they had.
func atVersion1(t *testing.T) (path string, db *sql.DB, provider *goose.Provider) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "rescind.db")
	db, err := open(path, 1, url.Values{"_journal_mode": {"WAL"}, "_foreign_keys": {"1"}, "_txlock": {"immediate"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	migrations, err := fs.Sub(embedded, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	provider, err = goose.NewProvider(goose.DialectSQLite3, db, migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `
		INSERT INTO accounts VALUES ('acme', 'Acme', 'help@acme.example', 5), ('zenith', '', '', NULL);
		INSERT INTO api_keys VALUES ('acme', '0198c2f0-0000-7000-8000-00000000000a', zeroblob(32), 'read revoke', 7, NULL);
		INSERT INTO invites VALUES
			('acme', 1, 'Ada', 'ada@acme.example', 'Go', 1, 9, '0198c2f0-0000-7000-8000-000000000001'),
			('acme', 2, 'Ben', 'ben@acme.example', 'Go', 1, NULL, NULL);
		INSERT INTO revocations VALUES
			('acme', '0198c2f0-0000-7000-8000-000000000001', 1, 1, 'mine', 'k', 'REVOKED', 1, NULL, NULL, NULL, 9),
			('acme', '0198c2f0-0000-7000-8000-000000000002', 2, 0, NULL, 'k', 'PENDING', 0, NULL, NULL, NULL, NULL),
			('acme', '0198c2f0-0000-7000-8000-000000000003', 3, 0, '', 'k', 'NOT_ALLOWED', 2, '2025-01-15 10:32:45', NULL, NULL, 9),
			('acme', '0198c2f0-0000-7000-8000-000000000004', 4, 0, NULL, 'k', 'ERROR_REVOKING', 3, NULL, 'deadlock', 'Why.', 9),
			('zenith', '0198c2f0-0000-7000-8000-000000000005', 1, 1, NULL, 'k', 'ALREADY_REVOKED', 1, NULL, NULL, NULL, 9),
			('zenith', '0198c2f0-0000-7000-8000-000000000006', 2, 1, NULL, 'k', 'NOT_FOUND', 1, NULL, NULL, NULL, 9),
			('zenith', '0198c2f0-0000-7000-8000-000000000007', 3, 1, NULL, 'k', 'CANCELLED', 0, NULL, NULL, NULL, 9);
		INSERT INTO outstanding VALUES
			('acme', '0198c2f0-0000-7000-8000-000000000002', 2, 1, 1, 4, 5, 6, 7, 'deadlock', 'Why.', 8);
		INSERT INTO idempotency_keys VALUES ('acme', 'revoke', 'k', zeroblob(32), '0198c2f0-0000-7000-8000-000000000001', 3);
		INSERT INTO notifications VALUES ('acme', '0198c2f0-0000-7000-8000-000000000001', 1, 'SENT', 1, 2, 3, 4, 5)`); err != nil {
		t.Fatal(err)
	}
	return path, db, provider
}

// columnsOf are the columns of all tables.
func columnsOf(t *testing.T, db *sql.DB) map[string][]string {
	t.Helper()
	scan := func(rows *sql.Rows) (c [2]string, err error) { return c, rows.Scan(&c[0], &c[1]) }
	found, err := query(t.Context(), db, scan, `
		SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name <> 'goose_db_version'`)
	if err != nil {
		t.Fatal(err)
	}
	columns := make(map[string][]string)
	for _, c := range found {
		columns[c[0]] = append(columns[c[0]], c[1])
	}
	return columns
}

// content is all that the tables hold in these columns.
func content(t *testing.T, db *sql.DB, columns map[string][]string) map[string][][]any {
	t.Helper()
	tables := make(map[string][][]any)
	for table, names := range columns {
		scan := func(rows *sql.Rows) ([]any, error) {
			values, places := make([]any, len(names)), make([]any, len(names))
			for i := range values {
				places[i] = &values[i]
			}
			return values, rows.Scan(places...)
		}
		rows, err := query(t.Context(), db, scan, "SELECT "+strings.Join(names, ", ")+" FROM "+table+" ORDER BY 1, 2, 3")
		if err != nil {
			t.Fatal(err)
		}
		tables[table] = rows
	}
	return tables
}

func TestMigrate(t *testing.T) {
	t.Run("what there was before jobs is all there after the upgrade", func(t *testing.T) {
		path, db, _ := atVersion1(t)
		columns := columnsOf(t, db)
		want := content(t, db, columns)
		if len(columns) != 7 || len(want["revocations"]) != 7 {
			t.Fatalf("nothing to lose: %d tables, %d revocations", len(columns), len(want["revocations"]))
		}
		store, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close() //nolint:errcheck // not what is tested
		if diff := cmp.Diff(want, content(t, db, columns)); diff != "" {
			t.Errorf("content (-before +after):\n%s", diff)
		}
		var singles int
		if err := db.QueryRowContext(t.Context(), `
			SELECT (SELECT count(*) FROM revocations WHERE job_id IS NULL AND NOT inferred)
			     + (SELECT count(*) FROM outstanding WHERE job_id IS NULL AND NOT pulled AND NOT in_doubt)
			     + (SELECT count(*) FROM notifications WHERE job_id IS NULL)`).Scan(&singles); err != nil || singles != 9 {
			t.Errorf("%d rows are of single revocations, want 9: %v", singles, err)
		}
	})
	t.Run("the way back loses the jobs alone, and leads up again", func(t *testing.T) {
		_, db, provider := atVersion1(t)
		columns := columnsOf(t, db)
		want := content(t, db, columns)
		if _, err := provider.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), `
			INSERT INTO jobs (account_id, id, state, requested_by, route, total)
			VALUES ('acme', '0198c2f0-0000-7000-8000-000100000000', 'RUNNING', 'k', 'jobs', 2);
			INSERT INTO chunks VALUES ('acme', '0198c2f0-0000-7000-8000-000100000000', 1, 2);
			INSERT INTO mail_tallies VALUES ('acme', '0198c2f0-0000-7000-8000-000100000000', 0, 1, 0, 0);
			INSERT INTO revocations (account_id, id, report_id, notify, requested_by, job_id)
			VALUES ('acme', '0198c2f0-0000-7000-8000-000100000001', 1, NULL, 'k', '0198c2f0-0000-7000-8000-000100000000');
			INSERT INTO revocations (account_id, id, status, error_detail, completed_at, requested_by, job_id)
			VALUES ('acme', '0198c2f0-0000-7000-8000-000100000002', 'INVALID', 'Why.', 1, 'k', '0198c2f0-0000-7000-8000-000100000000');
			INSERT INTO outstanding (account_id, revocation_id, report_id, single, notify, look_at, job_id, pulled)
			VALUES ('acme', '0198c2f0-0000-7000-8000-000100000001', 1, 0, 0, 1, '0198c2f0-0000-7000-8000-000100000000', 1);
			INSERT INTO notifications (account_id, revocation_id, report_id, look_at, updated_at, job_id)
			VALUES ('acme', '0198c2f0-0000-7000-8000-000100000001', 1, 1, 1, '0198c2f0-0000-7000-8000-000100000000');
			INSERT INTO idempotency_keys VALUES ('acme', 'jobs', 'k', zeroblob(32), '0198c2f0-0000-7000-8000-000100000000', 3)`); err != nil {
			t.Fatal(err)
		}
		if _, err := provider.DownTo(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(columns, columnsOf(t, db)); diff != "" {
			t.Errorf("columns (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(want, content(t, db, columns)); diff != "" {
			t.Errorf("content (-before +after):\n%s", diff)
		}
		if _, err := provider.Up(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
