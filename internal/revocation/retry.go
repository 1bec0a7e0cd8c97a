package revocation

import (
	"math/rand/v2"
	"time"
)

// RetryPolicy determines how often and when an attempt that failed for a temporary reason is retried.
type RetryPolicy struct {
	// Base is the upper bound of the first delay. The bound doubles with each failed attempt.
	Base time.Duration
	// Max bounds every delay.
	Max time.Duration
	// MaxAttempts is how many attempts are made in total, at least 1.
	MaxAttempts int
}

// Delay returns the delay after the n-th failed attempt, n from 1. It is random: uniform between half of
// min(Base × 2^(n-1), Max) and all of it, so that attempts that failed together are not retried together.
func (p RetryPolicy) Delay(n int) time.Duration {
	full := doubled(p.Base, n-1, p.Max)
	return full/2 + rand.N(full/2+1)
}

// Exhausted reports whether the n-th failed attempt was the last.
func (p RetryPolicy) Exhausted(n int) bool { return n >= p.MaxAttempts }

// doubled returns base × 2^times, at most limit.
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

// VisibilityTimeout returns how long after the n-th dispatch, n from 0, the rows of a task count as lost and are enqueued
// again. It doubles with n, so that a dispatcher does not enqueue a backlog again at every poll. It is at most 80 s, so that
// a Redis that lost its data delays nothing for longer. Enqueueing too early is harmless: the second task finds the work
// done.
func VisibilityTimeout(n int) time.Duration { return doubled(firstVisibility, n, maxVisibility) }
