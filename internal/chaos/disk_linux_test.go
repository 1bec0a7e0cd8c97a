//go:build chaos

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rescind/internal/testservers"
)

// diskSize is enough for a new cluster of PostgreSQL, its write-ahead log, and some thousand revocations.
const diskSize = "size=256m"

// smallDisk mounts a disk in memory for the test.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "rescind-disk-") //nolint:usetesting // another user cannot enter the directory of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, diskSize); err != nil {
		t.Fatalf("mount a disk that can be filled, for which the test has to run as root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill uses all free space of a disk. It returns a function that frees it.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range [][]byte{make([]byte, 1<<20), make([]byte, 4<<10)} {
		for err = nil; err == nil; {
			_, err = ballast.Write(piece)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	if err := ballast.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(ballast.Name()); err != nil {
			t.Error(err)
		}
	}
}

// TestChaos_DiskFull fills the disk of PostgreSQL while callers make calls.
func TestChaos_DiskFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	settings := append([]string{"max_wal_size=64MB", "min_wal_size=32MB"}, postgresSettings...)
	s := newScene(startClusterOn(t, testservers.StartPostgresIn(t, dir, settings...), 0, 10_000))
	stop, stopWatching := make(chan struct{}), make(chan struct{})
	var calling, watching sync.WaitGroup
	for range callers / 3 {
		c := s.caller()
		calling.Go(func() { c.run(stop) })
	}
	watching.Go(func() { s.watch(rand.New(rand.NewPCG(0, 1)), stopWatching) })
	s.await("submissions are accepted", func() bool { return s.answered("202") > 50 })

	free := fill(t, dir)
	s.await("PostgreSQL reports that its disk is full", func() bool { return s.diskFull() })
	before := s.answered("503 unavailable")
	s.await("submissions are refused", func() bool { return s.answered("503 unavailable") > before+20 })
	for _, api := range s.apis {
		s.await(api.name+" reports why it is not ready", func() bool { return reportsFull(t, api.addr) })
	}
	free()
	// An operator restarts PostgreSQL, whether it has stopped by itself or not.
	s.unrecorded(s.workers)
	s.postgres.Restart()
	accepted := s.answered("202")
	s.await("submissions are accepted again", func() bool { return s.answered("202") > accepted+50 })
	for _, api := range s.apis {
		s.await(api.name+" is ready", func() bool { status, _ := readiness(t, api.addr); return status == http.StatusOK })
	}
	close(stop)
	calling.Wait()
	s.decideAll(s.r)
	s.drain()
	close(stopWatching)
	watching.Wait()
	s.audit(s.r)
}

// TestChaos_DiskFullStandalone fills the disk of the standalone program.
func TestChaos_DiskFullStandalone(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	addr := fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(t))
	cmd := exec.CommandContext(t.Context(), programs.api, "standalone", "--demo", "--data", filepath.Join(dir, "data"), "--addr", addr)
	cmd.Env = []string{"ADMIN_ADDR=127.0.0.1:0", "PATH=" + os.Getenv("PATH")}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }() // the test does not check how it exits
	ready := func() bool { status, _ := readiness(t, addr); return status == http.StatusOK }
	await(t, "the program is ready", ready)
	free := fill(t, dir)
	await(t, "the program reports why it is not ready", func() bool { return reportsFull(t, addr) })
	free()
	await(t, "the program is ready again", ready)
}

// readiness returns the answer of /readyz. The status is 0 if there is no answer.
func readiness(t *testing.T, addr string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/readyz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }() // the body was read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(text)
}

func reportsFull(t *testing.T, addr string) bool {
	t.Helper()
	status, body := readiness(t, addr)
	return status == http.StatusServiceUnavailable && strings.Contains(body, "disk is full")
}

// diskFull reports whether PostgreSQL fails to write because of a full disk.
func (s *scene) diskFull() bool {
	err := s.database(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `CREATE TABLE chaos.room AS SELECT repeat('x', 1000) FROM generate_series(1, 10000)`)
		return err
	})
	if err == nil {
		s.t.Fatal("there is room on a full disk")
	}
	answer, ok := errors.AsType[*pgconn.PgError](err)
	return ok && answer.Code == "53100"
}

// answered returns the number of answers to submissions that begin with how.
func (s *scene) answered(how string) (n int) {
	s.history.mu.Lock()
	defer s.history.mu.Unlock()
	for what, count := range s.history.counts {
		if strings.HasPrefix(what, "submission: "+how) {
			n += count
		}
	}
	return n
}

func (s *scene) await(what string, condition func() bool) {
	s.t.Helper()
	await(s.t, what, condition)
	s.t.Logf("%s: %s", s.now().Round(time.Millisecond), what)
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(reachTime); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s", what)
		}
	}
}
