package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// shares is the time that processes have spent on a core for n things.
type shares struct {
	load, server, postgres, redis time.Duration
	n                             int64
}

// shares reads what the bench itself, a server, and the stores have used by now.
func (b *bench) shares(server int) shares {
	return shares{load: b.cpu(os.Getpid()), server: b.cpu(server), postgres: b.family(b.postgresPID), redis: b.cpu(b.redisPID)}
}

func (s shares) since(before shares) shares {
	return shares{load: s.load - before.load, server: s.server - before.server, postgres: s.postgres - before.postgres, redis: s.redis - before.redis}
}

// plus adds what n more things have cost.
func (s shares) plus(o shares, n int64) shares {
	return shares{s.load + o.load, s.server + o.server, s.postgres + o.postgres, s.redis + o.redis, s.n + n}
}

// String tells what one thing has cost.
func (s shares) String() string {
	of := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(max(s.n, 1)) }
	return fmt.Sprintf("%.1f (load %.1f, server %.1f, PostgreSQL %.1f, Redis %.1f)",
		of(s.load+s.server+s.postgres+s.redis), of(s.load), of(s.server), of(s.postgres), of(s.redis))
}

// findStores notes the processes of the servers.
func (b *bench) findStores() {
	b.query(func(ctx context.Context, conn *pgx.Conn) error {
		var backend int
		if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&backend); err != nil {
			return err
		}
		var err error
		b.postgresPID, err = strconv.Atoi(b.stat(backend)[1])
		return err
	})
	options, err := redis.ParseURL(strings.TrimPrefix(b.env[1], "REDIS_URL="))
	b.must(err)
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	info, err := client.InfoMap(b.t.Context(), "server").Result()
	b.must(err)
	b.redisPID, err = strconv.Atoi(info["Server"]["process_id"])
	b.must(err)
}

// stat is what Linux tells of a process from its state on: the parent comes second, user and system time at
// 11 and 12, those of its ended children at 13 and 14, all in hundredths of a second.
func (b *bench) stat(pid int) []string {
	b.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil // it has ended
	}
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
}

// cpu is what a process has used by now.
func (b *bench) cpu(pid int) time.Duration { return b.ticks(b.stat(pid), 11, 12) }

// family is what a process, its children and those that have ended have used by now.
func (b *bench) family(pid int) time.Duration {
	b.t.Helper()
	used := b.ticks(b.stat(pid), 11, 12, 13, 14)
	all, err := filepath.Glob("/proc/[0-9]*")
	b.must(err)
	for _, dir := range all {
		child, err := strconv.Atoi(filepath.Base(dir))
		b.must(err)
		if stat := b.stat(child); len(stat) > 1 && stat[1] == strconv.Itoa(pid) {
			used += b.ticks(stat, 11, 12)
		}
	}
	return used
}

func (b *bench) ticks(stat []string, fields ...int) (used time.Duration) {
	b.t.Helper()
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
