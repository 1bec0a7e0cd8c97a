package revocation

import (
	"sync"
	"sync/atomic"
	"time"
)

// lull is how long single submissions must have stayed away before jobs have all of a worker.
const lull = 200 * time.Millisecond

// courtesy keeps jobs from taking a worker's database away from single submissions: each chunk of a job keeps a
// processor there busy for some ten milliseconds, so that while single ones come, the turns of a worker carry out their
// chunks one after the other.
type courtesy struct {
	last atomic.Pointer[time.Time] // when a single submission was here
	turn sync.Mutex
}

// came tells that a single submission is here.
func (c *courtesy) came() {
	now := time.Now()
	c.last.Store(&now)
}

// giveWay returns when a chunk may begin. Call end when it has ended.
func (c *courtesy) giveWay() (end func()) {
	if last := c.last.Load(); last == nil || time.Since(*last) > lull {
		return func() {}
	}
	c.turn.Lock()
	return c.turn.Unlock
}
