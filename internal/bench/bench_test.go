package bench

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/testservers"
)

const (
	connections = 64
	rounds      = 5
	roundLength = 4 * time.Second
	samples     = 300
	invites     = 2_000_000
	idleLength  = 20 * time.Second
)

// TestBench measures, and prints a table. It fails only when something cannot be measured: how fast a noisy
// machine is at the moment is no test.
func TestBench(t *testing.T) {
	b := setUp(t)
	b.report("| measure | value |")
	b.report("| --- | --- |")
	only := os.Getenv("BENCH") // a part alone; empty for all
	part := func(name string, measure func()) {
		if only == "" || only == name {
			measure()
		}
	}
	part("accepted", b.acceptedAgainstFloor)
	b.startWorker()
	part("idle", b.idle)
	part("latency", b.submitToFinal)
	part("bulk", b.bulk)
	part("beside", b.besideJob)
	part("upstream", b.upstream)
}

// bench is the services on real servers with their default durability.
type bench struct {
	t    *testing.T
	dir  string
	env  []string
	key  string
	next atomic.Int64 // the last invite used

	accounts int // made by now
	apiAddr  string
	api      *exec.Cmd
	worker   *exec.Cmd
	floor    string
	floorCmd *exec.Cmd

	postgresPID, redisPID int
}

func setUp(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir()}
	b.run("go", "-C", "../..", "build", "-o", b.dir, "./cmd/api", "./cmd/worker")
	b.run("go", "build", "-o", b.dir, "./floor")
	database, redis := testservers.StartPostgres(t), testservers.StartRedis(t)
	b.env = []string{
		"DATABASE_URL=" + database.URL(), "REDIS_URL=" + redis.URL(),
		"SMTP_URL=file:" + filepath.Join(b.dir, "mail"), "MAIL_FROM=bench@example.com", "RATE_LIMIT=1000000000",
		"SECRETS_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	}
	api := filepath.Join(b.dir, "api")
	b.run(api, "migrate")
	b.run(api, "account", "set", "bench")
	b.key = strings.TrimSpace(b.run(api, "key", "create", "--account", "bench"))
	conn, err := pgx.Connect(t.Context(), database.URL())
	b.must(err)
	_, err = conn.Exec(t.Context(), `INSERT INTO invites
		SELECT 'bench', n, '', 'ada@example.com', '', now() FROM generate_series(1, $1::bigint) n`, invites)
	b.must(err)
	_, err = conn.Exec(t.Context(), `VACUUM ANALYZE invites`)
	b.must(err)
	b.must(conn.Close(t.Context()))

	b.api, b.apiAddr = b.serve(api, "serve")
	b.floorCmd, b.floor = b.serve(filepath.Join(b.dir, "floor"))
	b.findStores()
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// program is the path of one that was built.
func (b *bench) program(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) run(program string, args ...string) string {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), program, args...)
	cmd.Env = append(os.Environ(), b.env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("%s %v: %v: %s", program, args, err, errs.String())
	}
	return string(out)
}

// begin starts a program that runs until the end; its log goes to a file, as it would.
func (b *bench) begin(env []string, program string, args ...string) *exec.Cmd {
	b.t.Helper()
	log, err := os.Create(filepath.Join(b.dir, filepath.Base(program)+".log"))
	b.must(err)
	cmd := exec.Command(program, args...)
	cmd.Env = append(append(os.Environ(), b.env...), env...)
	cmd.Stderr = log
	b.must(cmd.Start())
	b.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); _ = log.Close() })
	return cmd
}

