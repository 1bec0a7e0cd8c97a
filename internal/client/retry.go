package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

// maxRetryAfter bounds what is believed of a Retry-After.
const maxRetryAfter = 24 * time.Hour

// timing is how long things may take that only the network decides.
type timing struct {
	// firstDelay and maxDelay bound the pause before a request is sent again; it doubles each time.
	firstDelay, maxDelay time.Duration
	// patience is how long such pauses may be in all, without a success in between. It is well over the quarter of a
	// minute for which the service takes a silent upload for one that still runs.
	patience time.Duration
	// stall is how long an upload may stand still, and silence how long a stream of events may be silent, which
	// speaks once a second.
	stall, silence time.Duration
}

var usualTiming = timing{
	firstDelay: 500 * time.Millisecond, maxDelay: 30 * time.Second, patience: 2 * time.Minute,
	stall: time.Minute, silence: 15 * time.Second,
}

// persist does something again while it fails for a reason that passes, until that takes longer than patience.
func (c *Client) persist(ctx context.Context, patience time.Duration, try func() error) error {
	next, paused := c.timing.firstDelay, time.Duration(0)
	for {
		err := try()
		if err == nil || ctx.Err() != nil || !c.passes(err) {
			return err
		}
		delay := next/2 + rand.N(next/2+1)
		if p, ok := errors.AsType[*Problem](err); ok {
			delay = max(delay, p.RetryAfter)
		}
		if paused += delay; paused > patience {
			return err
		}
		next = min(2*next, c.timing.maxDelay)
		c.onRetry(err, delay)
		if err := pause(ctx, delay); err != nil {
			return err
		}
	}
}

// passes tells whether a failure can be over the next time. An address at which nothing was ever reached is
// taken for a wrong one.
func (c *Client) passes(err error) bool {
	if p, ok := errors.AsType[*Problem](err); ok {
		switch p.Status {
		case http.StatusRequestTimeout, http.StatusTooManyRequests:
			return true
		case http.StatusConflict:
			return p.Code == "upload_in_progress"
		default:
			return p.Status >= 500
		}
	}
	_, broken := errors.AsType[*connectionError](err)
	return broken && c.connected.Load()
}

// pause waits, and gives the reason when ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
