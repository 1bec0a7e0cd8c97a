package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/postgres"
	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// elsewhere runs statements in a connection of their own.
func (w *world) elsewhere(statements string) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.url)
	w.must(err)
	_, err = conn.Exec(w.t.Context(), statements)
	w.must(err)
	w.must(conn.Close(w.t.Context()))
	w.ended(`pid = $1`, conn.PgConn().PID())
}

// ended waits until no connection is left that meets a condition. A connection adds to the server's counters before it ends.
func (w *world) ended(condition string, args ...any) {
	w.t.Helper()
	for left := 1; left > 0; {
		w.must(w.other.QueryRow(w.t.Context(), `
			SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend' AND `+condition, args...).Scan(&left))
	}
}

// pages gives how many pages of each table, and how many pages of its large values under "large values", do touches
// with the present store. It closes the store and opens another one, which has no plans yet.
func (w *world) pages(do func()) map[string]int64 {
	w.t.Helper()
	_, err := w.other.Exec(w.t.Context(), `SELECT pg_stat_reset()`)
	w.must(err)
	do()
	w.must(w.store.Close())
	w.ended(`pid <> pg_backend_pid()`)
	rows, err := w.other.Query(w.t.Context(), `
		SELECT relname, heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0) FROM pg_statio_user_tables
		UNION ALL SELECT 'large values', sum(toast_blks_hit + toast_blks_read)::bigint FROM pg_statio_user_tables`)
	w.must(err)
	pages := make(map[string]int64)
	var table string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&table, &n}, func() error { pages[table] = n; return nil })
	w.must(err)
	w.store, err = postgres.Open(w.t.Context(), w.url)
	w.must(err)
	w.t.Cleanup(func() { _ = w.store.Close() })
	return pages
}

// statistics are what the planner may know about tables that have become large.
var statistics = []struct{ name, statement string }{
	{"loaded and never analysed", `SELECT`}, {"analysed", `ANALYZE`},
}

// A page of events reads a part of an index that does not grow with the table.
func TestStore_EventPlans(t *testing.T) {
	w := newWorld(t, 1)
	w.addKey(w.store)
	cursor := func(number int64) *revocation.EventCursor {
		c := &revocation.EventCursor{Number: number}
		w.must(w.other.QueryRow(t.Context(), `SELECT id FROM events WHERE account_id = 'acme' AND number = $1`, number).Scan((*[16]byte)(&c.ID)))
		return c
	}
	const rows, limit = 20_000, 10
	half := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(rows / 2 * time.Second)
	rare, none := revocation.EventKeyCreated, revocation.EventKeyRevoked
	filters := func(after *revocation.EventCursor) map[string]revocation.EventFilter {
		return map[string]revocation.EventFilter{
			"the first": {}, "after one": {After: after}, "the end": {Latest: true},
			"from a time": {From: half}, "from a time to come": {From: time.Now().Add(time.Hour)},
			"of a type":        {Types: []revocation.EventType{rare}, After: after},
			"of several types": {Types: []revocation.EventType{rare, none, revocation.EventJobCreated}, After: after},
			"of no type":       {Types: []revocation.EventType{none}, From: half},
			"about a subject":  {Subject: "7", After: after},
			"about nothing":    {Subject: "nothing"},
			"of types about a subject": {
				Types: []revocation.EventType{revocation.EventJobCreated, none}, Subject: "7", After: after,
			},
		}
	}
	read := func(f revocation.EventFilter) {
		t.Helper()
		f.Account, f.Limit = "acme", limit
		_, err := w.store.Events(t.Context(), f)
		w.must(err)
	}
	for _, f := range filters(cursor(1)) {
		read(f) // while the table is small
	}
	w.elsewhere(fmt.Sprintf(`
		ALTER TABLE events SET (autovacuum_enabled = false);
		INSERT INTO events (account_id, number, id, type, occurred_at, actor_type, subject_type, subject_id, data)
			SELECT account, n, gen_random_uuid(), CASE WHEN n %% 1000 = 0 THEN 'key.created' ELSE 'job.created' END,
				timestamptz '2026-01-01Z' + n * interval '1 second', 'service', 'job', (n %% 1000)::text, '{}'
			FROM unnest(ARRAY['acme', 'other']) account, generate_series(10, CASE account WHEN 'acme' THEN %[1]d ELSE %[1]d / 3 END) n;
		UPDATE events SET number = number + 5 WHERE number < 10 AND account_id = 'acme';
		UPDATE accounts SET event_number = %[1]d WHERE account_id = 'acme'`, rows))
	large := filters(cursor(rows / 2))
	check := func(t *testing.T, pages, filters int64) {
		t.Helper()
		// Each event is found in an index and read by its number. Reading an index whole would be more.
		if most := filters * 12 * limit; pages > most {
			t.Errorf("%d pages were touched, want at most %d", pages, most)
		}
	}
	t.Run("planned while the table was small", func(t *testing.T) {
		check(t, w.pages(func() {
			for _, f := range large {
				read(f)
			}
		})["events"], int64(len(large)))
	})
	for _, planner := range statistics {
		w.elsewhere(planner.statement)
		for name, f := range large {
			t.Run(planner.name+", "+name, func(t *testing.T) {
				check(t, w.pages(func() { read(f) })["events"], 1)
			})
		}
	}
}

