package chaos_test

import (
	"math/rand/v2"
	"time"
)

func (f *faults) killAPI(r *rand.Rand, _ time.Duration) {
	n := some(r, f.apis)
	defer n.mu.Unlock()
	n.kill()
	f.restart(n)
}

// underWay is the time in which requests collect at a point where they are held.
const underWay = 300 * time.Millisecond

// killBefore kills a process before its last requests reach the database.
func (f *faults) killBefore(n *node) {
	n.database.requests.hold()
	time.Sleep(underWay)
	n.kill()
	n.database.cut() // the held requests are lost
	n.database.requests.release()
}

// killAfter kills a process after the database has carried out its last requests, but before the answers arrive.
func (f *faults) killAfter(n *node) {
	n.database.answers.hold()
	time.Sleep(underWay)
	n.kill()
	n.database.cut()
	n.database.answers.release()
}

func (f *faults) killAPIBeforeCommit(r *rand.Rand, _ time.Duration) {
	n := some(r, f.apis)
	defer n.mu.Unlock()
	f.killBefore(n)
	f.restart(n)
}

func (f *faults) killAPIAfterCommit(r *rand.Rand, _ time.Duration) {
	n := some(r, f.apis)
	defer n.mu.Unlock()
	f.killAfter(n)
	f.restart(n)
}

func (f *faults) terminateAPI(r *rand.Rand, _ time.Duration) {
	n := some(r, f.apis)
	defer n.mu.Unlock()
	if err := n.terminate(); err != nil {
		f.violate(promises, "%v", err)
	}
	f.restart(n)
}

func (f *faults) killWorker(r *rand.Rand, _ time.Duration) {
	n := some(r, f.workers)
	defer n.mu.Unlock()
	n.kill()
	f.doubt(1)
	f.restart(n)
}

func (f *faults) killWorkerBeforeCommit(r *rand.Rand, _ time.Duration) {
	n := some(r, f.workers)
	defer n.mu.Unlock()
	f.killBefore(n)
	f.doubt(1)
	f.restart(n)
}

func (f *faults) killWorkerAfterCommit(r *rand.Rand, _ time.Duration) {
	n := some(r, f.workers)
	defer n.mu.Unlock()
	f.killAfter(n)
	f.doubt(1)
	f.restart(n)
}

func (f *faults) terminateWorker(r *rand.Rand, _ time.Duration) {
	n := some(r, f.workers)
	defer n.mu.Unlock()
	if err := n.terminate(); err != nil {
		f.violate(promises, "%v", err)
	}
	f.restart(n)
}

// stopWorker suspends a worker until another has taken over its work, and then resumes it. The worker continues with claims
// that it has lost.
func (f *faults) stopWorker(r *rand.Rand, length time.Duration) {
	n := f.workers[r.IntN(len(f.workers))]
	resume := n.pause()
	time.Sleep(length)
	resume()
	// The answer to an email that was stopped after its final dot arrives too late.
	f.inDoubt.Add(mailSlots)
}

// killAll kills both workers during a step of an external server, unless another fault uses one of them.
func (f *faults) killAll() (killed bool) {
	for i, n := range f.workers {
		if !n.mu.TryLock() {
			for _, taken := range f.workers[:i] {
				taken.mu.Unlock()
			}
			return false
		}
	}
	for _, n := range f.workers {
		n.kill()
	}
	return true
}

// startAll starts the workers that killAll has killed.
func (f *faults) startAll() {
	f.doubt(int64(len(f.workers)))
	for _, n := range f.workers {
		f.restart(n)
		n.mu.Unlock()
	}
}
