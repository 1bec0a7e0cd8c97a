package chaos_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// node is one process of the service, with its own proxies to the database and to Redis. The fault that ends the process
// starts it again.
type node struct {
	name     string
	program  string
	args     []string
	env      []string
	addr     string // of an API
	log      string
	database *proxy
	redis    *proxy

	mu      sync.Mutex // held while the process is ended and started
	cmd     *exec.Cmd
	started time.Time
	done    chan struct{}
}

// newNode returns a node that is not running.
func newNode(t *testing.T, name, program string, args, env []string, database, redis string) *node {
	t.Helper()
	n := &node{name: name, program: program, args: args, log: filepath.Join(t.TempDir(), name+".log")}
	through := func(server string) (*proxy, string) {
		u, err := url.Parse(server)
		if err != nil {
			t.Fatal(err)
		}
		p := startProxy(t, u.Host, nil)
		u.Host = p.addr()
		return p, u.String()
	}
	var databaseURL, redisURL string
	n.database, databaseURL = through(database)
	n.redis, redisURL = through(redis)
	n.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0", "DATABASE_URL=" + databaseURL, "REDIS_URL=" + redisURL,
	}, env...)
	return n
}

// start starts the process.
func (n *node) start() error {
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own file descriptor
	cmd := exec.Command(n.program, n.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = n.env, log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }() // how it ended is in ProcessState
	n.cmd, n.started, n.done = cmd, time.Now(), done
	return nil
}

// kill sends SIGKILL and waits for the end of the process.
func (n *node) kill() {
	_ = n.cmd.Process.Kill() // it may have ended
	<-n.done
}

var errSlowEnd = errors.New("did not end within 25 s of SIGTERM")

// interrupt sends SIGTERM. After a second SIGTERM the process may exit at once.
func (n *node) interrupt() { _ = n.cmd.Process.Signal(syscall.SIGTERM) } // it may have ended

// terminate sends SIGTERM and waits. It returns an error unless the process exits in time and with code 0.
func (n *node) terminate() error {
	n.interrupt()
	return n.ends()
}

// beginning is the time that a process may need on a busy machine before it handles signals. Until then it has no work.
const beginning = 15 * time.Second

// ends waits for a process that got SIGTERM. It returns an error unless the process exits in time and with code 0.
func (n *node) ends() error {
	asked := time.Now()
	select {
	case <-n.done:
	case <-time.After(termination):
		n.kill()
		return fmt.Errorf("%s: %w", n.name, errSlowEnd)
	}
	status, _ := n.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() && status.Signal() == syscall.SIGTERM && asked.Sub(n.started) < beginning {
		return nil
	}
	if n.cmd.ProcessState.ExitCode() != 0 {
		return fmt.Errorf("%s: %s after SIGTERM, %s after its start", n.name, n.cmd.ProcessState, asked.Sub(n.started))
	}
	return nil
}

// termination is the documented time to exit, plus some seconds for a busy machine.
const termination = 25*time.Second + 5*time.Second

// pause suspends the process. It returns a function that resumes it. No fault may end the process in between.
func (n *node) pause() (resume func()) {
	n.mu.Lock()
	process := n.cmd.Process
	_ = process.Signal(syscall.SIGSTOP)
	return func() {
		_ = process.Signal(syscall.SIGCONT)
		n.mu.Unlock()
	}
}

// take locks and returns the node of a process. It returns nil if another fault has locked the node.
func (c *cluster) take(pid int) *node {
	for _, n := range c.nodes() {
		if !n.mu.TryLock() {
			continue
		}
		if n.cmd.Process.Pid == pid {
			return n
		}
		n.mu.Unlock()
	}
	return nil
}

// ended reports whether the process has exited.
func (n *node) ended() bool {
	select {
	case <-n.done:
		return true
	default:
		return false
	}
}

// inspectLog returns the lines of the log that contain what must never be in a log.
func (n *node) inspectLog() []string {
	log, err := os.ReadFile(n.log)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for line := range strings.Lines(string(log)) {
		for _, never := range []string{"panic:", "DATA RACE", "candidate.example", "Candidate ", upstreamKey} {
			if strings.Contains(line, never) {
				found = append(found, fmt.Sprintf("log of %s: %q in: %.300s", n.name, never, line))
			}
		}
	}
	return found
}
