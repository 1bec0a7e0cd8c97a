package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

const (
	smallJob   = 10_000
	middleJob  = 100_000
	largeJob   = 1_000_000
	bulkRounds = 3
)

// bulk compares jobs of several sizes with the same work done by hand in three statements: from the first byte of
// the rows to the last outcome, on the same server, in turns, each time on invites and an account of its own.
func (b *bench) bulk() {
	for _, size := range []int{smallJob, middleJob, largeJob} {
		var ours, hand, ratios []float64
		for range bulkRounds {
			h := b.byHand(size)
			o := b.job(size)
			ours, hand, ratios = append(ours, o), append(hand, h), append(ratios, o/h)
		}
		slices.Sort(ours)
		slices.Sort(hand)
		slices.Sort(ratios)
		b.report("| %d items: job, items/s from the first byte to the last outcome | %.0f (%.0f to %.0f) |", size, quantile(ours, .5), ours[0], ours[len(ours)-1])
		b.report("| %d items: COPY, UPDATE, UPDATE by hand, items/s | %.0f (%.0f to %.0f) |", size, quantile(hand, .5), hand[0], hand[len(hand)-1])
		b.report("| ratio of the two | **%.2f** (%.2f to %.2f) |", quantile(ratios, .5), ratios[0], ratios[len(ratios)-1])
	}
}

// account makes one with size invites that were sent now, and an API key.
func (b *bench) account(size int) (id, key string) {
	b.accounts++
	id = fmt.Sprintf("bulk%d", b.accounts)
	b.run(b.program("api"), "account", "set", id)
	key = strings.TrimSpace(b.run(b.program("api"), "key", "create", "--account", id))
	b.query(func(ctx context.Context, conn *pgx.Conn) error {
		for _, statement := range []string{
			fmt.Sprintf(`INSERT INTO invites SELECT '%s', n, '', 'ada@example.com', '', now() FROM generate_series(1, %d) n`, id, size),
			`VACUUM ANALYZE invites`, `CHECKPOINT`,
		} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	return id, key
}

// byHand does what a job does, with a result row an item, as somebody at a prompt would.
func (b *bench) byHand(size int) (perSecond float64) {
	account, _ := b.account(size)
	var rows bytes.Buffer
	for n := range size {
		_, _ = fmt.Fprintf(&rows, "%s,01979d10-2f3c-7a4e-8b5d-%012x,%d,f,01979d10-2f3c-7a4e-8b5d-1c2e3f405162,01979d10-2f3c-7a4e-8b5d-000000000000\n", account, n, n+1)
	}
	var took time.Duration
	b.query(func(ctx context.Context, conn *pgx.Conn) error {
		began := time.Now()
		if _, err := conn.PgConn().CopyFrom(ctx, &rows, `COPY revocations (account_id, id, report_id, notify, requested_by, job_id) FROM STDIN (FORMAT csv)`); err != nil {
			return err
		}
		for _, statement := range []string{
			`UPDATE invites i SET revoked_at = now(), revoked_by = r.id FROM revocations r
			WHERE r.account_id = '%[1]s' AND i.account_id = '%[1]s' AND i.report_id = r.report_id AND i.revoked_at IS NULL`,
			`UPDATE revocations r SET status = 'REVOKED', attempts = 1, completed_at = now() FROM invites i
			WHERE r.account_id = '%[1]s' AND i.account_id = '%[1]s' AND i.report_id = r.report_id AND i.revoked_by = r.id`,
		} {
			if _, err := conn.Exec(ctx, fmt.Sprintf(statement, account)); err != nil {
				return err
			}
		}
		took = time.Since(began)
		return nil
	})
	return float64(size) / took.Seconds()
}

// job uploads a CSV and waits for the last outcome.
func (b *bench) job(size int) (perSecond float64) {
	_, key := b.account(size)
	var rows bytes.Buffer
	rows.WriteString("report_id\n")
	for n := range size {
		rows.WriteString(strconv.Itoa(n + 1))
		rows.WriteByte('\n')
	}
	began := time.Now()
	id := b.upload(key, &rows)
	b.end(key, id)
	return float64(size) / time.Since(began).Seconds()
}

func (b *bench) upload(key string, rows io.Reader) (id string) {
	var job struct{ ID string }
	b.call(key, http.MethodPost, "/jobs", rows, &job)
	return job.ID
}

func (b *bench) end(key, id string) {
	for {
		var job struct{ State string }
		b.call(key, http.MethodGet, "/jobs/"+id, nil, &job)
		if job.State == "COMPLETED" {
			return
		}
	}
}

func (b *bench) call(key, method, path string, body io.Reader, answer any) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, "http://"+b.apiAddr+path, body)
	b.must(err)
	req.Header.Set("apiKey", key)
	req.Header.Set("Prefer", "wait=30")
	if body != nil {
		req.Header.Set("Content-Type", "text/csv")
	}
	res, err := http.DefaultClient.Do(req)
	b.must(err)
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode > 299 {
		b.t.Fatalf("%s %s: %d", method, path, res.StatusCode)
	}
	b.must(json.NewDecoder(res.Body).Decode(answer))
}

// besideJob measures what a job of a million costs beside its time: memory, and the latency of others.
func (b *bench) besideJob() {
	_, key := b.account(largeJob)
	var rows bytes.Buffer
	rows.WriteString("report_id\n")
	for n := range largeJob {
		_, _ = fmt.Fprintln(&rows, n+1)
	}
	before := b.memory(b.api.Process.Pid)
	redisBefore := b.redisMemory()
	var apiMost, redisMost int
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				apiMost, redisMost = max(apiMost, b.memory(b.api.Process.Pid)), max(redisMost, b.redisMemory())
			}
		}
	})
	id := b.upload(key, &rows)
	took, err := latencies(target{b.apiAddr, b.key, ""}, samples/3, 30*time.Millisecond, &b.next)
	b.must(err)
	b.end(key, id)
	close(stop)
	watching.Wait()
	ms := func(q float64) float64 { return quantile(took, q).Seconds() * 1000 }
	b.report("| submit to final outcome over HTTP while a job of a million runs: p50, p99 | %.1f ms, %.1f ms |", ms(.5), ms(.99))
	b.report("| the API's memory: growth with a job of a million | %.1f MiB |", float64(apiMost-before)/(1<<20))
	b.report("| Redis: growth with a job of a million | %.0f KiB |", float64(redisMost-redisBefore)/(1<<10))
}

// memory is a process's resident set, in bytes.
func (b *bench) memory(pid int) int {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	b.must(err)
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(value)[0])
			b.must(err)
			return kb << 10
		}
	}
	return 0
}

func (b *bench) redisMemory() int {
	options, err := redis.ParseURL(strings.TrimPrefix(b.env[1], "REDIS_URL="))
	b.must(err)
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	info, err := client.Info(b.t.Context(), "memory").Result()
	b.must(err)
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, "used_memory_dataset:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			b.must(err)
			return n
		}
	}
	return 0
}

func (b *bench) query(do func(context.Context, *pgx.Conn) error) {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), strings.TrimPrefix(b.env[0], "DATABASE_URL="))
	b.must(err)
	defer func() { _ = conn.Close(context.WithoutCancel(b.t.Context())) }()
	b.must(do(b.t.Context(), conn))
}
