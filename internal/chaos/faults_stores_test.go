package chaos_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

func (f *faults) restartRedis(_ *rand.Rand, length time.Duration) {
	f.redisMu.Lock()
	defer f.redisMu.Unlock()
	f.redis.Kill()
	time.Sleep(length)
	f.redis.Start()
}

func (f *faults) emptyRedis(*rand.Rand, time.Duration) {
	f.redisMu.Lock()
	defer f.redisMu.Unlock()
	f.redisCommand("FLUSHALL")
}

func (f *faults) redisCommand(command ...any) {
	if err := f.inRedis(func(ctx context.Context, client *redis.Client) error { return client.Do(ctx, command...).Err() }); err != nil {
		f.violate(promises, "Redis is up and refuses %v: %v", command, err)
	}
}

func (f *faults) pauseRedis(_ *rand.Rand, length time.Duration) {
	f.redisMu.Lock()
	defer f.redisMu.Unlock()
	f.redis.Pause()
	time.Sleep(length)
	f.redis.Resume()
}

func (f *faults) fillRedis(_ *rand.Rand, length time.Duration) {
	f.redisMu.Lock()
	defer f.redisMu.Unlock()
	f.redisCommand("CONFIG", "SET", "maxmemory", "1")
	time.Sleep(length)
	f.redisCommand("CONFIG", "SET", "maxmemory", "0")
}

// someOf returns one random process or all of them.
func (f *faults) someOf(r *rand.Rand) []*node {
	nodes := f.nodes()
	if r.IntN(3) == 0 {
		return nodes
	}
	i := r.IntN(len(nodes))
	return nodes[i : i+1]
}

// blackHole holds all traffic for the given time, and then forwards it.
func blackHole(length time.Duration, proxies ...*proxy) {
	for _, p := range proxies {
		p.requests.hold()
		p.answers.hold()
	}
	time.Sleep(length)
	for _, p := range proxies {
		p.requests.release()
		p.answers.release()
	}
}

// loseAnswers forwards requests and drops the answers.
func loseAnswers(length time.Duration, proxies ...*proxy) {
	for _, p := range proxies {
		p.answers.hold()
	}
	time.Sleep(length)
	for _, p := range proxies {
		p.cut()
		p.answers.release()
	}
}

// cut resets connections, and refuses new ones for the given time.
func cut(length time.Duration, proxies ...*proxy) {
	for _, p := range proxies {
		p.refuse(true)
		p.cut()
	}
	time.Sleep(length)
	for _, p := range proxies {
		p.refuse(false)
	}
}

func redisOf(nodes []*node) (proxies []*proxy) {
	for _, n := range nodes {
		proxies = append(proxies, n.redis)
	}
	return proxies
}

// databaseOf returns the proxies between nodes and the database, for a fault in which they lose it.
func databaseOf(nodes []*node) (proxies []*proxy) {
	for _, n := range nodes {
		proxies = append(proxies, n.database)
	}
	return proxies
}

func (f *faults) redisBlackHole(r *rand.Rand, length time.Duration) {
	blackHole(length, redisOf(f.someOf(r))...)
}

func (f *faults) redisAnswersLost(r *rand.Rand, length time.Duration) {
	loseAnswers(length, redisOf(f.someOf(r))...)
}

func (f *faults) cutRedis(r *rand.Rand, _ time.Duration) {
	cut(draw(r, time.Second), redisOf(f.someOf(r))...)
}

func (f *faults) postgresBlackHole(r *rand.Rand, length time.Duration) {
	nodes := f.someOf(r)
	f.unrecorded(nodes)
	blackHole(length, databaseOf(nodes)...)
}

func (f *faults) postgresAnswersLost(r *rand.Rand, length time.Duration) {
	nodes := f.someOf(r)
	f.unrecorded(nodes)
	loseAnswers(length, databaseOf(nodes)...)
}

func (f *faults) cutPostgres(r *rand.Rand, _ time.Duration) {
	nodes := f.someOf(r)
	f.unrecorded(nodes)
	cut(draw(r, time.Second), databaseOf(nodes)...)
}

