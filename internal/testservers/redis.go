package testservers

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// RedisServer is a redis-server process that keeps nothing on disk and evicts nothing.
type RedisServer struct {
	t       testing.TB
	path    string
	dir     string
	port    int
	process *process
}

// Redis starts a redis-server, empty, that is killed when the test ends, and returns its redis:// URL.
func Redis(t testing.TB) string {
	t.Helper()
	return StartRedis(t).URL()
}

// StartRedis is Redis for a test that also breaks the server.
func StartRedis(t testing.TB) *RedisServer {
	t.Helper()
	path, err := find("redis-server")
	if err != nil {
		t.Fatal(err)
	}
	s := &RedisServer{t: t, path: path, dir: t.TempDir()}
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

// URL is the server's address and stays the same for its life.
func (s *RedisServer) URL() string { return "redis://" + loopback(s.port) + "/0" }

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
	cmd := exec.Command(s.path, //nolint:gosec // the server that was found
		"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction")
	cmd.Dir = s.dir
	s.process, err = startProcess(cmd, syscall.SIGKILL, filepath.Join(s.dir, "redis.log"), s.ping)
	return err
}

func (s *RedisServer) ping() error {
	conn, err := net.DialTimeout("tcp", loopback(s.port), time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprint(conn, "PING\r\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if answer != "+PONG\r\n" {
		return errors.New("another server answers on its port")
	}
	return nil
}
