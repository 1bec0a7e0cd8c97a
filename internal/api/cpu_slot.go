package api

// cpuSlot is the right of one upload to use a processor for parsing. Uploads share as many slots as there are processors, and
// each releases its slot after every block. So other requests wait for a block at most, and uploads wait for each other in
// order. A cpuSlot belongs to one goroutine.
//
// An upload must not wait for its caller or for the database while it holds the slot: see without. So a slot is free soon, and
// waiting for it needs no time limit.
type cpuSlot struct {
	// all has an element for each slot that is held. The runtime serves goroutines that wait to send in their order.
	all  chan struct{}
	held bool
}

// acquire waits for the slot, unless it is held.
func (s *cpuSlot) acquire() {
	if !s.held {
		s.all <- struct{}{}
		s.held = true
	}
}

// release releases the slot, if it is held.
func (s *cpuSlot) release() {
	if s.held {
		s.held = false
		<-s.all
	}
}

// yield lets the uploads that wait for a slot go first, and acquires it again.
func (s *cpuSlot) yield() {
	s.release()
	s.acquire()
}

// without calls wait, which waits for something, without the slot.
func (s *cpuSlot) without(wait func() error) error {
	s.release()
	defer s.acquire()
	return wait()
}
