package chaos_test

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// findJobs reports a violation of waits for each job that a query finds. The query returns the account and the id.
func (c *cluster) findJobs(what, query string) {
	if err := c.database(func(ctx context.Context, conn *pgx.Conn) error {
		found, err := conn.Query(ctx, query)
		if err != nil {
			return err
		}
		var account, id string
		_, err = pgx.ForEachRow(found, []any{&account, &id}, func() error {
			c.violate(waits, what+": job %s of %s", id, account)
			return nil
		})
		return err
	}); err != nil {
		c.violate(promises, "look for %s: %v", what, err)
	}
}

// auditDecisions checks that jobs were carried out only if somebody had decided so.
func (c *cluster) auditDecisions() {
	c.findJobs("a preview was carried out and not confirmed", `
		SELECT account_id, id::text FROM jobs WHERE preview AND confirmed_by IS NULL AND (queued_at IS NOT NULL OR revoked > 0)
			AND total > invalid`)
	c.findJobs("more was revoked than was confirmed", `
		SELECT account_id, id::text FROM jobs WHERE preview AND revoked > predicted_revoked + predicted_unknown`)
	c.findJobs("the predicted numbers do not add up", `
		SELECT account_id, id::text FROM jobs WHERE predicted_at IS NOT NULL AND total <> invalid + predicted_revoked +
			predicted_already_revoked + predicted_not_allowed + predicted_not_found + predicted_already_started + predicted_unknown`)
	c.findJobs("an item was revoked that was not predicted so", `
		SELECT DISTINCT j.account_id, j.id::text FROM jobs j JOIN revocations r ON r.account_id = j.account_id AND r.job_id = j.id
		WHERE j.preview AND r.status = 'REVOKED' AND r.predicted::int NOT IN (1, 6)`)
	c.findJobs("it expired and has begun, or has items", `
		SELECT account_id, id::text FROM jobs j WHERE state = 'EXPIRED' AND (queued_at IS NOT NULL OR started_at IS NOT NULL OR revoked > 0
			OR EXISTS (SELECT FROM revocations r WHERE r.account_id = j.account_id AND r.job_id = j.id))`)
	c.findJobs("a job was cancelled before it began, and revoked", `
		SELECT account_id, id::text FROM jobs WHERE state = 'CANCELLED' AND queued_at IS NULL AND (revoked > 0 OR started_at IS NOT NULL)`)
	for _, a := range c.accounts {
		if a.approveAbove == 0 {
			continue
		}
		// Each job was let through only while all that was let through before it stayed within the limits.
		begun, confirmed := 0, 0
		if err := c.database(func(ctx context.Context, conn *pgx.Conn) error {
			return conn.QueryRow(ctx, `
				SELECT coalesce(sum(total - invalid) FILTER (WHERE NOT preview), 0),
					coalesce(sum(CASE WHEN preview THEN predicted_revoked + predicted_unknown ELSE total - invalid END)
						FILTER (WHERE approved_by IS NULL), 0)
				FROM jobs WHERE account_id = $1 AND queued_at IS NOT NULL`, a.id).Scan(&begun, &confirmed)
		}); err != nil {
			c.violate(promises, "add up the jobs of %s: %v", a.id, err)
		}
		if begun > a.confirmAbove || confirmed > a.approveAbove {
			c.violate(waits, "%s has carried out %d items without a preview, %d allowed, and %d without an approval, %d allowed",
				a.id, begun, a.confirmAbove, confirmed, a.approveAbove)
		}
	}
}

// auditTimes checks that nothing was carried out before its time.
func (c *cluster) auditTimes() {
	type key struct {
		account string
		report  int64
	}
	// The clocks of the database and of this program are the same. PostgreSQL's transaction began before its commit.
	const slack = time.Millisecond
	earliest := func(a *account, called time.Duration, notBefore time.Time) time.Time {
		if held := c.began.Add(called + a.hold); a.hold > 0 && held.After(notBefore) {
			return held
		}
		return notBefore
	}
	requests := make(map[key][]*request)
	for _, q := range c.history.requests {
		k := key{q.account.id, q.report}
		requests[k] = append(requests[k], q)
	}
	uploads := make(map[string]*upload)
	for _, u := range c.history.uploads {
		uploads[u.id] = u
	}
	if err := c.database(func(ctx context.Context, conn *pgx.Conn) error {
		found, err := conn.Query(ctx, `
			SELECT account_id, id::text, report_id, completed_at FROM revocations
			WHERE job_id IS NULL AND status NOT IN ('CANCELLED', 'PENDING')`)
		if err != nil {
			return err
		}
		var k key
		var id string
		var at time.Time
		if _, err := pgx.ForEachRow(found, []any{&k.account, &id, &k.report, &at}, func() error {
			if c.history.hurried[inviteName(k.account, k.report)] {
				return nil
			}
			// It may begin when the first of its requests may. A request whose answer was lost may be one of them.
			var allowed time.Time
			for _, q := range requests[k] {
				switch e := earliest(q.account, q.called, q.notBefore); {
				case q.id != "" && q.id != id:
				case e.IsZero():
					return nil
				case allowed.IsZero() || e.Before(allowed):
					allowed = e
				}
			}
			if at.Before(allowed.Add(-slack)) {
				c.violate(waits, "revocation %s of %s was carried out at %s, and allowed from %s", id, k.account, at, allowed)
			}
			return nil
		}); err != nil {
			return err
		}
		found, err = conn.Query(ctx, `SELECT account_id, id::text, queued_at, due_at FROM jobs WHERE queued_at IS NOT NULL`)
		if err != nil {
			return err
		}
		var account string
		var due *time.Time
		_, err = pgx.ForEachRow(found, []any{&account, &id, &at, &due}, func() error {
			u := uploads[id]
			switch {
			case c.history.hurried[id]:
			case due != nil && at.Before(*due):
				c.violate(waits, "job %s of %s has begun at %s, and was due at %s", id, account, at, due)
			case u != nil && at.Before(earliest(u.account, u.called, u.notBefore).Add(-slack)):
				c.violate(waits, "job %s of %s has begun at %s, too early for %s and a hold of %s", id, account, at, u.notBefore, u.account.hold)
			}
			return nil
		})
		return err
	}); err != nil {
		c.violate(promises, "read the times: %v", err)
	}
}
