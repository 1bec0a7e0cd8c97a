package mail

import (
	"slices"
	"sync"
	"time"
)

const (
	// keepFor is shorter than the idle timeout of mail servers, which is mostly a minute or more.
	keepFor = 15 * time.Second
	// keepMessages is how many messages a connection carries at most.
	keepMessages = 100
)

// pool keeps idle connections. There are never more than there were deliveries at once, because each delivery puts back
// the connection that it used.
type pool struct {
	keepFor time.Duration

	mu      sync.Mutex
	idle    []*connection // the last one used is taken next, so that the others can expire
	closed  bool
	closing sync.WaitGroup
}

func newPool() *pool { return &pool{keepFor: keepFor} }

// take returns an idle connection, or nil if there is none.
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

// put keeps a connection for the next message, unless it has carried keepMessages.
func (p *pool) put(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		c.drop()
	case c.messages >= keepMessages:
		p.closing.Go(c.quit)
	default:
		p.idle = append(p.idle, c)
		c.expiry = time.AfterFunc(p.keepFor, func() { p.expire(c) })
	}
}

func (p *pool) expire(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// The connection may have been taken, and even put back with a new timer, while this timer fired.
	if i := slices.Index(p.idle, c); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		c.expiry.Stop()
		p.closing.Go(c.quit)
	}
}

// close closes the idle connections and waits for that. Connections that are put back later are closed at once.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, c := range p.idle {
		c.expiry.Stop()
		p.closing.Go(c.quit)
	}
	p.idle = nil
	p.mu.Unlock()
	p.closing.Wait()
}