// unrecorded allows UNKNOWN emails, because their answers cannot be recorded while the database is down.
func (f *faults) unrecorded(nodes []*node) {
	for _, n := range f.workers {
		if slices.Contains(nodes, n) {
			f.inDoubt.Add(mailSlots)
		}
	}
}

func (f *faults) restartPostgres(_ *rand.Rand, length time.Duration) {
	f.postgresMu.Lock()
	defer f.postgresMu.Unlock()
	f.unrecorded(f.workers)
	f.postgres.Kill()
	time.Sleep(length)
	f.postgres.Start()
}

// inPostgres calls do with a connection to the database. No other fault restarts PostgreSQL meanwhile.
func (f *faults) inPostgres(do func(context.Context, *pgx.Conn) error) error {
	f.postgresMu.Lock()
	defer f.postgresMu.Unlock()
	return f.database(do)
}

func (f *faults) terminateBackends(r *rand.Rand, _ time.Duration) {
	f.unrecorded(f.workers)
	part := r.Float64()
	if err := f.inPostgres(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < $1`, part)
		return err
	}); err != nil {
		f.violate(promises, "terminate backends: %v", err)
	}
}

// terminateCommits terminates backends during their commits, until the time is over.
func (f *faults) terminateCommits(_ *rand.Rand, length time.Duration) {
	f.unrecorded(f.workers)
	if err := f.inPostgres(func(ctx context.Context, conn *pgx.Conn) error {
		for over := time.Now().Add(length); time.Now().Before(over); time.Sleep(3 * time.Millisecond) {
			if _, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' AND query = 'COMMIT'`); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		f.violate(promises, "terminate backends that commit: %v", err)
	}
}

// switchOn makes statements that change rows fail with a SQLSTATE.
func (f *faults) switchOn(state string, probability float64) func(*rand.Rand, time.Duration) {
	return func(_ *rand.Rand, length time.Duration) {
		f.unrecorded(f.workers)
		if err := f.inPostgres(func(ctx context.Context, conn *pgx.Conn) error {
			if _, err := conn.Exec(ctx, `UPDATE chaos.switch SET probability = $1, sqlstate = $2`, probability, state); err != nil {
				return err
			}
			time.Sleep(length)
			_, err := conn.Exec(ctx, `UPDATE chaos.switch SET probability = 0`)
			return err
		}); err != nil {
			f.violate(promises, "make PostgreSQL fail: %v", err)
		}
	}
}

// deadlocks locks a job and then invites until the time is over. The service locks them in the opposite order.
func (f *faults) deadlocks(r *rand.Rand, length time.Duration) {
	for over := time.Now().Add(length); time.Now().Before(over); {
		account := f.accounts[r.IntN(2)]
		last := account.fresh.Load()
		// PostgreSQL chooses the victim of a deadlock. It may be this transaction.
		_ = f.inPostgres(func(ctx context.Context, conn *pgx.Conn) error {
			tx, err := conn.Begin(ctx)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback(ctx) }()
			for _, lock := range []string{
				`SELECT FROM jobs WHERE account_id = $1 AND finished_at IS NULL AND $2 > 0 FOR UPDATE`,
				`SELECT FROM work_items WHERE account_id = $1 AND report_id <= $2 ORDER BY report_id DESC LIMIT 20 FOR UPDATE`,
				`SELECT FROM invites WHERE account_id = $1 AND report_id <= $2 ORDER BY report_id DESC LIMIT 50 FOR UPDATE`,
			} {
				if _, err := tx.Exec(ctx, lock, account.id, last); err != nil {
					return err
				}
				time.Sleep(draw(r, 200*time.Millisecond))
			}
			return nil
		})
	}
}

// lockTables locks a table against the service.
func (f *faults) lockTables(r *rand.Rand, length time.Duration) {
	table := []string{"invites", "revocations", "work_items", "jobs", "notifications"}[r.IntN(5)]
	if table == "notifications" {
		f.unrecorded(f.workers)
	}
	// This transaction may be the victim of a deadlock.
	_ = f.inPostgres(func(ctx context.Context, conn *pgx.Conn) error {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(ctx) }()
		if _, err := tx.Exec(ctx, "LOCK TABLE "+table+" IN EXCLUSIVE MODE"); err != nil {
			return err
		}
		time.Sleep(length)
		return nil
	})
}
