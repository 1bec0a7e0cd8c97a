package bench

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	searchTitle   = "First pages of a search for invites, of an account with many, one at a time"
	selectTitle   = "A selection that becomes a job"
	searchAccount = "searched"
	// otherAccounts have one invite each for otherInvites of the account.
	otherAccounts = 999
	otherInvites  = 10_000
	// searchAssessments is how many assessments the account has, of the same size.
	searchAssessments = 10
)

// Of each invite, the name and the address begin with one of some 1,000 first names, and of two in a hundred the candidate
// has started.
const insertSearched = `
	INSERT INTO invites (account_id, report_id, candidate_name, candidate_email, assessment_name, assessment_id, state, sent_at,
		name_folded, email_folded, assessment_folded)
	SELECT account, n, initcap(first) || ' Number' || n, first || '.' || n || '@example.com', 'Assessment ' || n % $4, 'a-' || n % $4,
		CASE WHEN n % 50 = 0 THEN 'STARTED' ELSE 'PENDING' END, '2024-01-01T00:00:00Z'::timestamptz + n * interval '6 seconds',
		first || ' number' || n, first || '.' || n || '@example.com', 'assessment ' || n % $4
	FROM unnest($1::text[]) AS account CROSS JOIN generate_series($2::bigint, $3::bigint) AS n
		CROSS JOIN LATERAL (SELECT translate((n * 7919 % 1000)::text, '0123456789', 'aeioubdlmn') || 'a' AS first) AS f`

// searches are the kinds of searches, with a function that returns the n-th of them, of an account with size invites.
var searches = []struct {
	name string
	body func(n, size int64) string
}{
	{"an address", func(n, size int64) string {
		return fmt.Sprintf(`{"candidate_email":"%s.%d@EXAMPLE.com"}`, firstName(n%size+1), n%size+1)
	}},
	{"the beginning of a name or address", func(n, _ int64) string { return fmt.Sprintf(`{"q":%q}`, firstName(n)) }},
	{"two letters", func(n, _ int64) string { return fmt.Sprintf(`{"q":%q}`, firstName(n)[:2]) }},
	{"the beginning of an address, and a rare state", func(n, _ int64) string {
		return fmt.Sprintf(`{"q":%q,"state":"STARTED","revoked":false}`, firstName(n)+".")
	}},
	{"an assessment, not revoked", func(n, _ int64) string {
		return fmt.Sprintf(`{"assessment_name":"ASSESSMENT %d","revoked":false}`, n%searchAssessments)
	}},
	{"an assessment's id, a state and a time", func(n, size int64) string {
		before := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n%size) * 6 * time.Second)
		return fmt.Sprintf(`{"assessment_id":"a-%d","state":"STARTED","sent_before":%q}`, n%searchAssessments, before.Format(time.RFC3339))
	}},
	{"a state that no invite has", func(int64, int64) string { return `{"state":"COMPLETED"}` }},
}

// firstName is the beginning of the n-th invite's name, in lower case.
func firstName(n int64) string {
	digits := []byte(strconv.FormatInt(n*7919%1000, 10))
	for i, d := range digits {
		digits[i] = "aeioubdlmn"[d-'0']
	}
	return string(digits) + "a"
}

// search measures searches and selections on a table that was just loaded, and on one whose invites have been revoked for a
// long time.
func (b *bench) search() {
	pages, selections := b.table("search", searchTitle), b.table("selections", selectTitle)
	env := slices.Clone(b.env)
	env = append(env, "DATABASE_URL="+b.createDatabase("searched"))
	database := strings.TrimPrefix(env[len(env)-1], "DATABASE_URL=")
	b.run(env, b.program("api"), "migrate")
	others := make([]string, otherAccounts)
	for i := range others {
		others[i] = fmt.Sprintf("other-%03d", i)
	}
	b.execute(database, `INSERT INTO accounts (account_id) SELECT unnest($1::text[])`, append(slices.Clone(others), searchAccount))
	b.execute(database, insertSearched, others, 1, b.searched/otherInvites, searchAssessments)
	for first := int64(1); first <= b.searched; first += largeJob { // statements of some seconds each, which show progress
		b.execute(database, insertSearched, []string{searchAccount}, first, min(first+largeJob-1, b.searched), searchAssessments)
		b.Logf("%d of %d invites are loaded", min(first+largeJob-1, b.searched), b.searched)
	}
	key := strings.TrimSpace(b.run(env, b.program("api"), "key", "create", "--account", searchAccount, "--scopes", "revoke,read,invites"))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	addr := listener.Addr().String()
	b.must(listener.Close())
	b.begin(append(env, "HTTP_ADDR="+addr, "ADMIN_ADDR=127.0.0.1:0"), []string{b.program("api"), "serve"})
	b.await("http://" + addr + "/healthz")
	t := target{addr: addr, key: key}

	b.searchAll(pages, t, "just loaded")
	b.selectPart(selections, t, "just loaded")
	b.execute(database, `VACUUM ANALYZE invites`)
	for part := range int64(3) { // each on its own, as many transactions would, with no chance for a vacuum between
		b.execute(database, `UPDATE invites SET revoked_at = now() WHERE account_id = $1 AND report_id % 3 = $2 AND report_id <= $3 AND report_id % 7 <> 0`,
			searchAccount, part, b.searched/2)
	}
	b.searchAll(pages, t, "old")
	b.selectPart(selections, t, "old")
	b.execute(b.database, `DROP DATABASE searched WITH (FORCE)`)
}

// createDatabase makes another database on the server and returns its address.
func (b *bench) createDatabase(name string) string {
	b.Helper()
	b.execute(b.database, `CREATE DATABASE `+name)
	config, err := pgx.ParseConfig(b.database)
	b.must(err)
	return fmt.Sprintf("postgres://%s@%s/%s", config.User, net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))), name)
}

// searchAll measures each kind of search.
func (b *bench) searchAll(t *table, to target, when string) {
	b.Helper()
	for _, s := range searches {
		var took []time.Duration
		for n := range int64(10 * b.samples) {
			took = append(took, b.post(to, "/invites/search", s.body(n*n+n, b.searched), http.StatusOK))
		}
		slices.Sort(took)
		t.add(s.name, when+": "+p50, milliseconds(took, .5))
		t.add(s.name, when+": "+p99, milliseconds(took, .99))
	}
}

// selectPart measures how long a request takes that makes a job of an assessment's invites.
func (b *bench) selectPart(t *table, to target, when string) {
	b.Helper()
	for n := range b.rounds {
		took := b.post(to, "/jobs", fmt.Sprintf(`{"select":{"assessment_name":"Assessment %d","sent_before":"2100-01-01T00:00:00Z"}}`, n), http.StatusAccepted)
		t.add(fmt.Sprintf("of %s invites, a tenth", thousands(b.searched)), when+": "+seconds, took.Seconds())
	}
}

// post sends a body of JSON, and reads the answer. An answer with another status ends the benchmark.
func (b *bench) post(t target, path, body string, status int) (took time.Duration) {
	b.Helper()
	began := time.Now()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+t.addr+path, strings.NewReader(body))
	b.must(err)
	r.Header.Set("apiKey", t.key)
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	b.must(err)
	defer func() { _ = res.Body.Close() }() // it was read
	content, err := io.ReadAll(res.Body)
	b.must(err)
	if res.StatusCode != status {
		b.Fatalf("%s %s: %d %s", path, body, res.StatusCode, content)
	}
	return time.Since(began)
}
