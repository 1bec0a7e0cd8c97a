package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// results fetches all results of a job as CSV, by columns.
func (p *production) results(id string) []map[string]string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+"/jobs/"+id+"/results", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("apiKey", p.key)
	req.Header.Set("Accept", "text/csv")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	rows, err := csv.NewReader(res.Body).ReadAll()
	if err != nil || len(rows) == 0 {
		p.t.Fatalf("results: %d rows, %v", len(rows), err)
	}
	all := make([]map[string]string, len(rows)-1)
	for i, row := range rows[1:] {
		all[i] = make(map[string]string, len(row))
		for j, cell := range row {
			all[i][rows[0][j]] = cell
		}
	}
	return all
}

// upload uploads reports 1 to n as a CSV job, and returns its id.
func (p *production) upload(n int, query string) string {
	p.t.Helper()
	var body bytes.Buffer
	body.WriteString("report_id\n")
	for i := range n {
		_, _ = fmt.Fprintln(&body, i+1)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url+"/jobs"+query, &body)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("apiKey", p.key)
	req.Header.Set("Content-Type", "text/csv")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	location := res.Header.Get("Location")
	if res.StatusCode != http.StatusAccepted || location == "" {
		p.t.Fatalf("upload: %d", res.StatusCode)
	}
	return strings.TrimPrefix(location, "/jobs/")
}

// recount compares the counters of a job with its results.
func (p *production) recount(a answer) {
	p.t.Helper()
	counted := make(map[string]int)
	for i, result := range p.results(a.str("id")) {
		if result["row"] != fmt.Sprint(i+1) {
			p.t.Fatalf("result %d is of row %s", i+1, result["row"])
		}
		counted[result["status"]]++
	}
	for status := range a.body["counts"].(map[string]any) {
		if counted[status] != count(a, status) {
			p.t.Errorf("%s: %d results and a counter of %d", status, counted[status], count(a, status))
		}
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	t.Run("workers that are killed lose nothing, and the counters equal a recount", func(t *testing.T) {
		const items = 60_000
		p := startProduction(t)
		p.startAPI()
		p.manyInvites(items)
		first, _ := p.startWorker()
		second, _ := p.startWorker()
		id := p.upload(items+500, "") // the last ones are unknown
		for i, worker := range []*running{first, second} {
			until(t, "the job continues", func() bool {
				a := p.must(http.MethodGet, "/jobs/"+id, "", "")
				p.addsUp(a)
				return count(a, "REVOKED") > i*10_000
			})
			worker.kill()
		}
		p.startWorker()
		a := p.ended(id)
		if a.str("state") != "COMPLETED" || count(a, "REVOKED") != items || count(a, "NOT_FOUND") != 500 {
			t.Errorf("job: %v", a.body)
		}
		p.recount(a)
		if revoked := p.revokedInvites(); revoked != items {
			t.Errorf("%d invites are revoked", revoked)
		}
	})
	t.Run("two jobs and single submissions of the same invites: one REVOKED and one email each", func(t *testing.T) {
		const items = 300
		p := startProduction(t)
		p.startAPI()
		p.startWorker()
		p.startWorker()
		one := p.upload(items, "?notify_candidate=true")
		singles := make([]string, 0, items/10)
		for report := 1; report <= items; report += 10 {
			singles = append(singles, p.revoke(report, true, "respond-async").str("id"))
		}
		two := p.upload(items, "?notify_candidate=true")
		a, b := p.ended(one), p.ended(two)
		revoked := count(a, "REVOKED") + count(b, "REVOKED")
		for _, id := range singles {
			if p.final(id).str("status") == "REVOKED" {
				revoked++
			}
		}
		if revoked != items {
			t.Errorf("%d are REVOKED, want %d", revoked, items)
		}
		p.recount(a)
		p.recount(b)
		until(t, "all emails are sent", func() bool { return len(p.mail.Messages()) >= items })
		told := make(map[string]int)
		for _, mail := range p.mail.Messages() {
			told[mail.To[0]]++
		}
		for address, times := range told {
			if times != 1 {
				t.Errorf("%d emails to one candidate (%d characters)", times, len(address))
			}
		}
	})
	t.Run("an API that is killed in the middle of an upload leaves nothing", func(t *testing.T) {
		p := startProduction(t)
		api, _ := p.startAPI()
		reader, writer := newSlowBody("report_id\n1\n2\n")
		go func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/jobs", reader)
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("apiKey", p.key)
			req.Header.Set("Content-Type", "text/csv")
			if res, err := http.DefaultClient.Do(req); err == nil {
				_ = res.Body.Close()
				t.Errorf("it was answered: %d", res.StatusCode)
			}
		}()
		until(t, "the upload has begun", func() bool { return p.count(`SELECT count(*) FROM jobs`) == 1 })
		api.kill()
		_ = writer.Close()
		p.startAPI()
		if a := p.must(http.MethodGet, "/jobs", "", ""); len(a.body["data"].([]any)) != 0 {
			t.Errorf("jobs: %v", a.body)
		}
		if a := p.must(http.MethodGet, "/revocations", "", ""); len(a.body["data"].([]any)) != 0 {
			t.Errorf("revocations: %v", a.body)
		}
	})
}

// manyInvites adds invites to the account's first 1,000, up to n.
func (p *production) manyInvites(n int) {
	p.t.Helper()
	p.query(func(conn *pgx.Conn) error {
		_, err := conn.Exec(p.t.Context(), `INSERT INTO invites
			SELECT 'acme', n, 'Ada', 'ada@example.com', 'Go', now() FROM generate_series(1001, $1::bigint) n`, n)
		return err
	})
}

func (p *production) revokedInvites() int {
	p.t.Helper()
	return p.count(`SELECT count(*) FROM invites WHERE revoked_at IS NOT NULL`)
}

func (p *production) count(query string) (n int) {
	p.t.Helper()
	p.query(func(conn *pgx.Conn) error { return conn.QueryRow(p.t.Context(), query).Scan(&n) })
	return n
}

func (p *production) query(do func(*pgx.Conn) error) {
	p.t.Helper()
	conn, err := pgx.Connect(p.t.Context(), p.database)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close(p.t.Context()) //nolint:errcheck // the test does not need it any more
	if err := do(conn); err != nil {
		p.t.Fatal(err)
	}
}

// newSlowBody returns a body that begins with text and does not end until the writer is closed.
func newSlowBody(text string) (*io.PipeReader, *io.PipeWriter) {
	reader, writer := io.Pipe()
	go func() { _, _ = io.WriteString(writer, text) }()
	return reader, writer
}
