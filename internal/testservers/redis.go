package testservers

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// RedisServer is a redis-server process without persistence and without eviction.
type RedisServer struct {
	t       testing.TB
	path    string
	dir     string
	port    int
	process *process

	authority *Authority // nil without TLS
	hosts     []string   // names in its certificate
	password  string
	primary   int // the port of its primary, or 0
}

// Redis starts a redis-server, empty, that is killed when the test ends, and returns its redis:// URL.
func Redis(t testing.TB) string {
	t.Helper()
	return StartRedis(t).URL()
}

// StartRedis is like Redis, but returns the server, so that a test can break it.
func StartRedis(t testing.TB, opts ...RedisOption) *RedisServer {
	t.Helper()
	path, err := find("redis-server")
	if err != nil {
		t.Fatal(err)
	}
	s := &RedisServer{t: t, path: path, dir: t.TempDir()}
	for _, opt := range opts {
		opt(s)
	}
	t.Cleanup(s.Kill)
	err = startOnFreePort(func(port int) error {
		s.port = port
		return s.start()
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Replica starts a read-only replica of the server. It is killed when the test ends.
func (s *RedisServer) Replica() *RedisServer {
	s.t.Helper()
	return StartRedis(s.t, replicaOf(s.port))
}

// Kill ends the server with SIGKILL. Its data is lost, and its port then refuses connections.
func (s *RedisServer) Kill() {
	if s.process != nil {
		s.process.kill()
		s.process = nil
	}
}

// Start starts a killed server again, empty, on the same port.
func (s *RedisServer) Start() {
	s.t.Helper()
	if s.process != nil {
		s.t.Fatal("the Redis server is running already")
	}
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

// Pause suspends the server. The kernel still accepts connections, but the server answers nothing.
func (s *RedisServer) Pause() { s.process.signal(syscall.SIGSTOP) }

// Resume ends a Pause. The server then answers what was sent in the meantime.
func (s *RedisServer) Resume() { s.process.signal(syscall.SIGCONT) }

func (s *RedisServer) start() (err error) {
	settings, err := s.directives()
	if err != nil {
		return err
	}
	settings = append(settings, []string{"save", ""}, []string{"appendonly", "no"}, []string{"maxmemory-policy", "noeviction"})
	if s.primary != 0 {
		settings = append(settings, []string{"replicaof", "127.0.0.1", strconv.Itoa(s.primary)})
	}
	if s.password != "" {
		settings = append(settings, []string{"masterauth", s.password})
	}
	var args []string
	for _, setting := range settings {
		args = append(append(args, "--"+setting[0]), setting[1:]...)
	}
	cmd := exec.Command(s.path, args...) //nolint:gosec // the server that was found
	cmd.Dir = s.dir
	s.process, err = startProcess(cmd, syscall.SIGKILL, filepath.Join(s.dir, "redis.log"), s.ping)
	return err
}
