package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	neighboursTitle = "From submit to final outcome, one at a time, with the default rate limit"
	// neighbourRows is what each upload of theirs has: few, so that little is left to do afterwards.
	neighbourRows = 1000
	// neighbourClients have a key each.
	neighbourClients = 32
	// neighbourPause keeps a caller below the default rate limit.
	neighbourPause = 25 * time.Millisecond
	// neighbourSamples is how many rounds' samples a value needs, so that its p99 is more than the slowest one.
	neighbourSamples = 4
)

// neighbours compares single submissions without and with clients of another account, which request as much as the
// default rate limit allows.
func (b *bench) neighbours() {
	t := b.table("neighbours", neighboursTitle)
	c := b.contenders[0]
	c.target.prefer = "wait=30" // a poll would count against the rate limit
	for range min(b.rounds, besideRounds) {
		unlimited := b.start(b.contenders[0], 1)
		b.warm(unlimited)
		size := min(b.sizes[len(b.sizes)-1], middleJob)
		key := b.account(unlimited, size)
		account := b.accountID()
		history := target{addr: unlimited.target.addr, key: key}
		job := b.upload(history, b.rows(size))
		b.end(history, job)
		b.stop(unlimited)

		c.env = append(slices.Clone(b.env), "RATE_LIMIT=")
		s := b.start(c, 1)
		b.singles(t, s, rescind)
		stop := b.disturb(s, account, job)
		b.singles(t, s, besideClients)
		answered, refused := stop()
		t.add(besideClients, "their requests answered, a second", answered)
		t.add(besideClients, "refused, a second", refused)
		b.finish(account)
		b.stop(s)
	}
}

// singles measures submissions of the account bench.
func (b *bench) singles(t *table, s *started, row string) {
	b.Helper()
	took, err := latencies(s.target, neighbourSamples*b.samples, neighbourPause, s.next, nil)
	b.must(err)
	slices.Sort(took)
	t.add(row, p50, milliseconds(took, .5))
	t.add(row, p99, milliseconds(took, .99))
}

// disturb starts the clients of an account that has a job. They list, stream, upload and poll until stop is called,
// which returns how many requests a second were answered and refused.
func (b *bench) disturb(s *started, account, job string) (stop func() (answered, refused float64)) {
	b.Helper()
	table, err := io.ReadAll(b.rows(neighbourRows))
	b.must(err)
	requests := []struct{ method, path, body string }{
		{http.MethodGet, "/revocations?status=ERROR_REVOKING&limit=1000", ""},
		{http.MethodGet, "/jobs/" + job + "/results", ""},
		{http.MethodPost, "/jobs", string(table)},
		{http.MethodGet, "/jobs/" + job, ""},
	}
	ctx, cancel := context.WithCancel(b.Context())
	var all sync.WaitGroup
	var answered, refused atomic.Int64
	failures := make([]error, neighbourClients)
	began := time.Now()
	for i := range neighbourClients {
		key := strings.TrimSpace(b.run(b.env, b.program("api"), "key", "create", "--account", account))
		request := requests[i%len(requests)]
		all.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil && failures[i] == nil {
				retry, err := ask(ctx, client, request.method, "http://"+s.target.addr+request.path, key, request.body)
				switch {
				case err != nil && ctx.Err() == nil:
					failures[i] = err
				case retry > 0:
					refused.Add(1)
					select {
					case <-time.After(retry):
					case <-ctx.Done():
					}
				case err == nil:
					answered.Add(1)
				}
			}
		})
	}
	return func() (float64, float64) {
		took := time.Since(began).Seconds()
		cancel()
		all.Wait()
		b.must(errors.Join(failures...))
		return float64(answered.Load()) / took, float64(refused.Load()) / took
	}
}

// ask sends a request and reads the whole answer. retry is the time after which a refused request may be sent again,
// and 0 for any other.
func ask(ctx context.Context, client *http.Client, method, url, key, body string) (retry time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("apiKey", key)
	if body != "" {
		req.Header.Set("Content-Type", "text/csv")
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, err
	}
	switch res.StatusCode {
	case http.StatusOK, http.StatusAccepted:
		return 0, nil
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
		return time.Duration(seconds) * time.Second, err
	default:
		return 0, fmt.Errorf("%s %s: status %d", method, req.URL.Path, res.StatusCode)
	}
}

// finish waits until nothing of an account's jobs is left to do, so that it cannot slow down what is measured next.
func (b *bench) finish(account string) {
	b.Helper()
	b.query(b.database, func(conn *pgx.Conn) error {
		for left := true; left; time.Sleep(100 * time.Millisecond) {
			if err := conn.QueryRow(b.Context(), `SELECT EXISTS (SELECT FROM chunks WHERE account_id = $1)`, account).Scan(&left); err != nil {
				return err
			}
		}
		return nil
	})
}
