package bench

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rescind/internal/testservers"
)

const connections = 64

// insertInvites adds the invites 1 to $2 of the account $1 as an import does, with the copies of their texts for search.
// Otherwise the workers would make the copies while they are measured.
const insertInvites = `
	INSERT INTO invites (account_id, report_id, candidate_name, candidate_email, assessment_name, sent_at,
		name_folded, email_folded, assessment_folded)
	SELECT $1, n, '', 'ada@example.com', '', now(), '', 'ada@example.com', '' FROM generate_series(1, $2::bigint) n`

// plan is how long to look.
type plan struct {
	rounds int
	// length is how long one contender's turn of full load is.
	length time.Duration
	// idleLength is how long nothing is asked for.
	idleLength time.Duration
	// samples is how many single submissions a round has.
	samples int
	// invites is how many each contender has to revoke singly.
	invites int64
	// sizes are of jobs, and bulkRounds how often each is done.
	sizes      []int
	bulkRounds int
	scaleItems int
	// searched is how many invites the account has that is searched.
	searched int64
}

var (
	whole = plan{
		rounds: 4, length: 3 * time.Second, idleLength: 10 * time.Second, samples: 100, invites: 2_000_000,
		sizes: jobSizes(false), bulkRounds: 3, scaleItems: 300_000, searched: hugeJob,
	}
	// quick only shows that everything runs.
	quick = plan{
		rounds: 1, length: time.Second, idleLength: 2 * time.Second, samples: 20, invites: 200_000,
		sizes: []int{smallJob}, bulkRounds: 1, scaleItems: smallJob, searched: middleJob,
	}
)

// TestBench measures, and writes what it found as a table and a plot. It fails only when something cannot be
// measured: how fast a noisy machine is at the moment is no test. BENCH names the parts to be measured alone, by
// commas; what they give then goes into a directory for temporary files. BENCH_LARGE=1 adds a job of ten million,
// BENCH_QUICK=1 makes everything short.
func TestBench(t *testing.T) {
	b := setUp(t)
	only := strings.FieldsFunc(os.Getenv("BENCH"), func(r rune) bool { return r == ',' })
	for _, part := range []struct {
		name    string
		measure func()
	}{
		{"accepted", b.accepted},
		{"carried", b.carried},
		{"latency", b.latency},
		{"beside", b.besideJob},
		{"neighbours", b.neighbours},
		{"idle", b.idle},
		{"polling", b.polling},
		{"bulk", b.bulk},
		{"upstream", b.upstream},
		{"scale", b.scale},
		{"search", b.search},
	} {
		if len(only) == 0 || slices.Contains(only, part.name) {
			began := time.Now()
			part.measure()
			t.Logf("%s took %s", part.name, time.Since(began).Round(time.Second))
		}
	}
	dir := "."
	if len(only) > 0 || b.rounds == quick.rounds {
		dir = filepath.Join(os.TempDir(), "rescind-bench")
		b.must(os.MkdirAll(dir, 0o750))
	}
	b.write(filepath.Join(dir, "results.md"), b.markdown(b.machine()))
	b.write(filepath.Join(dir, "results.svg"), b.plot())
}

// bench is real servers with their default durability, and who is measured on them.
type bench struct {
	*testing.T
	plan
	results
	dir string
	env []string
	key string

	database, redis       string
	postgresPID, redisPID int

	contenders []contender
	accounts   int // made for jobs by now
}

func setUp(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, plan: whole, dir: t.TempDir()}
	if os.Getenv("BENCH_QUICK") != "" {
		b.plan = quick
	}
	if os.Getenv("BENCH_LARGE") != "" {
		b.sizes = jobSizes(true)
	}
	b.run(nil, "go", "-C", "../..", "build", "-o", b.dir, "./cmd/api", "./cmd/worker")
	b.run(nil, "go", "build", "-o", b.dir, "./floor", "./asynqrow", "./river")
	b.database, b.redis = testservers.StartPostgres(t, "max_connections=500").URL(), strings.TrimSuffix(testservers.StartRedis(t).URL(), "/0")
	b.findStores()
	b.env = []string{
		"DATABASE_URL=" + b.database, "REDIS_URL=" + b.redis + "/0", "RATE_LIMIT=1000000000", "JOB_MAX_ITEMS=100000000",
		"SMTP_URL=file:" + filepath.Join(b.dir, "mail"), "MAIL_FROM=bench@example.com",
		"SECRETS_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	}
	b.prepare(b.database, b.env)
	b.key = strings.TrimSpace(b.run(b.env, b.program("api"), "key", "create", "--account", "bench"))
	b.contenders = b.field()
	return b
}

// prepare makes the product's tables, and an account with invites.
func (b *bench) prepare(database string, env []string) {
	b.Helper()
	b.run(env, b.program("api"), "migrate")
	b.run(env, b.program("api"), "account", "set", "bench")
	b.execute(database, insertInvites, "bench", b.invites)
	b.execute(database, `VACUUM ANALYZE invites`)
}

func (b *bench) execute(database, statement string, args ...any) {
	b.Helper()
	b.query(database, func(conn *pgx.Conn) error {
		_, err := conn.Exec(b.Context(), statement, args...)
		return err
	})
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) write(path, content string) {
	b.Helper()
	b.must(os.WriteFile(path, []byte(content), 0o600))
	b.Logf("wrote %s", path)
}

// machine tells where the values come from.
func (b *bench) machine() string {
	var database string
	b.query(b.database, func(conn *pgx.Conn) error {
		return conn.QueryRow(b.Context(), `SELECT split_part(current_setting('server_version'), ' ', 1)`).Scan(&database)
	})
	parts := []string{"PostgreSQL " + database, "Redis " + b.redisInfo("server", "redis_version"), b.goVersion()}
	if node, found := b.nodeVersion(); found {
		parts = append(parts, "Node "+node)
	}
	return b.processor() + " with " + strings.Join(parts, ", ") + "; all of it, the load too, runs on this machine. " + time.Now().UTC().Format(time.DateOnly) + "."
}
