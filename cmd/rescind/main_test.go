package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rescind/internal/testservers"
)

// The programs run as processes, so that they can be interrupted. The one under test has the race detector if the tests have
// it. The others are built as they are shipped, because it would make them many times slower.
var programs struct{ api, worker, rescind string }

func TestMain(m *testing.M) {
	if flag.Parse(); testing.Short() {
		return // they all run the programs, which take half a minute to build
	}
	dir, err := os.MkdirTemp("", "rescind-programs-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for _, args := range [][]string{{"rescind/cmd/api", "rescind/cmd/worker"}, append(testservers.RaceFlags, "rescind/cmd/rescind")} {
		build := exec.Command("go", append([]string{"build", "-o", dir + "/"}, args...)...)
		if out, err := build.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("build the programs: %v\n%s", err, out))
		}
	}
	programs.api, programs.worker = filepath.Join(dir, "api"), filepath.Join(dir, "worker")
	programs.rescind = filepath.Join(dir, "rescind")
	testservers.Main(m)
}

// eventually is how long a condition may take on a slow machine.
const eventually = 2 * time.Minute

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(eventually); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("still not: %s", what)
}

// running is a program at work.
type running struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	out  bytes.Buffer
	errs bytes.Buffer
	done chan struct{}
}

// start runs a program with an environment of its own. It is killed at the test's end.
func start(t *testing.T, env []string, stdin io.Reader, program string, args ...string) *running {
	t.Helper()
	r := &running{t: t, cmd: exec.Command(program, args...), done: make(chan struct{})}
	r.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "GORACE=atexit_sleep_ms=0"}, env...)
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = stdin, locked{r, &r.out}, locked{r, &r.errs}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(r.done); _ = r.cmd.Wait() }()
	t.Cleanup(func() {
		r.kill()
		if log := r.stderr(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") || t.Failed() {
			t.Errorf("%s %v:\n%s%s", filepath.Base(program), args, r.stdout(), log)
		}
	})
	return r
}

type locked struct {
	r *running
	w io.Writer
}

func (l locked) Write(p []byte) (int, error) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	return l.w.Write(p)
}

func (r *running) stdout() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

func (r *running) stderr() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.errs.String()
}

// kill ends the program at once.
func (r *running) kill() {
	_ = r.cmd.Process.Kill() // it may have ended
	<-r.done
}

// interrupt is Ctrl-C.
func (r *running) interrupt() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		r.t.Fatal(err)
	}
}

// ends waits for the program's end and checks its exit code.
func (r *running) ends(exit int) {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(eventually):
		r.t.Fatal("it does not end")
	}
	if got := r.cmd.ProcessState.ExitCode(); got != exit {
		r.t.Errorf("exit %d, want %d", got, exit)
	}
}

// service is the real one, and a key to it.
type service struct {
	t              *testing.T
	addr, url, key string
}

func newService(t *testing.T) service {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(t))
	return service{t: t, addr: addr, url: "http://" + addr, key: "demo"}
}

// adminAddr is a setting of a program of the service, each of which needs one of its own.
func (s *service) adminAddr() string {
	s.t.Helper()
	return fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", testservers.FreePort(s.t))
}

// ready waits until the service answers.
func (s *service) ready() {
	s.t.Helper()
	until(s.t, "the service is ready", func() bool {
		res, err := http.Get(s.url + "/readyz")
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil && res.StatusCode == http.StatusOK
	})
}

// startStandalone starts the service in one process, with its demo account.
func startStandalone(t *testing.T) service {
	t.Helper()
	s := newService(t)
	start(t, []string{s.adminAddr(), "RATE_LIMIT=100000"}, nil,
		programs.api, "standalone", "--demo", "--addr", s.addr, "--data", t.TempDir())
	s.ready()
	return s
}

// begin starts the client.
func (s *service) begin(stdin io.Reader, args ...string) *running {
	s.t.Helper()
	return start(s.t, []string{"RESCIND_URL=" + s.url, "RESCIND_API_KEY=" + s.key}, stdin, programs.rescind, args...)
}

// do runs the client to its end, and gives what it printed.
func (s *service) do(exit int, stdin string, args ...string) (stdout, stderr string) {
	s.t.Helper()
	r := s.begin(strings.NewReader(stdin), args...)
	r.ends(exit)
	return r.stdout(), r.stderr()
}

// get asks the service itself.
func (s *service) get(path string) string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("apiKey", s.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(body)
}

// file writes a file under a name.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// contains checks that a text has all parts.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}
