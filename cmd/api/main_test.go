package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rescind/internal/testservers"
)

// The programs under test run as processes, so that they can be killed.
var programs struct{ api, worker string }

func TestMain(m *testing.M) {
	if flag.Parse(); testing.Short() {
		testservers.Main(m)
		return
	}
	dir, err := os.MkdirTemp("", "rescind-programs-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	args := slices.Concat([]string{"build"}, testservers.RaceFlags, []string{"-o", dir, "rescind/cmd/api", "rescind/cmd/worker"})
	build := exec.Command("go", args...)
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build the programs: %v\n%s", err, out))
	}
	programs.api, programs.worker = filepath.Join(dir, "api"), filepath.Join(dir, "worker")
	testservers.Main(m)
}

// eventually is how long a condition may take on a slow machine.
const eventually = 60 * time.Second

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(eventually); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("still not: %s", what)
}

// needPrograms skips a test with -short. Each test that runs one of them calls it first.
func needPrograms(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the programs, which take half a minute to build")
	}
}

// running is a program that has been started.
type running struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	out  bytes.Buffer
	errs bytes.Buffer
	done chan struct{}
}

// start starts a program with its own environment. The end of the test kills it.
func start(t *testing.T, env []string, program string, args ...string) *running {
	t.Helper()
	r := &running{t: t, cmd: exec.Command(program, args...), done: make(chan struct{})}
	r.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"}, env...)
	r.cmd.Stdout, r.cmd.Stderr = locked{r, &r.out}, locked{r, &r.errs}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(r.done); _ = r.cmd.Wait() }()
	t.Cleanup(func() {
		r.kill()
		if log := r.log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") || t.Failed() {
			t.Errorf("%s %v:\n%s", filepath.Base(program), args, log)
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

func (r *running) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.errs.String()
}

// kill ends the program at once, as a power cut would.
func (r *running) kill() {
	_ = r.cmd.Process.Kill() // it may have ended
	<-r.done
}

// terminate sends SIGTERM to the program and returns its exit code.
func (r *running) terminate() int {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	select {
	case <-r.done:
	case <-time.After(25 * time.Second):
		r.t.Fatal("it did not end within 25 s of SIGTERM")
	}
	return r.cmd.ProcessState.ExitCode()
}

// command runs a program to its end.
func command(t *testing.T, env []string, stdin string, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), programs.api, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"}, env...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// mustCommand runs a program and fails the test unless it exits with 0.
func mustCommand(t *testing.T, env []string, stdin string, args ...string) (stdout string) {
	t.Helper()
	out, errs, exit := command(t, env, stdin, args...)
	if exit != 0 {
		t.Fatalf("%v: exit %d: %s", args, exit, errs)
	}
	return out
}

// client talks to one API with one key.
type client struct {
	t   *testing.T
	url string
	key string
}

type answer struct {
	code   int
	header http.Header
	body   map[string]any
}

func (a answer) str(field string) string { s, _ := a.body[field].(string); return s }

func (a answer) notification() string {
	n, _ := a.body["notification"].(map[string]any)
	s, _ := n["status"].(string)
	return s
}

func (c client) do(method, path, body, prefer string) (answer, error) {
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("apiKey", c.key)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if prefer != "" {
		req.Header.Set("Prefer", prefer)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	a := answer{code: res.StatusCode, header: res.Header}
	return a, json.NewDecoder(res.Body).Decode(&a.body)
}

func (c client) must(method, path, body, prefer string) answer {
	c.t.Helper()
	a, err := c.do(method, path, body, prefer)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

func (c client) revoke(report int, notify bool, prefer string) answer {
	c.t.Helper()
	return c.must(http.MethodPost, "/assessments/invite/revoke", revokeBody(report, notify), prefer)
}

func revokeBody(report int, notify bool) string {
	return fmt.Sprintf(`{"report_id": %d, "notify_candidate": %v}`, report, notify)
}

// final polls a revocation until it is final.
func (c client) final(id string) answer {
	c.t.Helper()
	var a answer
	until(c.t, "revocation "+id+" is final", func() bool {
		a = c.must(http.MethodGet, "/revocations/"+id, "", "wait=10")
		return a.body["final"] == true
	})
	return a
}

// settled polls a revocation until its email is settled.
func (c client) settled(id string) answer {
	c.t.Helper()
	var a answer
	until(c.t, "email of "+id+" is settled", func() bool {
		a = c.must(http.MethodGet, "/revocations/"+id, "", "")
		return a.notification() != "PENDING"
	})
	return a
}

// invitesCSV returns a CSV of n invites, from report_id 1.
func invitesCSV(n int) string {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	_, _ = fmt.Fprintln(w, "report_id,candidate_name,candidate_email,assessment_name,sent_at")
	for i := range n {
		_, _ = fmt.Fprintf(w, "%d,Candidate %d,candidate%d@example.com,Go Engineer,2026-01-01T00:00:00Z\n", i+1, i+1, i+1)
	}
	_ = w.Flush()
	return b.String()
}
