package chaos_test

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"
)

// row is a revocation as read from the database at the end.
type row struct {
	account   string
	id        string
	report    *int64
	notify    *bool
	ref       *string
	job       *string
	status    string
	attempts  int
	inferred  bool
	mail      *string // the notification's status
	revokedBy bool    // the invite's row names this revocation
}

// audit compares the history of the callers with the final state of the database, the mail server and the upstream.
func (c *cluster) audit(r *rand.Rand) {
	rows, err := c.rows()
	if err != nil {
		c.violate(promises, "read the revocations: %v", err)
		return
	}
	if err := c.recountJobs(math.MaxInt32); err != nil {
		c.violate(promises, "recount: %v", err)
	}
	c.auditWitnesses(rows)
	c.auditRequests(rows)
	c.auditKeys()
	c.auditJobs(rows)
	c.auditDecisions()
	c.auditTimes()
	c.auditEvents()
	c.auditPlatforms(rows)
	c.auditMails(rows)
	c.auditOverHTTP(r)
	c.linearizable(rows)
	for _, n := range c.nodes() {
		for _, line := range n.inspectLog() {
			c.violate(promises, "%s", line)
		}
	}
}

func (c *cluster) rows() (map[string]*row, error) {
	rows := make(map[string]*row)
	err := c.database(func(ctx context.Context, conn *pgx.Conn) error {
		found, err := conn.Query(ctx, `
			SELECT r.account_id, r.id::text, r.report_id, coalesce(r.notify, j.notify), r.client_reference, r.job_id::text, r.status,
				r.attempts, r.inferred, n.status, i.revoked_by IS NOT NULL
			FROM revocations r
			LEFT JOIN jobs j ON j.account_id = r.account_id AND j.id = r.job_id
			LEFT JOIN notifications n ON n.account_id = r.account_id AND n.revocation_id = r.id
			LEFT JOIN invites i ON i.account_id = r.account_id AND i.report_id = r.report_id AND i.revoked_by = r.id`)
		if err != nil {
			return err
		}
		var one row
		_, err = pgx.ForEachRow(found, []any{
			&one.account, &one.id, &one.report, &one.notify, &one.ref, &one.job, &one.status,
			&one.attempts, &one.inferred, &one.mail, &one.revokedBy,
		}, func() error {
			copied := one
			rows[one.id] = &copied
			one = row{}
			return nil
		})
		return err
	})
	return rows, err
}

// auditWitnesses reads the violations that the triggers in the database have recorded.
func (c *cluster) auditWitnesses(rows map[string]*row) {
	if err := c.database(func(ctx context.Context, conn *pgx.Conn) error {
		found, err := conn.Query(ctx, `SELECT what, account_id, id FROM chaos.violations`)
		if err != nil {
			return err
		}
		var what, account, id string
		if _, err := pgx.ForEachRow(found, []any{&what, &account, &id}, func() error {
			c.violate(witnessed(what), "recorded by a trigger: %s (%s of %s)", what, id, account)
			return nil
		}); err != nil {
			return err
		}
		found, err = conn.Query(ctx, `SELECT account_id, report_id, revoked_by::text FROM chaos.effects`)
		if err != nil {
			return err
		}
		type invite struct {
			account string
			report  int64
		}
		times := make(map[invite]int)
		var report int64
		if _, err := pgx.ForEachRow(found, []any{&account, &report, &id}, func() error {
			times[invite{account, report}]++
			if r := rows[id]; r == nil || r.status != "REVOKED" || r.account != account || r.report == nil || *r.report != report {
				c.violate(effects, "report %d of %s was revoked by %s, which is not REVOKED: %+v", report, account, id, r)
			}
			return nil
		}); err != nil {
			return err
		}
		for invite, n := range times {
			if n > 1 {
				c.violate(effects, "report %d of %s was revoked %d times", invite.report, invite.account, n)
			}
		}
		return nil
	}); err != nil {
		c.violate(promises, "read the witnesses: %v", err)
	}
}

// auditRequests checks that each accepted request has its revocation, and that no other revocation exists.
func (c *cluster) auditRequests(rows map[string]*row) {
	asked := make(map[string]*request)
	for _, q := range c.history.requests {
		asked[q.ref] = q
		if q.id == "" {
			continue
		}
		r := rows[q.id]
		if r == nil {
			c.violate(outcomes, "request %s for report %d of %s was accepted as %s, which does not exist", q.ref, q.report, q.account.id, q.id)
			continue
		}
		if r.account != q.account.id || r.report == nil || *r.report != q.report || r.job != nil {
			c.violate(identity, "request %s for report %d of %s was accepted as %s, which is another's", q.ref, q.report, q.account.id, q.id)
		}
		if q.notify && !q.account.upstream && (r.notify == nil || !*r.notify) {
			c.violate(mails, "request %s set notify, and its revocation %s has not", q.ref, q.id)
		}
	}
	created := make(map[string]string)
	for id, r := range rows {
		if r.status == "PENDING" {
			c.violate(outcomes, "revocation %s of %s has no outcome", id, r.account)
		}
		if r.job != nil {
			continue // auditJobs checks items
		}
		if r.ref == nil {
			c.violate(outcomes, "no caller submitted revocation %s of %s", id, r.account)
			continue
		}
		q := asked[*r.ref]
		switch {
		case q == nil || q.account.id != r.account || r.report == nil || q.report != *r.report:
			c.violate(outcomes, "revocation %s of %s, with the reference %s, was never requested", id, r.account, *r.ref)
		case q.refused:
			c.violate(outcomes, "request %s for report %d of %s was always refused, and exists as %s", q.ref, q.report, q.account.id, id)
		case q.key != "" && q.id != "" && q.id != id:
			c.violate(identity, "request %s with key %s of %s was accepted as %s, and made %s too", q.ref, q.key, q.account.id, q.id, id)
		}
		if other := created[*r.ref]; other != "" {
			c.violate(outcomes, "request %s made both %s and %s", *r.ref, other, id)
		}
		created[*r.ref] = id
	}
	for id, s := range c.history.seen {
		r := rows[id]
		if r == nil || s.state.Final && (s.state.Status != r.status || s.state.Attempts != r.attempts) || s.state.Attempts > r.attempts {
			c.violate(forward, "revocation %s of %s was seen as %+v and is %+v", id, s.account.id, s.state, r)
		}
	}
}

// auditKeys checks that each key is bound to the revocation or job in the answer, and that refused requests bound no key.
func (c *cluster) auditKeys() {
	type key struct{ account, key string }
	bound := make(map[key]string)
	if err := c.database(func(ctx context.Context, conn *pgx.Conn) error {
		found, err := conn.Query(ctx, `SELECT account_id, key, target_id::text FROM idempotency_keys`)
		if err != nil {
			return err
		}
		var k key
		var target string
		_, err = pgx.ForEachRow(found, []any{&k.account, &k.key, &target}, func() error { bound[k] = target; return nil })
		return err
	}); err != nil {
		c.violate(promises, "read the keys: %v", err)
	}
	check := func(account, name, id string, refused bool) {
		target, ok := bound[key{account, name}]
		switch {
		case name == "":
		case refused && ok:
			c.violate(identity, "every request with key %s of %s was refused, and the key is bound to %s", name, account, target)
		case id != "" && target != id:
			c.violate(identity, "key %s of %s was answered with %s, and is bound to %q", name, account, id, target)
		}
	}
	for _, q := range c.history.requests {
		check(q.account.id, q.key, q.id, q.refused)
	}
	for _, u := range c.history.uploads {
		check(u.account.id, u.key, u.id, u.refused)
	}
}
