package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// shares is the time that processes have spent on a core.
type shares struct {
	load, server, workers, postgres, redis time.Duration
}

// shares reads what the bench itself, a contender, and the stores have used by now. The embedded form has no part
// in what the stores do at the same time.
func (b *bench) shares(s *started) shares {
	used := shares{load: b.cpu(os.Getpid()), postgres: b.family(b.postgresPID), redis: b.cpu(b.redisPID)}
	if s == nil {
		return used
	}
	if s.name == embedded {
		used.postgres, used.redis = 0, 0
	}
	used.server = b.cpu(s.server.Process.Pid)
	for _, worker := range s.workers {
		used.workers += b.cpu(worker.Process.Pid)
	}
	return used
}

func (s shares) since(before shares) shares {
	return shares{
		s.load - before.load, s.server - before.server, s.workers - before.workers, s.postgres - before.postgres, s.redis - before.redis,
	}
}

// report adds what one of n things has cost, in µs; the load itself is not counted.
func (s shares) report(t *table, row string, n int64) {
	of := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(max(n, 1)) }
	t.add(row, "all, µs", of(s.server+s.workers+s.postgres+s.redis))
	t.add(row, "API, µs", of(s.server))
	if s.workers > 0 {
		t.add(row, "worker, µs", of(s.workers))
	}
	t.add(row, "PostgreSQL, µs", of(s.postgres))
	t.add(row, "Redis, µs", of(s.redis))
}

// findStores notes the processes of the servers.
func (b *bench) findStores() {
	b.Helper()
	b.query(b.database, func(conn *pgx.Conn) error {
		var backend int
		if err := conn.QueryRow(b.Context(), `SELECT pg_backend_pid()`).Scan(&backend); err != nil {
			return err
		}
		var err error
		b.postgresPID, err = strconv.Atoi(b.stat(backend)[1])
		return err
	})
	var err error
	b.redisPID, err = strconv.Atoi(b.redisInfo("server", "process_id"))
	b.must(err)
}

// stat returns the fields of /proc/PID/stat from the state on. Field 1 is the parent, 11 and 12 are the user and system
// time, and 13 and 14 those of its ended children, all in hundredths of a second.
func (b *bench) stat(pid int) []string {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil // it has ended
	}
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
}

// cpu returns the time that a process has used.
func (b *bench) cpu(pid int) time.Duration { return b.ticks(b.stat(pid), 11, 12) }

// family returns the time used by a process, its children and its ended children.
func (b *bench) family(pid int) time.Duration {
	b.Helper()
	used := b.ticks(b.stat(pid), 11, 12, 13, 14)
	for _, child := range b.children(pid) {
		used += b.ticks(b.stat(child), 11, 12)
	}
	return used
}

func (b *bench) children(parent int) (pids []int) {
	b.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	b.must(err)
	for _, dir := range all {
		pid, err := strconv.Atoi(filepath.Base(dir))
		b.must(err)
		if stat := b.stat(pid); len(stat) > 1 && stat[1] == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (b *bench) ticks(stat []string, fields ...int) (used time.Duration) {
	b.Helper()
	if stat == nil {
		return 0
	}
	for _, field := range fields {
		n, err := strconv.Atoi(stat[field])
		b.must(err)
		used += time.Duration(n) * 10 * time.Millisecond
	}
	return used
}
