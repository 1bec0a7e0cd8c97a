package bench

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/testservers"
)

// contender is a way to do the work.
type contender struct {
	name string
	// api and worker are commands. One without a worker has it in the API, or none at all.
	api, worker []string
	env         []string
	// target is how to ask; its address is known when it has started.
	target target
	// carries reports whether the contender carries out what it accepts.
	carries bool
	// newest selects the last revocation after an id that is not final. still counts whether a revocation is not final. They are
	// empty if only HTTP shows it.
	database, newest, still string
	// next is the last invite used, and invites their number. It is 0 if the contender does not check invites.
	next    *atomic.Int64
	invites int64
}

// Revocations that are not final, in the tables of rescind and of a contender.
const (
	newestWorkItem = `SELECT revocation_id::text FROM work_items WHERE account_id = 'bench' AND revocation_id > $1::uuid ORDER BY revocation_id DESC LIMIT 1`
	stillWorkItem  = `SELECT count(*) FROM work_items WHERE account_id = 'bench' AND revocation_id = $1::uuid`
	newestPending  = `SELECT id::text FROM revocations WHERE account_id = 'bench' AND status = 'PENDING' AND id > $1::uuid ORDER BY id DESC LIMIT 1`
	stillPending   = `SELECT count(*) FROM revocations WHERE account_id = 'bench' AND status = 'PENDING' AND id = $1::uuid`
)

// field makes everybody ready to start. The others have a database of their own on the same server, with the
// same tables and invites, a database of Redis each, and the product's own setting of the garbage collector.
func (b *bench) field() []contender {
	b.Helper()
	b.execute(b.database, `CREATE DATABASE contenders`)
	address, err := url.Parse(b.database)
	b.must(err)
	address.Path = "/contenders"
	database := address.String()
	statements, err := filepath.Abs("contender")
	b.must(err)
	numbered := 0
	env := func() []string {
		numbered++
		return []string{"DATABASE_URL=" + database, fmt.Sprintf("REDIS_URL=%s/%d", b.redis, numbered), "GOGC=400", "STATEMENTS=" + statements}
	}
	b.prepare(database, env())
	b.run(env(), b.program("river"), "migrate")
	next := new(atomic.Int64) // they share it with the invites: nobody is to find one that is revoked already
	other := func(name string, api, worker []string) contender {
		return contender{
			name: name, api: api, worker: worker, env: env(), target: target{key: "none"}, carries: true,
			database: database, newest: newestPending, still: stillPending, next: next, invites: b.invites,
		}
	}
	all := []contender{
		{
			name: rescind, api: []string{b.program("api"), "serve"}, worker: []string{b.program("worker")}, env: b.env,
			target: target{key: b.key}, carries: true, database: b.database, newest: newestWorkItem, still: stillWorkItem,
			next: new(atomic.Int64), invites: b.invites,
		},
		b.embedded(),
		{name: bareFloor, api: []string{b.program("floor")}, env: env(), target: target{key: "none"}, next: new(atomic.Int64)},
		other(asynqRow, []string{b.program("asynqrow"), "api"}, []string{b.program("asynqrow"), "worker"}),
		other(riverPlain, []string{b.program("river"), "api"}, []string{b.program("river"), "worker"}),
		other(riverBatched, []string{b.program("river"), "batched"}, []string{b.program("river"), "worker"}),
	}
	if dir, why := b.installNode(); why != "" {
		b.Logf("%s is left out: %s", bullMQ, why)
	} else {
		all = append(all, other(bullMQ, []string{"node", filepath.Join(dir, "api.js")}, []string{"node", filepath.Join(dir, "worker.js")}))
	}
	return all
}

// embedded is the product in one process, with invites of its own.
func (b *bench) embedded() contender {
	b.Helper()
	data := "--data=" + filepath.Join(b.dir, "data")
	b.run(b.env, b.program("api"), "account", "set", "bench", data)
	invites := b.invites / 2
	b.importInvites("bench", int(invites), data)
	key := strings.TrimSpace(b.run(b.env, b.program("api"), "key", "create", "--account", "bench", data))
	return contender{
		name: embedded, api: []string{b.program("api"), "standalone", data}, env: b.env, target: target{key: key}, carries: true,
		next: new(atomic.Int64), invites: invites,
	}
}

// installNode installs the packages of the Node programs into a directory, or returns why it cannot. `npm ci` requires the
// addresses in the lock file. `npm install` uses the same versions and checks the same hashes.
func (b *bench) installNode() (dir, why string) {
	b.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		return "", "there is no npm"
	}
	dir = filepath.Join(b.dir, "bullmq")
	b.must(os.CopyFS(dir, os.DirFS("bullmq")))
	install := exec.CommandContext(b.Context(), "npm", "install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund")
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Sprintf("npm install: %v: %s", err, out)
	}
	return dir, ""
}

