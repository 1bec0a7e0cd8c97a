package chaos_test

import (
	"math/rand/v2"
	"time"
)

func (f *faults) killAPI(r *rand.Rand, _ time.Duration) {
	n := some(r, f.apis)
	defer n.mu.Unlock()
	n.kill()
	f.again(n)
}

// underWay is how long requests gather that are held at a point of their way.
const underWay = 300 * time.Millisecond

// killBefore kills a process whose last requests have not reached the database.
func (f *faults) killBefore(n *node) {
	n.database.requests.hold()
	time.Sleep(underWay)
	n.kill()
	n.database.cut() // what is held is gone
	n.database.requests.release()
}

// killAfter kills a process whose last requests have been carried out by the database, without its knowing.
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
	f.again(n)
}

func (f *faults) killAPIAfterCommit(r *rand.Rand, _ time.Duration) {
	n := some(r, f.apis)
	defer n.mu.Unlock()
	f.killAfter(n)
	f.again(n)
}

func (f *faults) terminateAPI(r *rand.Rand, _ time.Duration) {
	n := some(r, f.apis)
	defer n.mu.Unlock()
	if err := n.terminate(); err != nil {
		f.violate(promises, "%v", err)
	}
	f.again(n)
}

func (f *faults) killWorker(r *rand.Rand, _ time.Duration) {
	n := some(r, f.workers)
	defer n.mu.Unlock()
	n.kill()
	f.doubt(1)
	f.again(n)
}

func (f *faults) killWorkerBeforeCommit(r *rand.Rand, _ time.Duration) {
	n := some(r, f.workers)
	defer n.mu.Unlock()
	f.killBefore(n)
	f.doubt(1)
	f.again(n)
}

func (f *faults) killWorkerAfterCommit(r *rand.Rand, _ time.Duration) {
	n := some(r, f.workers)
	defer n.mu.Unlock()
	f.killAfter(n)
	f.doubt(1)
	f.again(n)
}

func (f *faults) terminateWorker(r *rand.Rand, _ time.Duration) {
	n := some(r, f.workers)
	defer n.mu.Unlock()
	if err := n.terminate(); err != nil {
		f.violate(promises, "%v", err)
	}
	f.again(n)
}

// stopWorker stops a worker long enough for its work to be taken over, and lets it go on with what it believes
// to hold.
func (f *faults) stopWorker(r *rand.Rand, length time.Duration) {
	n := f.workers[r.IntN(len(f.workers))]
	resume := n.pause()
	time.Sleep(length)
	resume()
	// To an email that was stopped after its dot, its answer comes late.
	f.inDoubt.Add(mailSlots)
}

// killAll kills both workers from within a step of a server outside, unless another fault has one of them.
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

// startAll is the end of killAll.
func (f *faults) startAll() {
	f.doubt(int64(len(f.workers)))
	for _, n := range f.workers {
		f.again(n)
		n.mu.Unlock()
	}
}
