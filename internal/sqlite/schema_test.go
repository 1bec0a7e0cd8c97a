package sqlite_test

import (
	"strings"
	"testing"
	"time"

	"rescind/internal/revocation"
)

func TestSchema_refusesWhatCannotBe(t *testing.T) {
	path := file(t)
	store := open(t, path)
	seed(t, store, 1, 3)
	refs := submit(t, store, 1, 3)
	if _, err := store.CarryOut(t.Context(), refs[:2], revocation.Decide); err != nil {
		t.Fatal(err)
	}
	final := begin(t, store)
	add(t, store, &final, 1, 1)
	final.Total, final.Invalid = 2, 1
	if err := store.AddItems(t.Context(), final.NewJob, []revocation.Item{{Row: 2, Invalid: "Why."}}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := store.FinalizeJob(t.Context(), final); err != nil {
		t.Fatal(err)
	}
	db := openRaw(t, path)
	for name, statement := range map[string]string{
		"an unknown status":                              `UPDATE revocations SET status = 'LOST' WHERE report_id = 1`,
		"a final one without its end":                    `UPDATE revocations SET completed_at = NULL WHERE report_id = 1`,
		"an end of one that is not final":                `UPDATE revocations SET completed_at = 1 WHERE report_id = 3`,
		"a timestamp with another status":                `UPDATE revocations SET timestamp = '2025-01-15 10:32:45' WHERE report_id = 1`,
		"an error with another status":                   `UPDATE revocations SET error_code = 'deadlock', error_detail = '' WHERE report_id = 1`,
		"a negative count of attempts":                   `UPDATE revocations SET attempts = -1 WHERE report_id = 1`,
		"an id of another form":                          `UPDATE revocations SET id = '1' WHERE report_id = 1`,
		"text for a number":                              `UPDATE revocations SET report_id = 'x' WHERE report_id = 1`,
		"a row that cannot be read with a report_id":     `UPDATE revocations SET report_id = 1 WHERE status = 'INVALID'`,
		"a row that cannot be read without a reason":     `UPDATE revocations SET error_detail = NULL WHERE status = 'INVALID'`,
		"an item without a report_id":                    `UPDATE revocations SET report_id = NULL WHERE status = 'PENDING'`,
		"a single one that leaves the wish to a job":     `UPDATE revocations SET notify = NULL WHERE job_id IS NULL`,
		"a job with more outcomes than items":            `UPDATE jobs SET revoked = 2`,
		"a job with more items that wait than there are": `UPDATE jobs SET retrying = 2`,
		"a job that ended without its end":               `UPDATE jobs SET state = 'COMPLETED'`,
		"an end of a job that runs":                      `UPDATE jobs SET finished_at = 1`,
		"an upload without a lease":                      `UPDATE jobs SET state = 'RECEIVING'`,
		"a job whose id leaves no room for its items":    `UPDATE jobs SET id = '0198c2f0-0000-7000-8000-000000000001'`,
		"a chunk that ends before it begins":             `UPDATE chunks SET end_row = 0`,
		"an upstream without a key":                      `UPDATE accounts SET upstream_url = 'https://platform.example'`,
		"a hold without its end":                         `UPDATE accounts SET upstream_hold = 'upstream_unavailable'`,
		"a second single one under way":                  `INSERT INTO work_items (account_id, revocation_id, report_id, single, notify, next_check_at) VALUES ('acme', 'x', 3, 1, 0, 0)`,
		"a failed attempt without its reason":            `UPDATE work_items SET attempt = 1, due_at = 1, updated_at = 1`,
		"an email of an unknown status":                  `UPDATE notifications SET status = 'LOST'`,
		"a negative count of claims":                     `UPDATE notifications SET claims = -1`,
		"a report_id of zero":                            `UPDATE invites SET report_id = 0 WHERE report_id = 1`,
		"a revoked invite without its revoker":           `UPDATE invites SET revoked_by = NULL WHERE report_id = 1`,
		"a fingerprint of another length":                `INSERT INTO idempotency_keys VALUES ('acme', 'revoke', 'k', x'00', 'x', 0)`,
		"a secret's hash of another length":              `INSERT INTO api_keys (account_id, id, secret_hash, scopes) VALUES ('acme', '000000000000000000000000000000000000', x'00', '')`,
		"an account without a name of its own":           `INSERT INTO accounts (account_id) VALUES ('')`,
		"an account with a name that is too long":        `INSERT INTO accounts (account_id) VALUES ('` + strings.Repeat("a", revocation.MaxAccountID+1) + `')`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := db.ExecContext(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "onstraint") && !strings.Contains(err.Error(), "cannot store") {
				t.Errorf("got the error %v, want a constraint's", err)
			}
		})
	}
}

func TestStore_inviteThatIsGone(t *testing.T) {
	path := file(t)
	store := open(t, path)
	seed(t, store, 1, 2)
	refs := submit(t, store, 1, 2)
	if _, err := store.CarryOut(t.Context(), refs[1:], revocation.Decide); err != nil {
		t.Fatal(err)
	}
	if _, err := openRaw(t, path).ExecContext(t.Context(), `DELETE FROM invites`); err != nil {
		t.Fatal(err)
	}
	t.Run("is not found by its revocation", func(t *testing.T) {
		if _, err := store.CarryOut(t.Context(), refs[:1], revocation.Decide); err != nil {
			t.Fatal(err)
		}
		if got := read(t, store, refs[0]).Status; got != revocation.StatusNotFound {
			t.Errorf("status %s", got)
		}
	})
	t.Run("leaves its email without an address", func(t *testing.T) {
		emails, err := store.ClaimNotifications(t.Context(), "sender", []revocation.NotificationRef{{Account: "acme", Revocation: refs[1].ID}}, time.Hour)
		if err != nil || len(emails) != 1 || emails[0].ToAddress != "" {
			t.Errorf("got %d emails, %v", len(emails), err)
		}
	})
}
