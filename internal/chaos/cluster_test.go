package chaos_test

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"rescind/internal/failpoint"
	"rescind/internal/testservers"
)

//go:embed witness.sql
var witness string

const (
	upstreamKey = "the-key-at-the-upstream"
	secretsKey  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	// Every invite whose report_id is a multiple of beforePlan was sent before the plan change of the account that has one.
	beforePlan = 17
	// The upstream rejects the first call for every report_id that is a multiple of rejected.
	rejected = 13
	// previewTTL is so short that some previews expire.
	previewTTL = 5 * time.Second
)

// account is a tenant of the cluster.
type account struct {
	id       string
	key      string
	invites  int64 // report_ids from 1 to invites exist; 0 means an upstream, where all exist
	hasPlan  bool
	fresh    atomic.Int64 // the highest report_id that was drawn
	keys     atomic.Int64 // the last number of an Idempotency-Key; accounts use the same keys
	upstream bool

	// hold is the account's hold. confirmAbove and approveAbove are its limits, or 0.
	hold                       time.Duration
	confirmAbove, approveAbove int
	// approver is a key that can only approve and read.
	approver string
}

func (a *account) settings() (args []string) {
	if a.hold > 0 {
		args = append(args, "--hold", a.hold.String())
	}
	if a.confirmAbove > 0 {
		args = append(args, "--confirm-above", strconv.Itoa(a.confirmAbove), "--approve-above", strconv.Itoa(a.approveAbove))
	}
	return args
}

// cluster consists of two APIs and two workers as they are shipped, on real servers.
type cluster struct {
	t        *testing.T
	seed     uint64
	began    time.Time
	postgres *testservers.PostgresServer
	redis    *testservers.RedisServer
	mail     *testservers.SMTPServer
	platform *testservers.PlatformServer
	accounts []*account
	apis     []*node
	workers  []*node
	http     *http.Client
	points   *failpoints
	history  *history
	readers  []*eventReader
	// inDoubt is the number of emails that the faults so far may have left UNKNOWN.
	inDoubt atomic.Int64

	findings findings
}

// startCluster starts a cluster with two accounts with the given number of invites, one account on an upstream, and the
// accounts more.
func startCluster(t *testing.T, seed uint64, invites int64, more ...*account) *cluster {
	t.Helper()
	// PostgreSQL waits for the disk as in production, so that faults can happen during a commit.
	return startClusterOn(t, testservers.StartPostgres(t, postgresSettings...), seed, invites, more...)
}

var postgresSettings = []string{"track_commit_timestamp=on", "deadlock_timeout=100ms"}

func startClusterOn(t *testing.T, postgres *testservers.PostgresServer, seed uint64, invites int64, more ...*account) *cluster {
	t.Helper()
	c := &cluster{
		t: t, seed: seed, began: time.Now(), history: newHistory(), postgres: postgres,
		redis: testservers.StartRedis(t), mail: testservers.SMTP(t), platform: testservers.Platform(t, upstreamKey),
		points: startFailpoints(t),
		// Without idle connections, each request reaches the process that runs now.
		http: &http.Client{Timeout: requestTimeout, Transport: &http.Transport{DisableKeepAlives: true}},
		accounts: []*account{
			{id: "acme", invites: invites, hasPlan: true}, {id: "beta", invites: invites}, {id: "remote", upstream: true},
		},
	}
	c.accounts = append(c.accounts, more...)
	env := []string{
		failpoint.Setting + "=" + c.points.addr(),
		"SMTP_URL=" + c.mail.URL(), "MAIL_FROM=Recruiting <recruiting@example.com>", "SECRETS_KEY=" + secretsKey,
		"BACKOFF_BASE=100ms", "BACKOFF_MAX=1s", "UPSTREAM_TIMEOUT=1s", "MAX_ATTEMPTS=100000", "RATE_LIMIT=1000000",
		"PREVIEW_TTL=" + previewTTL.String(),
	}
	c.prepare(append(env, "DATABASE_URL="+c.postgres.URL(), "REDIS_URL="+c.redis.URL(), "PATH="+os.Getenv("PATH")))
	for i := range 2 {
		addr := fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(t))
		admin := func() string { return fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", testservers.FreePort(t)) }
		api := newNode(t, fmt.Sprintf("api%d", i), programs.api, []string{"serve"},
			append([]string{"HTTP_ADDR=" + addr, admin()}, env...), c.postgres.URL(), c.redis.URL())
		api.addr = addr
		c.apis = append(c.apis, api)
		c.workers = append(c.workers, newNode(t, fmt.Sprintf("worker%d", i), programs.worker, nil,
			append([]string{admin()}, env...), c.postgres.URL(), c.redis.URL()))
	}
	for _, n := range c.nodes() {
		if err := n.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.kill)
	}
	return c
}

func (c *cluster) nodes() []*node { return append(append([]*node(nil), c.apis...), c.workers...) }

// prepare creates the tables, the witnesses, the accounts and their invites.
func (c *cluster) prepare(env []string) {
	c.t.Helper()
	command := func(stdin string, args ...string) string {
		c.t.Helper()
		cmd := exec.CommandContext(c.t.Context(), programs.api, args...)
		cmd.Env, cmd.Stdin = env, strings.NewReader(stdin)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			c.t.Fatalf("%v: %v: %s", args, err, errs.String())
		}
		return strings.TrimSpace(string(out))
	}
	command("", "migrate")
	keyFile := filepath.Join(c.t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte(upstreamKey), 0o600); err != nil {
		c.t.Fatal(err)
	}
	for _, a := range c.accounts {
		args := []string{"account", "set", a.id, "--name", "Company " + a.id}
		if a.hasPlan {
			args = append(args, "--plan-changed-at", "2025-01-15T10:32:45Z")
		}
		if a.upstream {
			args = append(args, "--upstream-url", c.platform.URL(), "--upstream-key-file", keyFile)
		}
		command("", append(args, a.settings()...)...)
		if a.invites > 0 {
			command(invitesCSV(a.invites), "invites", "import", "--account", a.id, "-")
		}
		a.key = command("", "key", "create", "--account", a.id)
		a.approver = command("", "key", "create", "--account", a.id, "--scopes", "approve")
	}
	if err := c.database(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, witness)
		return err
	}); err != nil {
		c.t.Fatal(err)
	}
}

func invitesCSV(n int64) string {
	var b strings.Builder
	b.WriteString("report_id,candidate_name,candidate_email,assessment_name,sent_at\n")
	for i := int64(1); i <= n; i++ {
		year := 2026
		if i%beforePlan == 0 {
			year = 2024
		}
		fmt.Fprintf(&b, "%d,Candidate %d,c%d@candidate.example,Go Engineer,%d-01-01T00:00:00Z\n", i, i, i, year)
	}
	return b.String()
}

// database calls do with a connection to PostgreSQL that bypasses the proxies. It returns an error if PostgreSQL is down.
func (c *cluster) database(do func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.postgres.URL())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // the connection is not used any more
	return do(ctx, conn)
}

// inRedis calls do with a client of Redis that bypasses the proxies.
func (c *cluster) inRedis(do func(context.Context, *redis.Client) error) error {
	options, err := redis.ParseURL(c.redis.URL())
	if err != nil {
		return err
	}
	options.MaxRetries = -1
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }() // the connection is not used any more
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), 5*time.Second)
	defer cancel()
	return do(ctx, client)
}

// now returns the time since the start of the run.
func (c *cluster) now() time.Duration { return time.Since(c.began) }
