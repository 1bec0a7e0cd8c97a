package chaos_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rescind/internal/testservers"
)

// TestWitnesses makes changes that the service must never make. The triggers must record each as a violation.
func TestWitnesses(t *testing.T) {
	url := testservers.Postgres(t)
	migrate := exec.CommandContext(t.Context(), programs.api, "migrate")
	migrate.Env = []string{"DATABASE_URL=" + url, "PATH=" + os.Getenv("PATH")}
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	const id, job = "'01a20a92-4d05-796a-876f-0a6f00000001'", "'01a20a92-4d05-796a-876f-0a6f00000000'"
	if _, err := conn.Exec(t.Context(), witness+`
		INSERT INTO accounts (account_id) VALUES ('a');
		INSERT INTO invites VALUES ('a', 1, 'n', 'n@candidate.example', 'x', now());
		INSERT INTO revocations (account_id, id, report_id, notify, requested_by) VALUES ('a', `+id+`, 1, true, `+job+`);
		INSERT INTO work_items (account_id, revocation_id, report_id, single, notify, attempt, error_code, due_at, next_check_at)
			VALUES ('a', `+id+`, 1, false, true, 2, 'x', now(), now());
		INSERT INTO jobs (account_id, id, state, requested_by, route, total, revoked) VALUES ('a', `+job+`, 'RUNNING', `+job+`, 'r', 9, 5);`); err != nil {
		t.Fatal(err)
	}
	const ended = `UPDATE revocations SET status = 'REVOKED', completed_at = now() WHERE id = ` + id + `;`
	const single = `INSERT INTO work_items (account_id, revocation_id, report_id, single, notify, requested_by, next_check_at)
		VALUES ('a', ` + job + `, 1, true, true, ` + id + `, now()); DELETE FROM work_items WHERE single;`
	const mail = `INSERT INTO notifications (account_id, revocation_id, report_id, status, next_check_at) VALUES ('a', ` + id + `, 1, `
	for _, test := range []struct{ name, do, want string }{
		{"as it should be", ended + `DELETE FROM work_items;` + mail + `'PENDING', now());
			UPDATE notifications SET status = 'CLAIMED'; UPDATE notifications SET status = 'COMMITTED'; UPDATE notifications SET status = 'SENT';
			UPDATE invites SET revoked_at = now(), revoked_by = ` + id + `; UPDATE jobs SET revoked = 6, state = 'COMPLETED'`, ""},
		{"a final status changes", ended + `UPDATE revocations SET status = 'CANCELLED'`, "final REVOKED became CANCELLED"},
		{"attempts fall", `UPDATE work_items SET attempt = 1`, "a work item went back"},
		{"a single one as it should be", single + `INSERT INTO revocations (account_id, id, report_id, notify, requested_by, status, completed_at)
			VALUES ('a', ` + job + `, 1, true, ` + id + `, 'REVOKED', now())`, ""},
		{"a single one is lost", single, "a work item was deleted without an outcome"},
		{"an outcome is missing", `DELETE FROM work_items`, "a work item was deleted without an outcome"},
		{
			"an invite is revoked twice", `UPDATE invites SET revoked_at = now(), revoked_by = ` + id + `; UPDATE invites SET revoked_at = now()`,
			"a revoked invite was revoked anew or restored",
		},
		{"an email of what is not REVOKED", mail + `'PENDING', now())`, "an email without a REVOKED outcome"},
		{"an email is sent again", ended + mail + `'SENT', now()); UPDATE notifications SET status = 'PENDING'`, "an email went from SENT to PENDING"},
		{"an email is sent without a claim", ended + mail + `'PENDING', now()); UPDATE notifications SET status = 'SENT'`, "an email went from PENDING to SENT"},
		{"a job's count falls", `UPDATE jobs SET revoked = 4`, "a job went back from RUNNING to RUNNING"},
		{"a job runs again", `UPDATE jobs SET state = 'COMPLETED'; UPDATE jobs SET state = 'RUNNING'`, "a job went back from COMPLETED to RUNNING"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(t.Context()) }()
			if _, err := tx.Exec(t.Context(), test.do+`; SET CONSTRAINTS ALL IMMEDIATE`); err != nil {
				t.Fatal(err)
			}
			rows, err := tx.Query(t.Context(), `SELECT what FROM chaos.violations`)
			if err != nil {
				t.Fatal(err)
			}
			recorded, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(recorded, "; "); got != test.want {
				t.Errorf("reported: %q", got)
			}
		})
	}
	t.Run("the switch fails as PostgreSQL does", func(t *testing.T) {
		if _, err := conn.Exec(t.Context(), `UPDATE chaos.switch SET probability = 1.1, sqlstate = '53100'`); err != nil {
			t.Fatal(err)
		}
		_, err := conn.Exec(t.Context(), `UPDATE jobs SET revoked = 6`)
		if failure, ok := errors.AsType[*pgconn.PgError](err); !ok || failure.Code != "53100" {
			t.Errorf("%v", err)
		}
	})
}