func (b *bench) serve(program string, args ...string) (*exec.Cmd, string) {
	b.t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(b.t))
	cmd := b.begin([]string{"HTTP_ADDR=" + addr, fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", testservers.FreePort(b.t))}, program, args...)
	b.await("http://" + addr + "/healthz")
	return cmd, addr
}

func (b *bench) await(url string) {
	b.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, url, nil)
		b.must(err)
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = res.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) report(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// acceptedAgainstFloor takes turns with the floor, so that what else the machine does meets both.
func (b *bench) acceptedAgainstFloor() {
	service := target{b.apiAddr, b.key, "respond-async"}
	floor := target{b.floor, "none", ""}
	var of, at, ratios []float64
	var floorCosts, ourCosts shares
	for round := range rounds + 1 {
		before := b.shares(b.floorCmd.Process.Pid)
		f, err := accepted(floor, connections, roundLength, new(atomic.Int64))
		b.must(err)
		floorCost := b.shares(b.floorCmd.Process.Pid).since(before)
		between := b.shares(b.api.Process.Pid)
		first := b.next.Load()
		s, err := accepted(service, connections, roundLength, &b.next)
		b.must(err)
		if round == 0 { // warms both up
			continue
		}
		floorCosts, ourCosts = floorCosts.plus(floorCost, int64(f*roundLength.Seconds())), ourCosts.plus(b.shares(b.api.Process.Pid).since(between), b.next.Load()-first)
		at, of, ratios = append(at, f), append(of, s), append(ratios, s/f)
	}
	slices.Sort(at)
	slices.Sort(of)
	slices.Sort(ratios)
	b.report("| bare echo + asynq, no database: accepted/s at %d connections | %.0f (%.0f to %.0f) |", connections, quantile(at, .5), at[0], at[len(at)-1])
	b.report("| rescind, `respond-async`, durable: accepted/s at %d connections | %.0f (%.0f to %.0f) |", connections, quantile(of, .5), of[0], of[len(of)-1])
	b.report("| ratio of the two, round by round | **%.2f** (%.2f to %.2f) |", quantile(ratios, .5), ratios[0], ratios[len(ratios)-1])
	b.report("| µs of a core for each: bare echo + asynq | %s |", floorCosts)
	b.report("| µs of a core for each: rescind | %s |", ourCosts)
}

// startWorker starts the worker and lets it carry out what was accepted.
func (b *bench) startWorker() {
	admin := fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(b.t))
	began := time.Now()
	b.worker = b.begin([]string{"ADMIN_ADDR=" + admin}, filepath.Join(b.dir, "worker"))
	b.await("http://" + admin + "/healthz")
	if backlog := b.drain(); backlog > 0 {
		b.report("| the backlog of %d carried out by one worker, revocations/s | %.0f |", backlog, float64(backlog)/time.Since(began).Seconds())
	}
}

// idle looks at what doing nothing costs.
func (b *bench) idle() {
	time.Sleep(2 * time.Second)
	before := b.cpu(b.api.Process.Pid) + b.cpu(b.worker.Process.Pid)
	time.Sleep(idleLength)
	used := b.cpu(b.api.Process.Pid) + b.cpu(b.worker.Process.Pid) - before
	b.report("| idle API and worker together, of a core | %.2f %% |", 100*used.Seconds()/idleLength.Seconds())
}

// drain waits until nothing is outstanding, and gives how much there was at first.
func (b *bench) drain() (backlog int) {
	conn, err := pgx.Connect(b.t.Context(), strings.TrimPrefix(b.env[0], "DATABASE_URL="))
	b.must(err)
	defer func() { _ = conn.Close(context.WithoutCancel(b.t.Context())) }()
	for {
		var left int
		b.must(conn.QueryRow(b.t.Context(), `SELECT count(*) FROM outstanding`).Scan(&left))
		backlog = max(backlog, left)
		if left == 0 {
			return backlog
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (b *bench) submitToFinal() {
	took, err := latencies(target{b.apiAddr, b.key, ""}, samples, 30*time.Millisecond, &b.next)
	b.must(err)
	ms := func(q float64) float64 { return quantile(took, q).Seconds() * 1000 }
	b.report("| submit to final outcome over HTTP, idle: p50, p99 | %.1f ms, %.1f ms |", ms(.5), ms(.99))
}
