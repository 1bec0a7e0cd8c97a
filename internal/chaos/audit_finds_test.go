package chaos_test

import (
	"context"
	"net/smtp"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestAudit breaks each invariant directly in the database. The audit must report the violation, and nothing after it is
// repaired.
func TestAudit(t *testing.T) {
	s := startScene(t, 200)
	s.remotes = s.accounts[2:]
	withMail(s)
	single(s)
	remote(s)
	s.many(s.accounts[0], 20, true)
	s.asking.Wait()
	s.drain()
	some := s.history.requests[0]
	first, ok := s.readRevocation(s.r, some.account, some.id, "")
	if !ok || !first.Final || s.history.uploads[0].id == "" {
		t.Fatalf("no data to change: %+v, %+v", first, s.history.uploads)
	}
	audit := func() { s.drainWithin(time.Second); s.audit(s.r) }
	if found := s.collecting(audit); len(found) != 0 {
		t.Fatalf("violations before any change: %v", found)
	}
	requests := s.history.requests
	add := func(q request) func() { return func() { s.history.requests = append(slices.Clone(requests), &q) } }
	restore := func() { s.history.requests = requests }
	for _, test := range []struct {
		name            string
		want            invariant
		violate, repair func()
	}{
		{
			"an accepted request has no revocation", outcomes,
			add(request{account: some.account, report: 99, ref: "gone", id: "01a20a92-4d05-796a-876f-0a6f00000001"}), restore,
		},
		{"a revocation has no request", outcomes, func() { s.history.requests = requests[1:] }, restore},
		{
			"an invite was revoked twice", effects,
			s.sql(`INSERT INTO chaos.effects SELECT * FROM chaos.effects ORDER BY report_id LIMIT 1`),
			s.sql(`DELETE FROM chaos.effects WHERE ctid = (SELECT max(ctid) FROM chaos.effects)`),
		},
		{
			"a final revocation changed", forward,
			s.sql(`UPDATE revocations SET attempts = attempts - 1 WHERE client_reference = '` + some.ref + `'`),
			s.sql(`UPDATE revocations SET attempts = attempts + 1 WHERE client_reference = '` + some.ref + `'`),
		},
		{
			"an email is UNKNOWN without a fault", mails,
			s.sql(`UPDATE notifications SET status = 'UNKNOWN' WHERE status = 'SENT' AND job_id IS NULL`),
			s.sql(`UPDATE notifications SET status = 'SENT' WHERE status = 'UNKNOWN'`),
		},
		{
			"a job's counters differ from its items", counters,
			s.sql(`UPDATE jobs SET revoked = revoked - 1, not_found = not_found + 1`),
			s.sql(`UPDATE jobs SET revoked = revoked + 1, not_found = not_found - 1`),
		},
		{
			"a key names another revocation", identity,
			s.sql(`UPDATE idempotency_keys SET target_id = CASE target_id WHEN '` + some.id + `' THEN '` + s.history.requests[1].id + `'::uuid ELSE target_id END`),
			s.sql(`UPDATE idempotency_keys SET target_id = '` + some.id + `' WHERE key = '` + some.key + `' AND account_id = '` + some.account.id + `'`),
		},
		{
			"an email is not settled", finished,
			s.sql(`UPDATE notifications SET status = 'CLAIMED', next_check_at = now() + interval '1 hour' WHERE status = 'SENT' AND job_id IS NULL`),
			s.sql(`UPDATE notifications SET status = 'SENT' WHERE status = 'CLAIMED'`),
		},
		{
			// This cannot be repaired, so it is the last.
			"an email was accepted twice", mails,
			func() {
				m := s.mail.Messages()[0]
				if err := smtp.SendMail(s.mail.Addr(), nil, m.From, m.To, m.Data); err != nil {
					t.Fatal(err)
				}
			}, func() {},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.violate()
			defer test.repair()
			if found := s.collecting(audit); len(found[test.want]) == 0 {
				t.Errorf("reported: %v", found)
			}
		})
	}
}

// sql returns a function that changes the database without the triggers of the witnesses.
func (s *scene) sql(statement string) func() {
	return func() {
		s.t.Helper()
		if err := s.database(func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, `SET session_replication_role = replica; `+statement)
			return err
		}); err != nil {
			s.t.Fatalf("%s: %v", statement, err)
		}
	}
}
