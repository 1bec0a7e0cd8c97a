package bench

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	bulkTitle   = "Jobs: items a second, from the first byte of the rows to the last outcome"
	bulkCosts   = "Jobs: core-seconds a million items"
	memoryTitle = "Jobs: the most memory"
)

// bulk compares jobs of several sizes with the same work done by hand, on the same server, in turns, each time on
// invites and an account of its own.
func (b *bench) bulk() {
	t, costs, memory := b.table("bulk", bulkTitle), b.table("bulkcosts", bulkCosts), b.table("memory", memoryTitle)
	service := b.start(b.contenders[0], 1)
	alone := b.start(b.contenders[1], 0)
	for _, size := range b.sizes {
		rounds := b.bulkRounds
		if size == hugeJob {
			rounds = 1
		}
		for range rounds {
			for _, way := range handWays {
				took, used := b.byHand(size, way)
				t.add(way.name, items(size), float64(size)/took.Seconds())
				used.millions(costs, way.name, size)
			}
			for _, s := range []*started{service, alone} {
				if s == alone && size > largeJob { // its invites would take longer than the job
					continue
				}
				key := b.account(s, size)
				before, stop := b.shares(s), b.watch(s)
				took := b.job(target{addr: s.target.addr, key: key}, size)
				stop().report(memory, fmt.Sprintf("%s, %s items", s.name, thousands(int64(size))))
				b.shares(s).since(before).millions(costs, s.name, size)
				t.add(s.name, items(size), float64(size)/took.Seconds())
			}
		}
	}
	for range b.bulkRounds {
		t.add(oneByOne, items(smallJob), b.loop(service))
	}
	b.stop(service)
	b.stop(alone)
}

// millions adds what a million items cost, the load not counted.
func (s shares) millions(t *table, row string, size int) {
	of := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(size) }
	t.add(row, cost(size), of(s.server+s.workers+s.postgres+s.redis))
	t.add(row, thousands(int64(size))+": PostgreSQL", of(s.postgres))
}

// account makes one with size invites that were sent now, and an API key.
func (b *bench) account(s *started, size int) (key string) {
	b.Helper()
	b.accounts++
	id := b.accountID()
	var data []string
	if s.name == embedded {
		data = s.api[2:]
	}
	b.run(b.env, b.program("api"), append([]string{"account", "set", id}, data...)...)
	if s.name == embedded {
		b.importInvites(id, size, data...)
	} else {
		b.makeInvites(id, size)
	}
	return strings.TrimSpace(b.run(b.env, b.program("api"), append([]string{"key", "create", "--account", id}, data...)...))
}

// makeInvites leaves nothing to be tidied up while others are measured.
func (b *bench) makeInvites(account string, size int) {
	b.Helper()
	b.execute(b.database, insertInvites, account, size)
	b.execute(b.database, `VACUUM ANALYZE invites`)
	b.execute(b.database, `CHECKPOINT`)
}

// accountID is the last one that was made.
func (b *bench) accountID() string { return fmt.Sprintf("bulk%d", b.accounts) }

// importInvites makes invites as an operator does.
func (b *bench) importInvites(account string, size int, data ...string) {
	b.Helper()
	var rows bytes.Buffer
	rows.WriteString("report_id,candidate_name,candidate_email,assessment_name,sent_at\n")
	now := time.Now().UTC().Format(time.RFC3339)
	for n := range size {
		_, _ = fmt.Fprintf(&rows, "%d,,ada@example.com,,%s\n", n+1, now)
	}
	b.feed(&rows, b.env, b.program("api"), append([]string{"invites", "import", "--account", account, "-"}, data...)...)
}

// job uploads a CSV and waits for the last outcome.
func (b *bench) job(t target, size int) time.Duration {
	b.Helper()
	rows := b.rows(size)
	began := time.Now()
	b.end(t, b.upload(t, rows))
	return time.Since(began)
}

func (b *bench) rows(size int) io.Reader {
	var rows bytes.Buffer
	rows.WriteString("report_id\n")
	for n := range size {
		rows.WriteString(strconv.Itoa(n + 1))
		rows.WriteByte('\n')
	}
	return &rows
}

func (b *bench) upload(t target, rows io.Reader) (id string) {
	b.Helper()
	var job struct{ ID string }
	b.call(t, http.MethodPost, "/jobs", rows, &job)
	return job.ID
}

func (b *bench) end(t target, id string) {
	b.Helper()
	for {
		var job struct {
			State  string
			Total  int
			Counts struct{ Revoked int }
		}
		b.call(t, http.MethodGet, "/jobs/"+id, nil, &job)
		if job.State == "COMPLETED" {
			if job.Counts.Revoked != job.Total {
				b.Fatalf("%d of %d items are REVOKED", job.Counts.Revoked, job.Total)
			}
			return
		}
	}
}

// loopCalls are enough for a loop, of which each is like the other.
const loopCalls = 1000

// loop is the program that people write: one call, its outcome, the next call.
func (b *bench) loop(s *started) (perSecond float64) {
	b.Helper()
	began := time.Now()
	took, err := latencies(s.target, loopCalls, 0, s.next, nil)
	b.must(err)
	return float64(len(took)) / time.Since(began).Seconds()
}

// besideRounds is how often the effect of a job of a million on single submissions is measured.
const besideRounds = 2

// besideJob measures single submissions from the first byte of a job of a million to its last outcome.
func (b *bench) besideJob() {
	t := b.table("latency", latencyTitle)
	for range min(b.rounds, besideRounds) {
		s := b.start(b.contenders[0], 1)
		b.warm(s)
		size := min(b.sizes[len(b.sizes)-1], largeJob)
		job := target{addr: s.target.addr, key: b.account(s, size)}
		rows := b.rows(size)
		stop := make(chan struct{})
		var beside []time.Duration
		var failure error
		var sampling sync.WaitGroup
		sampling.Go(func() { beside, failure = latencies(s.target, size, pause, s.next, stop) })
		b.end(job, b.upload(job, rows))
		close(stop)
		sampling.Wait()
		b.must(failure)
		slices.Sort(beside)
		t.add(besideMillion, p50, milliseconds(beside, .5))
		t.add(besideMillion, p99, milliseconds(beside, .99))
		b.stop(s)
	}
}
