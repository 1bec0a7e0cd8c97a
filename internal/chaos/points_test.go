//go:build chaos

package chaos_test

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// againTime is longer than a task counts as under way that was lost.
const againTime = 15 * time.Second

// heldTime is longer than a transaction, a call here, and a caller have time.
const heldTime = 16 * time.Second

// TestChaos_Points ends a process at every point at which it can matter, by kill -9 and by SIGTERM, and has one wait at
// each for longer than anybody waits for it.
func TestChaos_Points(t *testing.T) {
	t.Parallel()
	var remotes []*account
	for i := range 3 * remotePlaces {
		remotes = append(remotes, &account{id: fmt.Sprintf("remote-%d", i), upstream: true})
	}
	s := startScene(t, 20_000, remotes...)
	s.remotes = remotes
	for _, p := range places {
		s.endAt(p, "kill", func(n *node) {
			n.kill()
			if p.program == "worker" {
				s.doubt(1)
			}
		})
		s.endAt(p, "SIGTERM", (*node).ask)
	}
	t.Logf("%s: a process waits at each", s.now().Round(time.Millisecond))
	var holding sync.WaitGroup
	for _, p := range places {
		there := s.points.arm(p.place)
		holding.Go(func() {
			p.load(s)
			if st, ok := s.stand(p, there); ok {
				time.Sleep(heldTime)
				st.goOn()
			}
		})
	}
	holding.Wait()
	// The answer to an email that could not be recorded in its transaction's time.
	s.inDoubt.Add(2 * mailSlots)
	s.end()
}

// endAt brings a process to a place, has do end it there, or begin to, and starts it again.
func (s *scene) endAt(p loaded, how string, do func(*node)) {
	s.t.Helper()
	began := s.now()
	there := s.points.arm(p.place)
	p.load(s)
	st, ok := s.stand(p, there)
	if !ok {
		return
	}
	n := s.take(st.pid)
	if n == nil {
		s.t.Fatalf("%s: process %d is nobody's", p, st.pid)
	}
	defer n.mu.Unlock()
	do(n)
	st.goOn()
	if err := n.ends(); how == "SIGTERM" && err != nil {
		s.violate(promises, "%s, told to end at %s: %v", n.name, p, err)
	}
	s.again(n)
	s.listening(n)
	s.t.Logf("%s: %s at %s, which took %s", s.now().Round(time.Millisecond), how, p, (s.now() - began).Round(time.Millisecond))
}

// stand waits for the process that stands at an armed place. What was asked for can have been done on another way, such
// as by a turn that was under way: then it is asked for again.
func (s *scene) stand(p loaded, there <-chan standing) (st standing, ok bool) {
	for over := time.Now().Add(reachTime); time.Now().Before(over); p.load(s) {
		select {
		case st = <-there:
			return st, true
		case <-time.After(againTime):
		}
	}
	s.violate(promises, "%s: nobody has come there", p)
	s.points.disarm(p.place, there)
	return st, false
}
