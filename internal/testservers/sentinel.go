package testservers

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// sentinels is the smallest number that has a quorum after the loss of one.
	sentinels = 3
	replicas  = 2
	// watched is the name of the primary in the Sentinels.
	watched = "main"

	redisPassword    = "the password/of@Redis"
	sentinelPassword = "the:password of Sentinels"
)

// WatchedRedis is a primary, its replicas and the Sentinels that monitor them. All of them accept only TLS. The Sentinels
// have a different password.
type WatchedRedis struct {
	t         testing.TB
	nodes     map[int]*RedisServer // by port
	sentinels []*sentinel
}

// sentinel is a RedisServer that runs as a Sentinel.
type sentinel struct {
	*RedisServer
	client *redis.SentinelClient
}

// StartWatchedRedis starts the servers with certificates of the authority, and waits until a failover is possible.
func StartWatchedRedis(t testing.TB, by *Authority) *WatchedRedis {
	t.Helper()
	w := &WatchedRedis{t: t, nodes: make(map[int]*RedisServer)}
	primary := StartRedis(t, RedisTLS(by), RedisPassword(redisPassword))
	w.nodes[primary.port] = primary
	for range replicas {
		replica := StartRedis(t, RedisTLS(by), RedisPassword(redisPassword), replicaOf(primary.port))
		w.nodes[replica.port] = replica
	}
	for range sentinels {
		w.sentinels = append(w.sentinels, startSentinel(t, by, primary.port))
	}
	w.await("every Sentinel knows the others and the replicas", func(known map[string]string) bool {
		return known["flags"] == "master" && known["num-slaves"] == strconv.Itoa(replicas) &&
			known["num-other-sentinels"] == strconv.Itoa(sentinels-1)
	})
	return w
}

// URL returns a URL that names the Sentinels and the name of the primary. It does not change after a failover.
func (w *WatchedRedis) URL() string {
	hosts := make([]string, len(w.sentinels))
	for i, s := range w.sentinels {
		hosts[i] = loopback(s.port)
	}
	query := url.Values{"sentinel_password": {sentinelPassword}}
	return "rediss-sentinel://" + url.UserPassword("", redisPassword).String() + "@" + strings.Join(hosts, ",") +
		"/" + watched + "/0?" + query.Encode()
}

// FailOver kills the primary with SIGKILL, and returns when the Sentinels have agreed on another.
func (w *WatchedRedis) FailOver() {
	w.t.Helper()
	var primary string
	w.await("the Sentinels name one primary", func(known map[string]string) bool {
		if primary == "" {
			primary = known["port"]
		}
		return known["port"] == primary
	})
	port, err := strconv.Atoi(primary)
	if err != nil || w.nodes[port] == nil {
		w.t.Fatalf("the primary's port is %q: %v", primary, err)
	}
	w.nodes[port].Kill()
	w.await("the Sentinels name another primary", func(known map[string]string) bool {
		return known["port"] != primary && known["flags"] == "master"
	})
}

// await waits until condition is true for what every Sentinel reports of the primary.
func (w *WatchedRedis) await(what string, met func(known map[string]string) bool) {
	w.t.Helper()
	var last map[string]string
	var err error
	for deadline := time.Now().Add(readyTimeout); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		all := true
		for _, s := range w.sentinels {
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
			last, err = s.client.Master(ctx, watched).Result()
			cancel()
			all = all && err == nil && met(last)
		}
		if all {
			return
		}
	}
	w.t.Fatalf("timeout: %s: %v, %v", what, last, err)
}

// startSentinel starts a Sentinel that monitors the primary at a port. The Sentinel writes its state into its configuration.
func startSentinel(t testing.TB, by *Authority, primary int) *sentinel {
	t.Helper()
	path, err := find("redis-server")
	if err != nil {
		t.Fatal(err)
	}
	s := &sentinel{RedisServer: &RedisServer{t: t, path: path, dir: t.TempDir()}}
	RedisTLS(by)(s.RedisServer)
	RedisPassword(sentinelPassword)(s.RedisServer)
	t.Cleanup(s.Kill)
	err = startOnFreePort(func(port int) error {
		s.port = port
		return s.watch(primary)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.client = redis.NewSentinelClient(s.options())
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

func (s *sentinel) watch(primary int) error {
	settings, err := s.directives()
	if err != nil {
		return err
	}
	settings = append(settings, [][]string{
		{"sentinel", "monitor", watched, "127.0.0.1", strconv.Itoa(primary), "2"},
		{"sentinel", "auth-pass", watched, redisPassword},
		{"sentinel", "down-after-milliseconds", watched, "1000"},
		{"sentinel", "failover-timeout", watched, "5000"},
	}...)
	var text strings.Builder
	for _, setting := range settings {
		for _, word := range setting {
			fmt.Fprintf(&text, "%q ", word)
		}
		text.WriteByte('\n')
	}
	config := filepath.Join(s.dir, "sentinel.conf")
	if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
		return err
	}
	cmd := exec.Command(s.path, config, "--sentinel") //nolint:gosec // the server that was found
	cmd.Dir = s.dir
	s.process, err = startProcess(cmd, syscall.SIGKILL, filepath.Join(s.dir, "sentinel.log"), s.ping)
	return err
}
