package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/testservers"
)

const (
	// historyItems is the number of rows of the reader's account, of which none has the status that it asks for. Without
	// a bound, a page reads all of them, for a tenth of a second or longer.
	historyItems = 200_000
	// runningItems is the number of items of the reader's job that is not ended.
	runningItems = 20_000
	// submissions is the number of submissions of the other account.
	submissions = 50
	// readRate is the number of reads a second, just below the default of RATE_LIMIT.
	readRate = 48
)

// history is the address of an API, with one account that reads a long history and another that submits.
type history struct {
	client        // of the account that submits
	reader string // a key that can only read
	writer string // a key of the same account, which makes the history
	next   int    // the invite that was submitted last
}

// newHistory creates the account of the reader and its keys.
func newHistory(t *testing.T, c client, env []string, args ...string) *history {
	t.Helper()
	mustCommand(t, env, "", append([]string{"account", "set", "reader"}, args...)...)
	key := func(scopes string) string {
		command := append([]string{"key", "create", "--account", "reader", "--scopes", scopes}, args...)
		return strings.TrimSpace(mustCommand(t, env, "", command...))
	}
	return &history{client: c, reader: key("read"), writer: key("revoke,read")}
}

// job uploads a job of the reader's account with n items, and returns its id.
func (h *history) job(n int) string {
	h.t.Helper()
	var body strings.Builder
	w := bufio.NewWriter(&body)
	_, _ = fmt.Fprint(w, `{"report_ids":[1`)
	for i := 2; i <= n; i++ {
		_, _ = fmt.Fprintf(w, ",%d", i)
	}
	_, _ = fmt.Fprint(w, `]}`)
	_ = w.Flush()
	a := client{h.t, h.url, h.writer}.must(http.MethodPost, "/jobs", body.String(), "")
	if a.code != http.StatusAccepted {
		h.t.Fatalf("%d %v", a.code, a.body)
	}
	return a.str("id")
}

// get returns the status of a GET with the reader's key, or 0 without an answer.
func (h *history) get(ctx context.Context, c *http.Client, path string) int {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+path, nil)
	if err != nil {
		h.t.Error(err)
		return 0
	}
	r.Header.Set("apiKey", h.reader)
	res, err := c.Do(r)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK && res.Header.Get("Retry-After") == "" {
		h.t.Errorf("%s: %d without Retry-After", path, res.StatusCode)
	}
	return res.StatusCode
}

// read sends the reads at the full rate until ctx ends, and returns the number of answers by their status.
func (h *history) read(ctx context.Context, paths []string, sent chan<- struct{}) map[int]int {
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: readRate}}
	defer c.CloseIdleConnections()
	var mu sync.Mutex
	statuses := make(map[int]int)
	var reads sync.WaitGroup
	defer reads.Wait()
	tick := time.NewTicker(time.Second / readRate)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			reads.Wait()
			return statuses
		case <-tick.C:
		}
		if i == 3*readRate {
			close(sent)
		}
		reads.Go(func() {
			status := h.get(ctx, c, paths[i%len(paths)])
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
		})
	}
}

// starve reads the history at the reader's full rate, while the other account submits. No submission may be refused, and
// the process must stay ready. It returns the number of reads that were answered with a page.
func (h *history) starve(finished, unfinished string) (pages int) {
	h.t.Helper()
	paths := []string{
		"/revocations?status=ERROR_REVOKING", "/jobs/" + finished + "/results?status=ERROR_REVOKING",
		"/revocations?report_id=99999999", "/jobs/" + unfinished + "/results?status=ERROR_REVOKING",
		"/revocations?status=ERROR_REVOKING&limit=1000", "/revocations?report_id=77&status=PENDING",
	}
	ctx, stop := context.WithCancel(h.t.Context())
	defer stop()
	sent, reads := make(chan struct{}), make(chan map[int]int, 1)
	go func() { reads <- h.read(ctx, paths, sent) }()
	<-sent // enough of them to fill every queue
	for range submissions {
		h.next++
		report := h.next
		if a := h.revoke(report, false, "respond-async"); a.code != http.StatusAccepted && a.code != http.StatusOK {
			h.t.Errorf("submission %d: %d %v", report, a.code, a.body)
		}
		if got := status(h.t, h.url+"/readyz"); got != http.StatusOK {
			h.t.Errorf("at submission %d: /readyz is %d", report, got)
		}
		time.Sleep(20 * time.Millisecond) // the rate of the other account has a limit too
	}
	stop()
	statuses := <-reads
	for status, n := range statuses {
		switch status {
		case 0, http.StatusOK, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		default:
			h.t.Errorf("%d reads are answered with %d", n, status)
		}
	}
	h.t.Logf("reads by status: %v", statuses)
	return statuses[http.StatusOK]
}

