package worker

import (
	"sync"
	"sync/atomic"
	"time"
)

// quietPeriod is how long single submissions must have stayed away before jobs have all of a worker.
const quietPeriod = 200 * time.Millisecond

// singleFirst keeps jobs from taking a worker's database away from single submissions: each chunk of a job keeps a
// processor there busy for some ten milliseconds, so that while single ones come, the turns of a worker carry out their
// chunks one after the other.
type singleFirst struct {
	last  atomic.Pointer[time.Time] // when a single submission was here
	chunk sync.Mutex
}

// noteSingle tells that a single submission is here.
func (c *singleFirst) noteSingle() {
	now := time.Now()
	c.last.Store(&now)
}

// acquire returns when a chunk may begin. Call end when it has ended.
func (c *singleFirst) acquire() (end func()) {
	if last := c.last.Load(); last == nil || time.Since(*last) > quietPeriod {
		return func() {}
	}
	c.chunk.Lock()
	return c.chunk.Unlock
}
