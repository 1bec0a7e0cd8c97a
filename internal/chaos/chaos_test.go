// Package chaos_test tests that faults do not change the outcome of accepted requests. It runs the real programs on real
// servers, with callers that use the whole API. It injects faults at random times and at the most critical points: between
// the programs and their servers, and at the points in the programs that the build tag failpoint enables. Triggers in the
// database and watchers check the invariants during the run, and an audit checks them at the end; see invariant.
//
// The tests that inject faults have the build tag chaos, which `make chaos` sets. They take minutes and use the whole
// machine. One test is random: CHAOS_MINUTES is the time in which it injects faults, 1 by default. It prints its seed; with
// the same CHAOS_SEED it draws the same faults in the same order. In this test a trigger simulates a full disk. The other
// tests are not random: one stops a process at every point, one suspends a worker in the middle of its work, and one fills
// a real disk.
package chaos_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"rescind/internal/testservers"
)

// The programs are built as they are shipped, except for the points. They have the race detector if the tests have it.
var programs struct{ api, worker string }

func TestMain(m *testing.M) {
	if flag.Parse(); testing.Short() {
		return // they all take a minute
	}
	dir, err := os.MkdirTemp("", "rescind-chaos-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	args := slices.Concat([]string{"build", "-tags=" + buildTags}, testservers.RaceFlags, []string{"-o", dir, "rescind/cmd/api", "rescind/cmd/worker"})
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build the programs: %v\n%s", err, out))
	}
	programs.api, programs.worker = filepath.Join(dir, "api"), filepath.Join(dir, "worker")
	testservers.Main(m)
}
