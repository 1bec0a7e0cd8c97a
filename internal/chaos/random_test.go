//go:build chaos

package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// callers is the number of concurrent callers.
const callers = 24

func TestChaos(t *testing.T) {
	t.Parallel()
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

	invites := 10_000 + int64(minutes*10_000)
	c := startCluster(t, seed, invites,
		&account{id: "held", invites: invites, hold: 2 * time.Second},
		&account{id: "careful", invites: invites, confirmAbove: 300, approveAbove: 600})
	stopCalling, stopWatching := make(chan struct{}), make(chan struct{})
	var calling, watching sync.WaitGroup
	for i := range callers {
		one := &client{cluster: c, name: fmt.Sprintf("c%d", i), r: source(uint64(100 + i))}
		calling.Go(func() { one.run(stopCalling) })
	}
	watching.Go(func() { c.watch(source(1), stopWatching) })

	f := &faults{cluster: c, until: time.Now().Add(time.Duration(minutes * float64(time.Minute))), made: make(map[string]int)}
	c.platform.SetFault(f.platformFault)
	f.run(source(2))
	close(stopCalling)
	calling.Wait()
	c.decideAll(source(4))
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