// A selection reads the invites that one of its members selects, not all of the account.
func TestStore_SelectionPlans(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 2 s")
	}
	w := newWorld(t, 1)
	at := func(n int) time.Time {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Minute)
	}
	const each = 20 // invites of an assessment
	var many []string
	for n := range 50 {
		many = append(many, fmt.Sprintf("ADA%d@example.com", 1000*n+7))
	}
	started := []revocation.Progress{revocation.ProgressStarted}
	selections := map[string]struct {
		revocation.Selection
		want int
	}{
		"by an address":                {revocation.Selection{Emails: many[1:2]}, 1},
		"by addresses":                 {revocation.Selection{Emails: many}, 30},
		"by addresses and a time":      {revocation.Selection{Emails: many, SentAfter: at(10_000), SentBefore: at(20_000)}, 10},
		"by an assessment's id":        {revocation.Selection{AssessmentID: "7"}, each},
		"by an assessment's name":      {revocation.Selection{Assessment: "GO 7"}, each},
		"by both":                      {revocation.Selection{AssessmentID: "7", Assessment: "go 7"}, each},
		"by an assessment and a time":  {revocation.Selection{Assessment: "go 7", SentAfter: at(1), SentBefore: at(10_000)}, 7},
		"by an assessment and a state": {revocation.Selection{AssessmentID: "7", Progress: started}, 2},
		"between two times":            {revocation.Selection{SentAfter: at(15_000), SentBefore: at(15_000 + each)}, each},
		"between two times, by state":  {revocation.Selection{SentAfter: at(15_000), SentBefore: at(15_000 + each), Progress: started}, 2},
		"from a time on":               {revocation.Selection{SentAfter: at(30_001 - each)}, each + 1}, // and that of newWorld
		"until a time":                 {revocation.Selection{SentBefore: at(2 + each)}, each},
	}
	run := func(s revocation.Selection) int {
		t.Helper()
		job := revocation.NewJob{ID: revocation.JobID(uuidv7.New()), Account: "acme", Route: revocation.RouteJobs}
		_, err := w.store.BeginJob(t.Context(), job, time.Minute)
		w.must(err)
		total, err := w.store.SelectItems(t.Context(), job, s, 1000, time.Minute)
		if revocation.ErrorCode(err) != revocation.CodeInvalid || err == nil { // which says that there are none
			w.must(err)
		}
		return total
	}
	for _, s := range selections {
		run(s.Selection) // while the table is small
	}
	w.elsewhere(`
		ALTER TABLE invites SET (autovacuum_enabled = false);
		INSERT INTO accounts (account_id) VALUES ('other');
		INSERT INTO invites (account_id, report_id, candidate_name, candidate_email, assessment_name, sent_at,
			assessment_id, name_folded, email_folded, assessment_folded, state)
		SELECT account, n, '', '', '', timestamptz '2026-01-01Z' + n * interval '1 minute',
			n % 1500, '', 'ada' || n || '@example.com', 'go ' || n % 1500,
			CASE WHEN n / 1500 % 10 = 3 OR n % 1500 <> 7 AND n % 10 = 0 THEN 'STARTED' ELSE 'PENDING' END
		FROM unnest(ARRAY['acme', 'other']) account, generate_series(2, CASE account WHEN 'acme' THEN 30000 ELSE 10000 END) n`)
	check := func(t *testing.T, pages, selections int64) {
		t.Helper()
		// Each address is looked up, and each invite can be on a page of its own. Reading an index whole would be more.
		if most := selections * 8 * int64(len(many)); pages > most {
			t.Errorf("%d pages were touched, want at most %d", pages, most)
		}
	}
	t.Run("planned while the table was small", func(t *testing.T) {
		check(t, w.pages(func() {
			for _, s := range selections {
				run(s.Selection)
			}
		})["invites"], int64(len(selections)))
	})
	for _, planner := range statistics {
		w.elsewhere(planner.statement)
		for name, s := range selections {
			t.Run(planner.name+", "+name, func(t *testing.T) {
				check(t, w.pages(func() {
					if total := run(s.Selection); total != s.want {
						t.Errorf("%d invites, want %d", total, s.want)
					}
				})["invites"], 1)
			})
		}
	}
}
