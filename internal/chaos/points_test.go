//go:build chaos

package chaos_test

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// againTime is longer than the visibility timeout of a lost task.
const againTime = 15 * time.Second

// heldTime is longer than the timeouts of transactions, upstream calls and callers.
const heldTime = 16 * time.Second

// TestChaos_Points ends a process at every point, with SIGKILL and with SIGTERM. It also makes a process wait at each point
// for longer than any timeout.
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
		s.endAt(p, "SIGTERM", (*node).interrupt)
	}
	t.Logf("%s: a process waits at each", s.now().Round(time.Millisecond))
	var holding sync.WaitGroup
	for _, p := range places {
		there := s.points.arm(p.place)
		holding.Go(func() {
			p.load(s)
			if st, ok := s.awaitProcess(p, there); ok {
				time.Sleep(heldTime)
				st.resume()
			}
		})
	}
	holding.Wait()
	// The answer to an email could not be recorded before its transaction timed out.
	s.inDoubt.Add(2 * mailSlots)
	s.end()
}

// endAt brings a process to a place, calls do to end it there, and starts it again.
func (s *scene) endAt(p loaded, how string, do func(*node)) {
	s.t.Helper()
	began := s.now()
	there := s.points.arm(p.place)
	p.load(s)
	st, ok := s.awaitProcess(p, there)
	if !ok {
		return
	}
	n := s.take(st.pid)
	if n == nil {
		s.t.Fatalf("%s: process %d belongs to no node", p, st.pid)
	}
	defer n.mu.Unlock()
	do(n)
	st.resume()
	if err := n.ends(); how == "SIGTERM" && err != nil {
		s.violate(promises, "%s, with SIGTERM at %s: %v", n.name, p, err)
	}
	s.restart(n)
	s.listening(n)
	s.t.Logf("%s: %s at %s, which took %s", s.now().Round(time.Millisecond), how, p, (s.now() - began).Round(time.Millisecond))
}

// awaitProcess waits for a process at an armed place. It repeats the request from time to time, because an earlier request may
// have been carried out without passing the place, for example by an account task in progress.
func (s *scene) awaitProcess(p loaded, there <-chan waitingProcess) (st waitingProcess, ok bool) {
	for over := time.Now().Add(reachTime); time.Now().Before(over); p.load(s) {
		select {
		case st = <-there:
			return st, true
		case <-time.After(againTime):
		}
	}
	s.violate(promises, "%s: no process reached it", p)
	s.points.disarm(p.place, there)
	return st, false
}
