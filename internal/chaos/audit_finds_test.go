package chaos_test

import (
	"context"
	"net/smtp"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestAudit breaks each invariant behind the service's back, and sees that the audit tells of it, and of nothing when
// it is mended.
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
	look, ok := s.look(s.r, some.account, some.id, "")
	if !ok || !look.Final || s.history.uploads[0].id == "" {
		t.Fatalf("there is nothing to spoil: %+v, %+v", look, s.history.uploads)
	}
	audit := func() { s.drainWithin(time.Second); s.audit(s.r) }
	if found := s.collecting(audit); len(found) != 0 {
		t.Fatalf("nothing is wrong, and told is: %v", found)
	}
	requests := s.history.requests
	add := func(q request) func() { return func() { s.history.requests = append(slices.Clone(requests), &q) } }
	restore := func() { s.history.requests = requests }
	for _, test := range []struct {
		name        string
		want        invariant
		wrong, mend func()
	}{
		{
			"what was accepted is not there", outcomes,
			add(request{account: some.account, report: 99, ref: "gone", id: "01a20a92-4d05-796a-876f-0a6f00000001"}), restore,
		},
		{"there is what nobody asked for", outcomes, func() { s.history.requests = requests[1:] }, restore},
		{
			"an invite was revoked twice", effects,
			s.sql(`INSERT INTO chaos.effects SELECT * FROM chaos.effects ORDER BY report_id LIMIT 1`),
			s.sql(`DELETE FROM chaos.effects WHERE ctid = (SELECT max(ctid) FROM chaos.effects)`),
		},
		{
			"a final status is another", forward,
			s.sql(`UPDATE revocations SET attempts = attempts - 1 WHERE client_reference = '` + some.ref + `'`),
			s.sql(`UPDATE revocations SET attempts = attempts + 1 WHERE client_reference = '` + some.ref + `'`),
		},
		{
			"an email is UNKNOWN without a fault", mails,
			s.sql(`UPDATE notifications SET status = 'UNKNOWN' WHERE status = 'SENT' AND job_id IS NULL`),
			s.sql(`UPDATE notifications SET status = 'SENT' WHERE status = 'UNKNOWN'`),
		},
		{
			"a job's counters are not its items'", counters,
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
			// Nothing mends it: it comes last.
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
			test.wrong()
			defer test.mend()
			if found := s.collecting(audit); len(found[test.want]) == 0 {
				t.Errorf("told: %v", found)
			}
		})
	}
}

// sql gives what changes the database behind everybody's back, the witnesses' included.
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
