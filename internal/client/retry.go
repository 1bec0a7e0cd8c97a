package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

// maxRetryAfter bounds a Retry-After header.
const maxRetryAfter = 24 * time.Hour

// timing are the delays and timeouts of a Client.
type timing struct {
	// firstDelay and maxDelay bound the pause before a retry, which doubles each time.
	firstDelay, maxDelay time.Duration
	// maxPause bounds the sum of these pauses for one call. It is well above the 15 seconds after which the service ends an
	// upload that sends nothing.
	maxPause time.Duration
	// stall is how long an upload may make no progress.
	stall time.Duration
	// silence is how long a stream of events may send nothing. The service sends something every second.
	silence time.Duration
	// scheduled is the pause before the next poll of a job that waits for its time.
	scheduled time.Duration
}

var defaultTiming = timing{
	firstDelay: 500 * time.Millisecond, maxDelay: 30 * time.Second, maxPause: 2 * time.Minute,
	stall: time.Minute, silence: 15 * time.Second, scheduled: 2 * time.Second,
}

// retry calls try until it succeeds, fails for a reason that is not temporary, or the pauses exceed maxPause in all. It
// returns the last error.
func (c *Client) retry(ctx context.Context, maxPause time.Duration, try func() error) error {
	next, paused := c.timing.firstDelay, time.Duration(0)
	for {
		err := try()
		if err == nil || ctx.Err() != nil || !c.temporary(err) {
			return err
		}
		delay := next/2 + rand.N(next/2+1)
		if p, ok := errors.AsType[*Problem](err); ok {
			delay = max(delay, p.RetryAfter)
		}
		if paused += delay; paused > maxPause {
			return err
		}
		next = min(2*next, c.timing.maxDelay)
		c.onRetry(err, delay)
		if err := pause(ctx, delay); err != nil {
			return err
		}
	}
}

// temporary reports whether a retry may succeed. A failure to connect is not temporary before the first connection, because
// the address may be wrong.
func (c *Client) temporary(err error) bool {
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

// pause waits for d. It returns the error of ctx if ctx ends first.
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
