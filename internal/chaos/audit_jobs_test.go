package chaos_test

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// auditJobs checks that each accepted job exists with all its items, and that no other job exists.
func (c *cluster) auditJobs(rows map[string]*row) {
	type job struct {
		account, id, state string
		label, retryOf     *string
		total, invalid     int
	}
	byLabel, retries, retried := make(map[string]*upload), make(map[string]int), make(map[string]int)
	ids := make(map[string]*upload)
	for _, u := range c.history.uploads {
		if u.id != "" {
			ids[u.id] = u
		}
		if u.retryOf == "" {
			byLabel[u.label] = u
		} else if !u.refused {
			retries[u.retryOf]++
		}
	}
	there := make(map[string]bool)
	labels := make(map[string]string)
	if err := c.database(func(ctx context.Context, conn *pgx.Conn) error {
		found, err := conn.Query(ctx, `SELECT account_id, id::text, state, label, retry_of::text, total, invalid FROM jobs`)
		if err != nil {
			return err
		}
		var j job
		_, err = pgx.ForEachRow(found, []any{&j.account, &j.id, &j.state, &j.label, &j.retryOf, &j.total, &j.invalid}, func() error {
			there[j.id] = true
			if j.retryOf != nil {
				if retried[*j.retryOf]++; retried[*j.retryOf] > retries[*j.retryOf] {
					c.violate(outcomes, "job %s of %s is one retry of %s too many", j.id, j.account, *j.retryOf)
				}
				return nil
			}
			if j.label == nil || byLabel[*j.label] == nil {
				c.violate(outcomes, "job %s of %s was never requested", j.id, j.account)
				return nil
			}
			u := byLabel[*j.label]
			switch {
			case u.refused:
				c.violate(outcomes, "job %s (%s) of %s was refused or broken off, and exists", j.id, u.label, j.account)
			case u.account.id != j.account || u.items != j.total || u.invalid != j.invalid:
				c.violate(outcomes, "job %s (%s) of %s has %d items, %d invalid, and not %d, %d", j.id, u.label, j.account, j.total, j.invalid, u.items, u.invalid)
			case labels[u.label] != "":
				c.violate(outcomes, "job %s made both %s and %s", u.label, labels[u.label], j.id)
			case u.id != "" && u.id != j.id:
				c.violate(outcomes, "job %s was accepted as %s, and exists as %s", u.label, u.id, j.id)
			}
			labels[u.label] = j.id
			return nil
		})
		return err
	}); err != nil {
		c.violate(promises, "read the jobs: %v", err)
	}
	for id, u := range ids {
		if !there[id] {
			c.violate(outcomes, "job %s (%s) of %s was accepted and does not exist", id, u.label, u.account.id)
		}
	}
	for id, r := range rows {
		if r.job == nil {
			continue
		}
		if !there[*r.job] {
			c.violate(outcomes, "item %s of %s belongs to no job", id, r.account)
		}
		if r.status == "INVALID" {
			continue // it has no reference
		}
		if r.ref == nil {
			c.violate(outcomes, "no upload sent item %s of %s", id, r.account)
			continue
		}
		label, _, _ := strings.Cut(*r.ref, "-row-")
		if u := byLabel[label]; u == nil || u.account.id != r.account {
			c.violate(outcomes, "item %s of %s, with the reference %s, was never requested", id, r.account, *r.ref)
		}
	}
}
