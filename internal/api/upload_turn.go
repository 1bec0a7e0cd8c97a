package api

// turn is the right of one upload to use a processor for parsing. Together, uploads have as many as there are
// processors, and each gives its own up after every block, so that other requests wait for a block at most and uploads
// wait for each other in order. A turn belongs to one goroutine.
//
// An upload must not wait for its caller or for the database while it holds the turn: see pause. So a turn comes soon,
// and waiting for it needs no time limit.
type turn struct {
	// all has an element for each turn that is held. The runtime serves those that wait to send in their order.
	all  chan struct{}
	held bool
}

// take waits for the turn, unless it is held.
func (t *turn) take() {
	if !t.held {
		t.all <- struct{}{}
		t.held = true
	}
}

// end gives the turn up, if it is held.
func (t *turn) end() {
	if t.held {
		t.held = false
		<-t.all
	}
}

// yield lets the uploads that wait for a turn go first, and takes it again.
func (t *turn) yield() {
	t.end()
	t.take()
}

// pause calls wait, which waits for something, without the turn.
func (t *turn) pause(wait func() error) error {
	t.end()
	defer t.take()
	return wait()
}
