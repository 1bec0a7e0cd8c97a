package mail

import (
	"context"
	"sync"
	"time"
)

const (
	// checkInterval is how long a result is returned again before the server is probed anew.
	checkInterval = 30 * time.Second
	// checkMaxWait is how long a caller waits for a probe. A server may take longer to greet.
	checkMaxWait = time.Second
)

// checker knows whether the server accepts messages: from deliveries, or from a probe if there were none lately.
type checker struct {
	mu      sync.Mutex
	at      time.Time
	err     error
	probing chan struct{} // closed when the probe ends; nil if there is none
	stop    chan struct{}
	stopped bool
	probes  sync.WaitGroup
}

func newChecker() *checker { return &checker{stop: make(chan struct{})} }

// found stores the result of a delivery.
func (c *checker) found(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.err = time.Now(), err
}

// check returns the last result. If the result is old, check first calls probe and waits for it, for checkMaxWait at most.
// A nil error can mean that there is no result yet.
func (c *checker) check(ctx context.Context, limit time.Duration, probe func(context.Context) error) error {
	c.mu.Lock()
	if c.probing == nil && !c.stopped && (c.at.IsZero() || time.Since(c.at) > checkInterval) {
		done := make(chan struct{})
		c.probing = done
		c.probes.Go(func() {
			probing, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
			defer cancel()
			go func() {
				select {
				case <-c.stop:
					cancel()
				case <-probing.Done():
				}
			}()
			err := probe(probing)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.at, c.err, c.probing = time.Now(), err, nil
			close(done)
		})
	}
	probing := c.probing
	c.mu.Unlock()
	if probing != nil {
		select {
		case <-probing:
		case <-time.After(checkMaxWait):
		case <-ctx.Done():
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// close cancels the probe and waits for it.
func (c *checker) close() {
	c.mu.Lock()
	if !c.stopped {
		c.stopped = true
		close(c.stop)
	}
	c.mu.Unlock()
	c.probes.Wait()
}
