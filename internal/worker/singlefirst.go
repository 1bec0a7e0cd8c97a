package worker

import (
	"sync"
	"sync/atomic"
	"time"
)

// quietPeriod is how long no single submission must have come before chunks run in parallel.
const quietPeriod = 200 * time.Millisecond

// singleFirst gives single submissions priority over jobs. A chunk keeps a processor of the database busy for some ten
// milliseconds. So while single submissions come, a worker carries out its chunks one after the other.
type singleFirst struct {
	last  atomic.Pointer[time.Time] // when single submissions last came
	chunk sync.Mutex
}

// noteSingle records that single submissions have come.
func (s *singleFirst) noteSingle() {
	now := time.Now()
	s.last.Store(&now)
}

// acquire waits until a chunk may begin. The caller must call release when the chunk has ended.
func (s *singleFirst) acquire() (release func()) {
	if last := s.last.Load(); last == nil || time.Since(*last) > quietPeriod {
		return func() {}
	}
	s.chunk.Lock()
	return s.chunk.Unlock
}