// started is a contender at work.
type started struct {
	contender
	server  *exec.Cmd
	workers []*exec.Cmd
}

// start starts a contender with a number of workers.
func (b *bench) start(c contender, workers int) *started {
	b.Helper()
	s := &started{contender: c}
	s.target.addr = fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(b))
	s.server = b.begin(append(c.env, "HTTP_ADDR="+s.target.addr, b.admin()), c.api)
	b.await("http://" + s.target.addr + "/healthz")
	for range workers {
		if len(c.worker) > 0 {
			s.workers = append(s.workers, b.begin(append(c.env, b.admin()), c.worker))
		}
	}
	return s
}

func (b *bench) admin() string {
	return fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", testservers.FreePort(b))
}

// stop ends its processes, which then have nothing more to do.
func (b *bench) stop(s *started) {
	for _, cmd := range append(s.workers, s.server) {
		b.must(cmd.Process.Signal(syscall.SIGTERM))
		_ = cmd.Wait() // the exit code is not part of the benchmark
	}
}

// asking is the target, told not to wait where it can be told.
func (s *started) asking() target {
	t := s.target
	if strings.HasPrefix(s.name, rescind) {
		t.prefer = "respond-async"
	}
	return t
}

// submit is a time of full load, of which nothing may be unknown to the contender.
func (b *bench) submit(s *started, length time.Duration) run {
	b.Helper()
	r, err := accepted(s.asking(), connections, length, s.next)
	b.must(err)
	if s.invites > 0 && s.next.Load() > s.invites {
		b.Fatalf("%s has used up its invites: give it more", s.name)
	}
	return r
}

// warm has a contender do what it is about to be measured at.
func (b *bench) warm(s *started) {
	b.Helper()
	began := time.Now()
	b.submit(s, time.Second)
	if s.carries {
		b.drain(s, began)
	}
}

// drain waits until everything submitted since began is final. It finds the newest revocation that is not, and then waits
// for that one, because reading all of them repeatedly would load the machine.
func (b *bench) drain(s *started, began time.Time) {
	b.Helper()
	if s.newest == "" {
		b.drainOverHTTP(s)
		return
	}
	// Ids begin with their time, in milliseconds.
	first := fmt.Sprintf("%012x", began.UnixMilli())
	first = first[:8] + "-" + first[8:] + "-0000-0000-000000000000"
	b.query(s.database, func(conn *pgx.Conn) error {
		for {
			var id string
			if err := conn.QueryRow(b.Context(), s.newest, first).Scan(&id); err == pgx.ErrNoRows { //nolint:errorlint // as pgx tells it
				return nil
			} else if err != nil {
				return err
			}
			for left := 1; left > 0; time.Sleep(2 * time.Millisecond) {
				if err := conn.QueryRow(b.Context(), s.still, id).Scan(&left); err != nil {
					return err
				}
			}
		}
	})
}

func (b *bench) drainOverHTTP(s *started) {
	b.Helper()
	for left := true; left; time.Sleep(2 * time.Millisecond) {
		var page struct{ Data []struct{ ID string } }
		b.call(s.target, "GET", "/revocations?status=PENDING&limit=1", nil, &page)
		left = len(page.Data) > 0
	}
}

// audit checks that each revocation that was carried out has revoked its own invite.
func (b *bench) audit(database string) {
	b.Helper()
	b.query(database, func(conn *pgx.Conn) error {
		var revoked, others, invites int
		err := conn.QueryRow(b.Context(), `SELECT count(*) FILTER (WHERE status = 'REVOKED'), count(*) FILTER (WHERE status <> 'REVOKED'),
			(SELECT count(*) FROM invites WHERE account_id = 'bench' AND revoked_at IS NOT NULL)
			FROM revocations WHERE account_id = 'bench'`).Scan(&revoked, &others, &invites)
		if err == nil && (others > 0 || revoked != invites || revoked == 0) {
			err = fmt.Errorf("%d invites are revoked, by %d revocations; %d have another outcome", invites, revoked, others)
		}
		return err
	})
}

// clear forgets what a contender has accepted and not carried out.
func (b *bench) clear(s *started) {
	b.Helper()
	client := b.redisClient(s.env)
	b.must(client.FlushDB(context.WithoutCancel(b.Context())).Err())
	b.must(client.Close())
	if s.database != "" {
		b.execute(s.database, `TRUNCATE revocations, river_job`)
	}
}
