package testservers_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"rescind/internal/testservers"
)

// maxWait is how long a test waits for a condition.
const maxWait = time.Minute

func TestMain(m *testing.M) { testservers.Main(m) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func query[T any](t *testing.T, conn *pgx.Conn, sql string) T {
	t.Helper()
	var value T
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func redisClient(t *testing.T, url string) *redis.Client {
	t.Helper()
	opts, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	opts.MaxRetries = -1
	opts.ContextTimeoutEnabled = true
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestPostgres(t *testing.T) {
	t.Run("each test has its own database", func(t *testing.T) {
		one, two := connect(t, testservers.Postgres(t)), connect(t, testservers.Postgres(t))
		execute(t, one, "CREATE TABLE mine (id int)")
		if query[bool](t, two, "SELECT to_regclass('mine') IS NOT NULL") {
			t.Error("a table of one database stands in the other")
		}
		if a, b := query[string](t, one, "SHOW port"), query[string](t, two, "SHOW port"); a != b {
			t.Errorf("ports %s and %s, want one server", a, b)
		}
	})
	t.Run("the database is dropped at the test's end, with connections open", func(t *testing.T) {
		var gone string
		longer := t
		t.Run("user", func(t *testing.T) {
			gone = testservers.Postgres(t)
			connect(longer, gone)
		})
		name := strings.TrimPrefix(mustParse(t, gone).Path, "/")
		conn := connect(t, testservers.Postgres(t))
		if query[bool](t, conn, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = '"+name+"')") {
			t.Errorf("%s still exists", name)
		}
	})
	t.Run("text is sorted by the rules of a language if the version can", func(t *testing.T) {
		conn := connect(t, testservers.Postgres(t))
		if query[string](t, conn, "SHOW server_version_num") < "150000" {
			return
		}
		if !query[bool](t, conn, "SELECT 'a' < 'B' AND 'B' < 'c'") {
			t.Error("text is sorted by its bytes")
		}
	})
}

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestPostgresServer_SurvivesKill(t *testing.T) {
	srv := testservers.StartPostgres(t, "max_connections=17")
	conn := connect(t, srv.URL())
	if got := query[string](t, conn, "SHOW max_connections"); got != "17" {
		t.Errorf("max_connections is %s, want the test's", got)
	}
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if got := query[string](t, conn, "SHOW "+setting); got != "on" {
			t.Errorf("%s is %s, want it as durable as by default", setting, got)
		}
	}
	execute(t, conn, "CREATE TABLE kept (id int)")
	execute(t, conn, "INSERT INTO kept VALUES (1)")

	// A backend in a long statement keeps the memory of the dead server, unless Kill also kills the backend.
	busy := connect(t, srv.URL())
	computing := make(chan error)
	go func() {
		_, err := busy.Exec(t.Context(), "SELECT count(*) FROM generate_series(1, 10000000000)")
		computing <- err
	}()
	awaitTrue(t, conn, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series%' AND pid <> pg_backend_pid())")

	srv.Kill()
	if err := <-computing; err == nil {
		t.Error("a statement survived the kill")
	}
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("a connection survived the kill")
	}
	refuses(t, mustParse(t, srv.URL()).Host)

	srv.Start()
	if got := query[int](t, connect(t, srv.URL()), "SELECT count(*) FROM kept"); got != 1 {
		t.Errorf("%d rows after the kill, want the one that was committed", got)
	}
	srv.Restart()
	if got := query[int](t, connect(t, srv.URL()), "SELECT count(*) FROM kept"); got != 1 {
		t.Errorf("%d rows after a restart, want 1", got)
	}
}

func awaitTrue(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	for deadline := time.Now().Add(maxWait); !query[bool](t, conn, sql); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s", sql)
		}
	}
}

func refuses(t *testing.T, addr string) {
	t.Helper()
	if conn, err := net.Dial("tcp", addr); err == nil {
		_ = conn.Close()
		t.Errorf("%s still accepts connections", addr)
	}
}

func TestRedis_IsEmptyAndKeepsWhatItHas(t *testing.T) {
	one, two := redisClient(t, testservers.Redis(t)), redisClient(t, testservers.Redis(t))
	if err := one.Set(t.Context(), "mine", 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := two.DBSize(t.Context()).Result(); err != nil || got != 0 {
		t.Errorf("%d keys, %v, in the other server", got, err)
	}
	want := map[string]string{"maxmemory-policy": "noeviction", "save": "", "appendonly": "no"}
	for setting, value := range want {
		got, err := one.ConfigGet(t.Context(), setting).Result()
		if err != nil || got[setting] != value {
			t.Errorf("%s is %q, %v, want %q", setting, got[setting], err, value)
		}
	}
}

func TestRedisServer(t *testing.T) {
	srv := testservers.StartRedis(t)
	client := redisClient(t, srv.URL())
	set := func() {
		t.Helper()
		if err := client.Set(t.Context(), "key", 1, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set()

	t.Run("paused: no answers", func(t *testing.T) {
		srv.Pause()
		defer srv.Resume()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := client.Get(ctx, "key").Err(); err == nil {
			t.Error("it answered")
		}
		conn, err := net.DialTimeout("tcp", mustParse(t, srv.URL()).Host, maxWait)
		if err != nil {
			t.Fatalf("a paused server accepts connections: %v", err)
		}
		_ = conn.Close()
	})
	t.Run("resumed: answers", func(t *testing.T) {
		if got, err := client.Get(t.Context(), "key").Int(); err != nil || got != 1 {
			t.Errorf("got %d, %v", got, err)
		}
	})
	t.Run("killed: connections are refused, paused or not", func(t *testing.T) {
		srv.Pause()
		srv.Kill()
		srv.Kill()
		refuses(t, mustParse(t, srv.URL()).Host)
	})
	t.Run("started again: empty, on the same port", func(t *testing.T) {
		srv.Start()
		if got, err := client.Exists(t.Context(), "key").Result(); err != nil || got != 0 {
			t.Errorf("%d keys survived the kill, %v", got, err)
		}
		set()
	})
}

// asVictim is set in a process of this test binary that starts servers and waits to be killed.
const asVictim = "TESTSERVERS_HANG"

func TestServers_DieWithTheTestBinary(t *testing.T) {
	if os.Getenv(asVictim) != "" {
		redisURL, postgresURL := testservers.Redis(t), testservers.Postgres(t)
		fmt.Println(asVictim, redisURL, postgresURL)
		select {}
	}
	victim := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	victim.Env = append(os.Environ(), asVictim+"=1")
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() // for the files of the victim
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err) // a server under another user must be able to enter it
	}
	victim.Env = append(victim.Env, "TMPDIR="+dir)
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	var urls []string
	for lines := bufio.NewScanner(out); len(urls) == 0 && lines.Scan(); {
		if line, ok := strings.CutPrefix(lines.Text(), asVictim); ok {
			urls = strings.Fields(line)
		}
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // it was killed
	if len(urls) != 2 {
		t.Fatal("it started no servers")
	}
	for _, u := range urls {
		addr := mustParse(t, u).Host
		for deadline := time.Now().Add(maxWait); ; time.Sleep(time.Millisecond) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				break
			}
			_ = conn.Close()
			if time.Now().After(deadline) {
				t.Fatalf("%s survived the test binary", mustParse(t, u).Scheme)
			}
		}
	}
}

func TestFreePort(t *testing.T) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}
