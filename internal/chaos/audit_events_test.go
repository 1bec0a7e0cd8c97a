package chaos_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"

	"github.com/jackc/pgx/v5"
)

// eventReader reads the events of an account while they are written.
type eventReader struct {
	account *account
	r       *rand.Rand
	cursor  string
	ids     []string
	seen    map[string]bool
}

// readEvents reads a page of events, and reports whether it had any.
func (c *cluster) readEvents(e *eventReader) bool {
	path := "/events?limit=50"
	if e.cursor != "" {
		path += "&cursor=" + e.cursor
	}
	res, err := c.do(e.r, call{account: e.account, method: http.MethodGet, path: path})
	if err != nil || res.code == http.StatusServiceUnavailable {
		return false
	}
	var page struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
		NextCursor string `json:"next_cursor"`
	}
	if res.code != http.StatusOK || json.Unmarshal(res.body, &page) != nil || page.NextCursor == "" {
		c.violate(told, "GET %s of %s is answered with %d %s", path, e.account.id, res.code, res.body)
		return false
	}
	for _, event := range page.Data {
		if e.seen[event.ID] {
			c.violate(told, "event %s of %s was read twice", event.ID, e.account.id)
		}
		e.seen[event.ID] = true
		e.ids = append(e.ids, event.ID)
	}
	e.cursor = page.NextCursor
	return len(page.Data) > 0
}

// auditEvents compares the events with what they describe, and with what the readers have read.
func (c *cluster) auditEvents() {
	find := func(what, query string) {
		if err := c.database(func(ctx context.Context, conn *pgx.Conn) error {
			found, err := conn.Query(ctx, query)
			if err != nil {
				return err
			}
			var account, id string
			_, err = pgx.ForEachRow(found, []any{&account, &id}, func() error {
				c.violate(told, "%s: %s of %s", what, id, account)
				return nil
			})
			return err
		}); err != nil {
			c.violate(promises, "look for %s: %v", what, err)
		}
	}
	find("the numbers of the events have gaps", `
		SELECT a.account_id, a.event_number::text FROM accounts a
		WHERE a.event_number <> (SELECT count(*) FROM events e WHERE e.account_id = a.account_id AND e.number <= a.event_number)
			OR EXISTS (SELECT FROM events e WHERE e.account_id = a.account_id AND e.number > a.event_number)`)
	find("an event of a job is missing, or one too many", `
		SELECT j.account_id, j.id::text || ' ' || j.state || ' ' || w.type
		FROM jobs j
		CROSS JOIN LATERAL (VALUES
			('job.created', j.state NOT IN ('RECEIVING', 'DROPPED')),
			('job.previewed', j.predicted_at IS NOT NULL AND j.total > j.invalid),
			('job.confirmed', j.confirmed_by IS NOT NULL),
			('job.approved', j.approved_by IS NOT NULL),
			('job.started', j.queued_at IS NOT NULL),
			('job.cancel_requested', j.state IN ('CANCELLING', 'CANCELLED')),
			('job.finished', j.state IN ('COMPLETED', 'CANCELLED')),
			('job.expired', j.state = 'EXPIRED')) AS w(type, wanted)
		WHERE (SELECT count(*) FROM events e WHERE e.account_id = j.account_id AND e.subject_id = j.id::text AND e.type = w.type)
			<> w.wanted::int`)
	find("the event of a cancelled revocation is missing, or one too many", `
		SELECT account_id, id FROM (
			SELECT account_id, id::text FROM revocations WHERE job_id IS NULL AND status = 'CANCELLED'
			UNION ALL SELECT account_id, subject_id FROM events WHERE type = 'revocation.cancelled') AS pair (account_id, id)
		GROUP BY account_id, id HAVING count(*) <> 2`)
	for _, e := range c.readers {
		for c.readEvents(e) {
		}
		var written []string
		if err := c.database(func(ctx context.Context, conn *pgx.Conn) error {
			rows, err := conn.Query(ctx, `SELECT id::text FROM events WHERE account_id = $1 ORDER BY number`, e.account.id)
			if err != nil {
				return err
			}
			written, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		}); err != nil {
			c.violate(promises, "read the events: %v", err)
		}
		if !slices.Equal(written, e.ids) {
			c.violate(told, "%d events of %s are written, and a reader has read %d, or in another order", len(written), e.account.id, len(e.ids))
		}
	}
}
