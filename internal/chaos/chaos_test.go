// Package chaos_test proves that what is accepted is carried out exactly as if nothing had gone wrong: real
// programs on real servers, callers that do all that callers do, and faults at random moments and at the points
// where they hurt most, which lie between the programs and their servers and are reached from there. What holds
// is checked at every moment by witnesses in the database and by watchers, and once more when all is done.
//
// CHAOS_MINUTES is for how long faults are injected, 1 by default; CHAOS_SEED, which every run prints, has the
// same faults drawn in the same order again. A full disk is PostgreSQL's answer to one, given by a trigger.
package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"rescind/internal/testservers"
)

// The programs under test are built as they are shipped, and watched for races if the suite is.
var programs struct{ api, worker string }

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "rescind-chaos-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	args := slices.Concat([]string{"build"}, buildFlags, []string{"-o", dir, "rescind/cmd/api", "rescind/cmd/worker"})
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build the programs: %v\n%s", err, out))
	}
	programs.api, programs.worker = filepath.Join(dir, "api"), filepath.Join(dir, "worker")
	testservers.Main(m)
}

// callers is how many call at once.
const callers = 24

func TestChaos(t *testing.T) {
	seed, minutes := rand.Uint64(), 1.0
	var err error
	if given := os.Getenv("CHAOS_SEED"); given != "" {
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	if given := os.Getenv("CHAOS_MINUTES"); given != "" {
		if minutes, err = strconv.ParseFloat(given, 64); err != nil {
			t.Fatalf("CHAOS_MINUTES: %v", err)
		}
	}
	fmt.Printf("CHAOS_SEED=%d CHAOS_MINUTES=%g\n", seed, minutes)
	source := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) }

	c := startCluster(t, seed, 10_000+int64(minutes*10_000))
	stopCalling, stopWatching := make(chan struct{}), make(chan struct{})
	var calling, watching sync.WaitGroup
	for i := range callers {
		one := &client{cluster: c, name: fmt.Sprintf("c%d", i), r: source(uint64(100 + i))}
		calling.Go(func() { one.run(stopCalling) })
	}
	watching.Go(func() { c.watch(source(1), stopWatching) })

	f := &faults{cluster: c, until: time.Now().Add(time.Duration(minutes * float64(time.Minute))), made: make(map[string]int)}
	c.platform.Fail(f.platformFault)
	f.run(source(2))
	close(stopCalling)
	calling.Wait()
	c.drain()
	close(stopWatching)
	watching.Wait()
	c.audit(source(3))
	t.Logf("faults: %v", f.made)
	t.Logf("%d requests, %d jobs, answers: %v", len(c.history.requests), len(c.history.uploads), c.history.counts)
	if t.Failed() {
		t.Logf("again with the same faults: CHAOS_SEED=%d CHAOS_MINUTES=%g", seed, minutes)
	}
}
