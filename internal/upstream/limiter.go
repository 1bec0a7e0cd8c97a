package upstream

import (
	"context"

	"golang.org/x/time/rate"

	"rescind/internal/revocation"
)

// limiter enforces an account's limits: how many calls are made at once, and how many begin in a second.
type limiter struct {
	concurrency int
	rate        float64

	slots     chan struct{}
	rateLimit *rate.Limiter // nil: no limit
}

func newLimiter(target revocation.Target) *limiter {
	l := &limiter{concurrency: concurrencyOf(target), rate: target.Rate}
	l.slots = make(chan struct{}, l.concurrency)
	if l.rate > 0 {
		// Calls are spread evenly. The small burst makes up for timers that fire late.
		l.rateLimit = rate.NewLimiter(rate.Limit(l.rate), max(1, int(l.rate/20)))
	}
	return l
}

func concurrencyOf(target revocation.Target) int {
	if target.Concurrency <= 0 {
		return revocation.DefaultConcurrency
	}
	return target.Concurrency
}

// fit reports whether the limiter has target's limits.
func (l *limiter) fit(target revocation.Target) bool {
	return l.concurrency == concurrencyOf(target) && l.rate == target.Rate
}

// enter waits for a slot. The caller must call leave to release it.
func (l *limiter) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case l.slots <- struct{}{}:
		return func() { <-l.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pace waits until one more call may begin.
func (l *limiter) pace(ctx context.Context) error {
	if l.rateLimit == nil {
		return ctx.Err()
	}
	return l.rateLimit.Wait(ctx)
}

// idle reports whether a new limiter would behave the same.
func (l *limiter) idle() bool {
	return l.rateLimit == nil || l.rateLimit.Tokens() >= float64(l.rateLimit.Burst())
}
