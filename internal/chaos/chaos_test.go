// Package chaos_test proves that what is accepted is carried out exactly as if nothing had gone wrong: real
// programs on real servers, callers that do all that callers do, and faults at random moments and at the points
// where they hurt most: on the way between the programs and their servers, and at the points that the programs
// themselves name when they are built with the tag failpoint. What holds is checked at every moment by witnesses in
// the database and by watchers, and once more when all is done; see invariant.
//
// What injects faults is behind the build tag chaos, which `make chaos` sets: it takes minutes, and the whole
// machine. One run is at random: CHAOS_MINUTES is for how long faults are injected, 1 by default; CHAOS_SEED, which
// every run prints, has the same faults drawn in the same order again, and a full disk is PostgreSQL's answer to one,
// given by a trigger. The others leave nothing to chance: every point by itself, a worker that is stopped in the
// middle of everything, and a disk that is full indeed.
package chaos_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"rescind/internal/testservers"
)

// The programs under test are built as they are shipped, but for their points, and watched for races if the suite is.
var programs struct{ api, worker string }

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "rescind-chaos-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	args := slices.Concat([]string{"build", "-tags=" + buildTags}, raceFlags, []string{"-o", dir, "rescind/cmd/api", "rescind/cmd/worker"})
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build the programs: %v\n%s", err, out))
	}
	programs.api, programs.worker = filepath.Join(dir, "api"), filepath.Join(dir, "worker")
	testservers.Main(m)
}
