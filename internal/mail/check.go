package mail

import (
	"context"
	"sync"
	"time"
)

const (
	// checkInterval is for how long what was found of the server is told again.
	checkInterval = 30 * time.Second
	// checkPatience is how long a caller waits for what is being found out. A server may take longer to greet.
	checkPatience = time.Second
)

// checker knows whether the server takes messages: from deliveries, or by asking it when there were none lately.
type checker struct {
	mu      sync.Mutex
	at      time.Time
	err     error
	asking  chan struct{} // closed when it has answered; nil when it is not being asked
	stop    chan struct{}
	stopped bool
	asked   sync.WaitGroup
}

func newChecker() *checker { return &checker{stop: make(chan struct{})} }

// found keeps what a delivery has found out.
func (c *checker) found(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.err = time.Now(), err
}

// check returns what is known, after ask has been asked if that is old. A nil error can mean that nothing is known yet.
func (c *checker) check(ctx context.Context, limit time.Duration, ask func(context.Context) error) error {
	c.mu.Lock()
	if c.asking == nil && !c.stopped && (c.at.IsZero() || time.Since(c.at) > checkInterval) {
		done := make(chan struct{})
		c.asking = done
		c.asked.Go(func() {
			asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
			defer cancel()
			go func() {
				select {
				case <-c.stop:
					cancel()
				case <-asking.Done():
				}
			}()
			err := ask(asking)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.at, c.err, c.asking = time.Now(), err, nil
			close(done)
		})
	}
	asking := c.asking
	c.mu.Unlock()
	if asking != nil {
		select {
		case <-asking:
		case <-time.After(checkPatience):
		case <-ctx.Done():
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// close ends what is being asked, and waits for it.
func (c *checker) close() {
	c.mu.Lock()
	if !c.stopped {
		c.stopped = true
		close(c.stop)
	}
	c.mu.Unlock()
	c.asked.Wait()
}
