package chaos_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	netmail "net/mail"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// watch checks the invariants that hold at every moment, until stop is closed.
func (c *cluster) watch(r *rand.Rand, stop <-chan struct{}) {
	var watching sync.WaitGroup
	every := func(interval time.Duration, check func()) {
		watching.Go(func() {
			tick := time.NewTicker(interval)
			defer tick.Stop()
			for {
				check()
				select {
				case <-tick.C:
				case <-stop:
					return
				}
			}
		})
	}
	mails := make(map[string]bool)
	read := 0
	every(25*time.Millisecond, func() { read = c.watchMails(mails, read) })
	every(500*time.Millisecond, c.watchJobs)
	every(time.Second, c.watchProcesses)
	polls := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
	every(10*time.Millisecond, func() {
		if q := c.history.drawRequest(polls, func(q *request) bool { return q.id != "" }); q != nil {
			c.readRevocation(polls, q.account, q.id, "")
		}
	})
	for _, a := range c.accounts {
		reader := &eventReader{account: a, r: rand.New(rand.NewPCG(r.Uint64(), 0)), seen: make(map[string]bool)}
		c.readers = append(c.readers, reader)
		every(300*time.Millisecond, func() { c.readEvents(reader) })
	}
	watching.Wait()
}

// messageRevocation returns the id of the revocation that a message is about.
func messageRevocation(data []byte) string {
	m, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return ""
	}
	id, _, _ := strings.Cut(strings.Trim(m.Header.Get("Message-Id"), "<>"), "@")
	return id
}

// watchMails checks the messages after the first read ones: no revocation has a second message, and each outcome was
// committed before its message was accepted. It returns the number of messages that are checked now.
func (c *cluster) watchMails(seen map[string]bool, read int) int {
	messages := c.mail.Messages()
	now := time.Now()
	var ids []string
	for _, m := range messages[read:] {
		id := messageRevocation(m.Data)
		if seen[id] {
			c.violate(mails, "a second email for revocation %s was accepted", id)
		}
		seen[id] = true
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return read
	}
	committed := make(map[string]time.Time)
	if err := c.database(func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT id::text, pg_xact_commit_timestamp(xmin) FROM revocations
			WHERE id = ANY ($1::uuid[]) AND status = 'REVOKED'`, ids)
		if err != nil {
			return err
		}
		var id string
		var at time.Time
		_, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error { committed[id] = at; return nil })
		return err
	}); err != nil {
		// The database is down. The audit checks these messages.
		return len(messages)
	}
	for _, id := range ids {
		if at, ok := committed[id]; !ok || at.After(now) {
			c.violate(mails, "an email for revocation %s was accepted before its outcome was committed: %v, %s", id, ok, at)
		}
	}
	return len(messages)
}

// lastItem is the last id that an item of job j can have. By the range of its items' ids, a job is recounted without reading
// its account's whole history.
const lastItem = `overlay(j.id::text PLACING '7fffffff' FROM 29)::uuid`

// recount compares the numbers of jobs with their items, within one snapshot. An EXPIRED job has none any more.
const recount = `
	SELECT j.account_id, j.id::text
	FROM (SELECT * FROM jobs WHERE state NOT IN ('RECEIVING', 'EXPIRED', 'DROPPED') ORDER BY id DESC LIMIT $1) AS j
	CROSS JOIN LATERAL (
		SELECT count(*) AS total,
			count(*) FILTER (WHERE status = 'REVOKED') AS revoked,
			count(*) FILTER (WHERE status = 'ALREADY_REVOKED') AS already_revoked,
			count(*) FILTER (WHERE status = 'NOT_ALLOWED') AS not_allowed,
			count(*) FILTER (WHERE status = 'ALREADY_STARTED') AS already_started,
			count(*) FILTER (WHERE status = 'NOT_FOUND') AS not_found,
			count(*) FILTER (WHERE status = 'ERROR_REVOKING') AS error_revoking,
			count(*) FILTER (WHERE status = 'INVALID') AS invalid,
			count(*) FILTER (WHERE status = 'CANCELLED') AS cancelled,
			count(*) FILTER (WHERE status = 'REVOKED' AND coalesce(r.notify, j.notify)) AS mails
		FROM revocations r
		WHERE r.account_id = j.account_id AND r.id BETWEEN j.id AND ` + lastItem + ` AND r.job_id = j.id) AS r
	CROSS JOIN LATERAL (
		SELECT count(u.report) AS waiting FROM chunks c CROSS JOIN LATERAL unnest(c.report_ids) AS u(report)
		WHERE c.account_id = j.account_id AND c.job_id = j.id) AS c
	CROSS JOIN LATERAL (
		SELECT count(*) AS retrying FROM work_items o
		WHERE o.account_id = j.account_id AND o.revocation_id BETWEEN j.id AND ` + lastItem + ` AND o.job_id = j.id AND o.attempt > 0) AS o
	WHERE (j.total, j.revoked, j.already_revoked, j.not_allowed, j.already_started, j.not_found, j.error_revoking, j.invalid,
			j.cancelled, j.retrying)
		IS DISTINCT FROM (r.total + c.waiting, r.revoked, r.already_revoked, r.not_allowed, r.already_started, r.not_found,
			r.error_revoking, r.invalid, r.cancelled, o.retrying)
		OR j.mails + j.delegated <> r.mails`

// watchJobs recounts the latest jobs.
func (c *cluster) watchJobs() { _ = c.recountJobs(20) } // if the database is down, the next call does it

func (c *cluster) recountJobs(latest int) error {
	return c.database(func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, recount, latest)
		if err != nil {
			return err
		}
		var account, id string
		_, err = pgx.ForEachRow(rows, []any{&account, &id}, func() error {
			c.violate(counters, "the numbers of job %s of %s differ from its items", id, account)
			return nil
		})
		return err
	})
}

// watchProcesses reports and restarts the processes that have exited without a fault.
func (c *cluster) watchProcesses() {
	for _, n := range c.nodes() {
		if !n.mu.TryLock() {
			continue // a fault uses the process
		}
		if n.ended() {
			c.violate(promises, "%s ended by itself: %v", n.name, n.cmd.ProcessState)
			if err := n.start(); err != nil {
				c.violate(promises, "%s does not start: %v", n.name, err)
			}
		}
		n.mu.Unlock()
	}
}
