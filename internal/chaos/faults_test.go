package chaos_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// faults injects faults, one at a time or two that overlap.
type faults struct {
	*cluster
	until time.Time
	// Two faults of the same server would undo each other, so each holds the server's mutex.
	postgresMu, redisMu, mailMu, platformMu sync.Mutex

	trouble atomic.Pointer[upstreamTrouble]
	mu      sync.Mutex
	made    map[string]int
}

// fault is one kind of fault. The function do injects it, and undoes it before it returns. It draws random numbers from r.
// It takes at most length, plus the time in which a process ends and starts.
type fault struct {
	name   string
	weight int
	length time.Duration
	do     func(r *rand.Rand, length time.Duration)
}

func (f *faults) list() []fault {
	const short, long = 3 * time.Second, 8 * time.Second
	return []fault{
		{"API: kill", 4, 0, f.killAPI},
		{"API: kill before its commit", 4, 0, f.killAPIBeforeCommit},
		{"API: kill after its commit", 4, 0, f.killAPIAfterCommit},
		{"API: SIGTERM", 3, 0, f.terminateAPI},
		{"worker: kill", 5, 0, f.killWorker},
		{"worker: kill before its commit", 3, 0, f.killWorkerBeforeCommit},
		{"worker: kill after its commit", 3, 0, f.killWorkerAfterCommit},
		{"worker: SIGTERM", 3, 0, f.terminateWorker},
		{"worker: stopped", 3, time.Minute, f.stopWorker},
		{"API: kill at a point", 4, short, f.killAtPoint("api")},
		{"worker: kill at a point", 6, short, f.killAtPoint("worker")},
		{"API: SIGTERM at a point", 3, short, f.terminateAtPoint("api")},
		{"worker: SIGTERM at a point", 3, short, f.terminateAtPoint("worker")},
		{"API: held at a point", 2, long, f.holdAtPoint("api")},
		{"worker: held at a point", 3, long, f.holdAtPoint("worker")},
		{"workers: kill before an upstream call's effect", 2, short, f.killBeforeEffect},
		{"workers: kill after an upstream call's effect", 2, short, f.killAfterEffect},
		{"workers: kill before the final dot", 2, short, f.killBeforeDot},
		{"workers: kill after the final dot", 2, short, f.killAfterDot},
		{"Redis: restarted empty", 4, long, f.restartRedis},
		{"Redis: emptied", 4, 0, f.emptyRedis},
		{"Redis: no answers", 3, long, f.pauseRedis},
		{"Redis: out of memory", 3, long, f.fillRedis},
		{"Redis: black hole", 3, long, f.redisBlackHole},
		{"Redis: answers lost", 3, short, f.redisAnswersLost},
		{"Redis: connections cut", 3, 0, f.cutRedis},
		{"PostgreSQL: restarted", 3, long, f.restartPostgres},
		{"PostgreSQL: black hole", 3, long, f.postgresBlackHole},
		{"PostgreSQL: answers lost", 4, short, f.postgresAnswersLost},
		{"PostgreSQL: connections cut", 4, 0, f.cutPostgres},
		{"PostgreSQL: backends terminated", 3, 0, f.terminateBackends},
		{"PostgreSQL: backends terminated in their commit", 3, short, f.terminateCommits},
		{"PostgreSQL: serialization failures", 3, short, f.switchOn("40001", 0.2)},
		{"PostgreSQL: deadlocks", 3, short, f.deadlocks},
		{"PostgreSQL: disk full", 3, short, f.switchOn("53100", 0.5)},
		{"PostgreSQL: tables locked", 3, short, f.lockTables},
		{"SMTP: refusals", 4, long, f.mailRefusals},
		{"SMTP: broken connections", 4, long, f.mailBreaks},
		{"SMTP: stall", 3, long, f.mailStalls},
		{"upstream: 429, 500, garbage", 4, long, f.upstreamAnswers},
		{"upstream: hangs and breaks", 4, long, f.upstreamBreaks},
	}
}

// run injects faults until the time is over. It returns when all faults are undone.
func (f *faults) run(r *rand.Rand) {
	list := f.list()
	sum := 0
	for _, one := range list {
		sum += one.weight
	}
	var under sync.WaitGroup
	slots := make(chan struct{}, 2)
	for time.Now().Before(f.until) {
		slots <- struct{}{}
		at, next := r.IntN(sum), fault{}
		for _, one := range list {
			if at -= one.weight; at < 0 {
				next = one
				break
			}
		}
		own := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		length := min(next.length, max(0, time.Until(f.until)))
		if length > 0 {
			length = length/10 + draw(own, length)*9/10
		}
		pause := draw(r, 1500*time.Millisecond)
		under.Go(func() {
			defer func() { <-slots }()
			f.mu.Lock()
			f.made[next.name]++
			f.mu.Unlock()
			f.t.Logf("%s: %s (%s)", f.now().Round(time.Millisecond), next.name, length.Round(time.Millisecond))
			next.do(own, length)
		})
		time.Sleep(pause)
	}
	under.Wait()
}

// mailSlots is the maximum number of emails that a worker sends concurrently.
const mailSlots = 8

// doubt allows emails of the given number of workers to end as UNKNOWN, because their answers may not be recorded. It
// allows as many as are COMMITTED now. If the database does not answer, it allows the maximum.
func (f *faults) doubt(workers int64) {
	limit, committed := workers*mailSlots, int64(0)
	err := f.database(func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT count(*) FROM notifications WHERE status = 'COMMITTED'`).Scan(&committed)
	})
	if err == nil {
		limit = min(limit, committed)
	}
	f.inDoubt.Add(limit)
}

// restart starts a process that was ended.
func (f *faults) restart(n *node) {
	if err := n.start(); err != nil {
		f.violate(promises, "%s does not start: %v", n.name, err)
	}
}

// some locks and returns a random node. The caller must unlock its mutex.
func some(r *rand.Rand, nodes []*node) *node {
	n := nodes[r.IntN(len(nodes))]
	n.mu.Lock()
	return n
}

// draw returns a random duration in [0, below).
func draw(r *rand.Rand, below time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(below)))
}
