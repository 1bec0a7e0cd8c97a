package postgres_test

import (
	"testing"
	"time"

	"rescind/internal/revocation"
)

// An invite of an earlier version has no folded texts.
func TestStore_FoldInvites(t *testing.T) {
	w := newWorld(t, 1)
	_, err := w.other.Exec(t.Context(), `
		INSERT INTO invites (account_id, report_id, candidate_name, candidate_email, assessment_name, sent_at)
		SELECT 'acme', n, 'ÅDA ' || n, 'Ada' || n || '@Example.com', 'GO', now() FROM generate_series(101, 125) n`)
	w.must(err)
	find := func() int {
		page, err := w.store.Invites(t.Context(), revocation.InviteFilter{Account: "acme", Query: "åda", Limit: 100})
		w.must(err)
		return len(page.Entries)
	}
	if n := find(); n != 0 {
		t.Errorf("%d found before", n)
	}
	release := w.hold(`SELECT FROM invites WHERE report_id = 110 FOR UPDATE`)
	total := 0
	for {
		n, err := w.store.FoldInvites(t.Context(), 10)
		w.must(err)
		if total += n; n == 0 {
			break
		}
	}
	if total != 24 || find() != 24 {
		t.Errorf("%d folded and %d found while one is locked", total, find())
	}
	release()
	n, err := w.store.FoldInvites(t.Context(), 10)
	w.must(err)
	if n != 1 || find() != 25 {
		t.Errorf("%d folded and %d found", n, find())
	}
}

// The update that revokes an invite stays within its page, so that no index gets a new entry.
func TestStore_RevocationsAreHOT(t *testing.T) {
	w := newWorld(t, 200)
	_, err := w.store.CarryOut(t.Context(), w.refs, revocation.Decide)
	w.must(err)
	w.must(w.store.Close()) // a connection adds to the server's counters when it ends
	var updates, hot int64
	for until := time.Now().Add(30 * time.Second); updates == 0 && time.Now().Before(until); {
		w.must(w.other.QueryRow(t.Context(), `SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'invites'`).
			Scan(&updates, &hot))
	}
	if updates != 200 || hot != updates {
		t.Errorf("%d updates, %d of them HOT", updates, hot)
	}
}

// A search reads a part of an index that does not grow with the table, even if it was planned while the table was empty.
func TestStore_SearchPlans(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 2 s")
	}
	w := newWorld(t, 1)
	yes := true
	searches := map[string]revocation.InviteFilter{
		"newest": {}, "times": {SentAfter: time.Unix(1, 0), SentBefore: time.Now()},
		"address": {Email: "ada77@example.com"}, "assessment": {Assessment: "Go 7"}, "assessment's id": {AssessmentID: "7"},
		"beginning of a name": {Query: "ada 7"}, "beginning of an address": {Query: "ada77"}, "beginning of an assessment": {Query: "go"},
		"many filters": {Query: "ada", Assessment: "go 7", Revoked: &yes},
	}
	run := func() {
		for _, f := range searches {
			f.Account, f.Limit, f.Scan = "acme", 100, 500
			for range 3 {
				page, err := w.store.Invites(t.Context(), f)
				w.must(err)
				if f.After = page.Next; page.Next.ReportID == 0 {
					break
				}
			}
		}
		_, err := w.store.Invite(t.Context(), "acme", 1)
		w.must(err)
		_, err = w.store.FoldInvites(t.Context(), 10)
		w.must(err)
	}
	run()
	_, err := w.other.Exec(t.Context(), `ANALYZE`)
	w.must(err)
	run()
	_, err = w.other.Exec(t.Context(), `
		ALTER TABLE invites SET (autovacuum_enabled = false);
		INSERT INTO invites (account_id, report_id, candidate_name, candidate_email, assessment_name, sent_at,
			assessment_id, name_folded, email_folded, assessment_folded)
		SELECT 'acme', n, '', '', '', now(), n % 10, 'ada ' || n, 'ada' || n || '@example.com', 'go ' || n % 10
		FROM generate_series(2, 100000) n`)
	w.must(err)
	run() // on a table that was just loaded, and planned before
	for name, f := range searches {
		t.Run(name, func(t *testing.T) {
			_, err := w.other.Exec(t.Context(), `SELECT pg_stat_reset()`)
			w.must(err)
			defer func() { w.store = open(w.t, w.url) }()
			f.Account, f.Limit, f.Scan = "acme", 100, 500
			_, err = w.store.Invites(t.Context(), f)
			w.must(err)
			w.must(w.store.Close()) // a connection adds to the server's counters when it ends
			blocks := w.touched(1, `
				SELECT relname, heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read FROM pg_statio_user_tables
				WHERE relname = 'invites' AND idx_blks_hit > 0`)["invites"]
			// Reading a whole index would touch more. Each row can be on another page, and bound reads it again.
			if limit := int64(4 * 2 * 500); blocks > limit {
				t.Errorf("%d pages were touched", blocks)
			}
		})
	}
}
