package mail

import (
	"slices"
	"sync"
	"time"
)

const (
	// keepFor is shorter than the patience of mail servers, which is mostly a minute or more.
	keepFor = 15 * time.Second
	// keepMessages is after how many messages a connection has served.
	keepMessages = 100
)

// pool keeps connections between messages: never more than there were deliveries at once, because each of
// them puts back the one it used.
type pool struct {
	keepFor time.Duration

	mu      sync.Mutex
	idle    []*connection // the last one used is the next one taken, so that the others can end
	closed  bool
	parting sync.WaitGroup
}

func newPool() *pool { return &pool{keepFor: keepFor} }

// take gives a connection that was kept, or nil.
func (p *pool) take() *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	c.expiry.Stop()
	return c
}

// put keeps a connection for the next message, unless it has served.
func (p *pool) put(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		c.drop()
	case c.messages >= keepMessages:
		p.parting.Go(c.part)
	default:
		p.idle = append(p.idle, c)
		c.expiry = time.AfterFunc(p.keepFor, func() { p.expire(c) })
	}
}

func (p *pool) expire(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// It may have been taken, and even put back with another timer, just when this one ran out.
	if i := slices.Index(p.idle, c); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		c.expiry.Stop()
		p.parting.Go(c.part)
	}
}

// close ends what is kept and waits for it. Connections that are put back later end at once.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, c := range p.idle {
		c.expiry.Stop()
		p.parting.Go(c.part)
	}
	p.idle = nil
	p.mu.Unlock()
	p.parting.Wait()
}