// TestLists_starveNobody reads a long history with a key of one account, and counts what another account is refused.
func TestLists_starveNobody(t *testing.T) {
	needPrograms(t)
	t.Run("on PostgreSQL", func(t *testing.T) {
		t.Parallel()
		p := startProduction(t)
		p.env = append(p.env, "RATE_LIMIT=50")
		p.startAPI() // without a worker, no job ends
		h := newHistory(t, p.client, p.env)
		finished, unfinished := h.job(1), h.job(runningItems)
		conn, err := pgx.Connect(t.Context(), p.database)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(t.Context()) }()
		for _, statement := range []string{
			`UPDATE jobs SET total = $2 WHERE account_id = 'reader' AND id = $1::uuid`,
			`INSERT INTO revocations (account_id, id, report_id, requested_by, status, attempts, completed_at, job_id)
				SELECT 'reader', (substr($1::text, 1, 28) || lpad(to_hex(n), 8, '0'))::uuid, n, $1::uuid, 'REVOKED', 1, now(), $1::uuid
				FROM generate_series(2, $2) n`,
		} {
			if _, err := conn.Exec(t.Context(), statement, finished, historyItems); err != nil {
				t.Fatal(err)
			}
		}
		if h.starve(finished, unfinished) == 0 {
			t.Error("no read is answered")
		}
		// Every read of a history takes as long as it may, on a machine of any speed, while its table is locked. A
		// submission does not need that table.
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(t.Context()) }()
		if _, err := tx.Exec(t.Context(), `LOCK TABLE revocations`); err != nil {
			t.Fatal(err)
		}
		h.starve(finished, unfinished)
	})
	t.Run("standalone", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		mustCommand(t, nil, "", "account", "set", "acme", "--data", dir)
		mustCommand(t, nil, invitesCSV(1000), "invites", "import", "--account", "acme", "-", "--data", dir)
		key := strings.TrimSpace(mustCommand(t, nil, "", "key", "create", "--account", "acme", "--data", dir))
		addr := fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(t))
		env := []string{fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", testservers.FreePort(t)), "RETENTION_DAYS=0", "RATE_LIMIT=50"}
		h := newHistory(t, client{t, "http://" + addr, key}, nil, "--data", dir)
		process := start(t, env, programs.api, "standalone", "--addr", addr, "--data", dir)
		until(t, "standalone is ready", func() bool { return strings.Contains(process.stdout(), "ready at http://"+addr) })
		finished := h.job(1)
		client{t, h.url, h.writer}.must(http.MethodGet, "/jobs/"+finished, "", "wait=30")
		db, err := sql.Open("sqlite", filepath.Join(dir, "rescind.db")+"?_pragma=busy_timeout(10000)")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		_, err = db.ExecContext(t.Context(), `UPDATE jobs SET total = ?2, revoked = revoked + ?2 - 1 WHERE account_id = 'reader' AND id = ?1;
			WITH RECURSIVE numbers (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?2)
			INSERT INTO revocations (account_id, id, report_id, requested_by, status, attempts, completed_at, job_id)
				SELECT 'reader', substr(?1, 1, 28) || printf('%08x', n), n, ?1, 'REVOKED', 1, ?3, ?1 FROM numbers`,
			finished, historyItems, time.Now().UnixMicro())
		if err != nil {
			t.Fatal(err)
		}
		if h.starve(finished, h.job(runningItems)) == 0 {
			t.Error("no read is answered")
		}
	})
}
