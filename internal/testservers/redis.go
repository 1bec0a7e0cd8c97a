package testservers

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// RedisServer is a redis-server process that keeps nothing on disk and evicts nothing.
type RedisServer struct {
	t       testing.TB
	path    string
	dir     string
	port    int
	process *process

	authority *Authority // nil: it speaks plain TCP
	hosts     []string   // of its certificate
	password  string
	primary   int // the port of the one that it copies; 0: none
}

// Redis starts a redis-server, empty, that is killed when the test ends, and returns its redis:// URL.
func Redis(t testing.TB) string {
	t.Helper()
	return StartRedis(t).URL()
}

// StartRedis is Redis for a test that also breaks the server.
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

// Replica starts a server that copies this one and can only be read. It is killed when the test ends.
func (s *RedisServer) Replica() *RedisServer {
	s.t.Helper()
	return StartRedis(s.t, replicaOf(s.port))
}

// Kill ends the server as kill -9 does, and what it held is lost. Its port then refuses connections.
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

// Pause makes a black hole of the server: connections are accepted, by the kernel, and nothing is answered.
func (s *RedisServer) Pause() { s.process.signal(syscall.SIGSTOP) }

// Resume ends a Pause. What was sent in the meantime is answered now.
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
