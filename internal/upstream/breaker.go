package upstream

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"rescind/internal/revocation"
)

// When a breaker opens, and for how long. It opens after many failures in a row, because a single invite can fail while
// the upstream works.
const (
	breakerInterval    = time.Minute
	breakerBucket      = 5 * time.Second
	breakerConsecutive = 10
	breakerVolume      = 20
	breakerOpen        = 10 * time.Second
	// breakerProbes is how many calls may be made after breakerOpen. The breaker closes when all of them succeed.
	breakerProbes = 3
)

// shortHold is the hold of calls that wait for the probes to end.
const shortHold = time.Second

var (
	errFault       = errors.New("the upstream failed")
	errInterrupted = errors.New("the call was interrupted")
)

// breaker stops an account's calls while its upstream is down.
type breaker struct {
	*gobreaker.TwoStepCircuitBreaker[struct{}]
	// openUntil is in nanoseconds since 1970.
	openUntil atomic.Int64
}

// newBreaker returns a breaker that stays open for openFor. It logs when it opens and closes.
func newBreaker(account string, openFor time.Duration, log *slog.Logger) *breaker {
	b := new(breaker)
	b.TwoStepCircuitBreaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  breakerProbes,
		Interval:     breakerInterval,
		BucketPeriod: breakerBucket,
		Timeout:      openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= breakerConsecutive ||
				c.Requests >= breakerVolume && 2*c.TotalFailures >= c.Requests
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errInterrupted) },
		// It is called under the breaker's lock.
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				b.openUntil.Store(time.Now().Add(openFor).UnixNano())
			}
			switch {
			case from == gobreaker.StateClosed:
				log.Warn("upstream fails: its breaker opened", "account_id", account)
			case to == gobreaker.StateClosed:
				log.Warn("upstream works again: its breaker closed", "account_id", account)
			}
		},
	})
	return b
}

// isOpen reports whether the breaker is open, and how long to hold calls then.
func (b *breaker) isOpen() (hold time.Duration, open bool) {
	if b.State() != gobreaker.StateOpen {
		return 0, false
	}
	return max(time.Until(time.Unix(0, b.openUntil.Load())), time.Millisecond), true
}

// allow returns a function that the caller must call with the result of the call. If no call may be made, it returns nil
// and how long to hold the call.
func (b *breaker) allow() (done func(error), hold time.Duration) {
	done, err := b.Allow()
	switch {
	case err == nil:
		return done, 0
	case errors.Is(err, gobreaker.ErrOpenState):
		hold, _ = b.isOpen()
		return nil, max(hold, time.Millisecond)
	default:
		return nil, shortHold
	}
}

// breakerError returns the result of a call for the breaker: nil unless the upstream is at fault.
func breakerError(ctx context.Context, a answer, r revocation.Reply) error {
	switch {
	case !a.isFault(r):
		return nil
	case a.err != nil && ctx.Err() != nil:
		return errInterrupted
	default:
		return errFault
	}
}
