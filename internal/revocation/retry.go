package revocation

import (
	"math/rand/v2"
	"time"
)

// RetryPolicy says how often and when an attempt that failed for a passing reason is made again.
type RetryPolicy struct {
	// Base is the upper bound of the first delay; it doubles with each failed attempt.
	Base time.Duration
	// Max bounds every delay.
	Max time.Duration
	// MaxAttempts is how many attempts are made in all, at least 1.
	MaxAttempts int
}

// Delay is the wait after the n-th failed attempt, n from 1: drawn evenly between half and all of
// min(Base × 2^(n-1), Max), so that what failed together does not come back together.
func (p RetryPolicy) Delay(n int) time.Duration {
	full := doubled(p.Base, n-1, p.Max)
	return full/2 + rand.N(full/2+1)
}

// Exhausted tells whether the n-th failed attempt was the last.
func (p RetryPolicy) Exhausted(n int) bool { return n >= p.MaxAttempts }

// doubled is base × 2^times, at most limit.
func doubled(base time.Duration, times int, limit time.Duration) time.Duration {
	for range times {
		if base >= limit {
			break
		}
		base *= 2
	}
	return min(base, limit)
}

const (
	firstVisibility = 10 * time.Second
	maxVisibility   = 80 * time.Second
)

// VisibilityTimeout is how long a task that was enqueued for the n-th time, n from 0, is left alone before its rows
// count as lost and are enqueued again. It doubles, so that a backlog is not enqueued anew at every look,
// and it is bounded, so that a Redis that was emptied delays nothing for longer than that. Enqueueing too
// early is harmless: the second task finds the work done.
func VisibilityTimeout(n int) time.Duration { return doubled(firstVisibility, n, maxVisibility) }
