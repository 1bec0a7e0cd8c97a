package queue

import (
	"context"
	"sync/atomic"
	"time"

	"rescind/internal/revocation"
)

const (
	// yieldTimeout bounds the question whether others wait. It comes between two steps of a turn, and a Redis that
	// swallows packets should not hold up what does not need it.
	yieldTimeout = 250 * time.Millisecond
	// nobodyPause and unansweredPause are how long the answer that nobody waits is believed, and how long none. That
	// somebody waits is never believed for longer than once: a single one should not end all turns.
	nobodyPause     = 10 * time.Millisecond
	unansweredPause = time.Second
)

type stopKey struct{}

// withStop tells those who work under ctx when their worker stops. Their context itself goes on meanwhile: it would
// roll back the transaction that they are in.
func withStop(ctx context.Context, stop <-chan struct{}) context.Context {
	return context.WithValue(ctx, stopKey{}, stop)
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// Yield makes a function that tells a turn of a kind, which gives its context, whether to end before its next step:
// because others wait for a turn, its worker stops, or it has gone on for long enough. Without an answer of Redis
// nobody waits. It may be asked between the smallest of steps: that nobody waits is believed for a moment.
func (c *Client) Yield(kind revocation.AccountTask) func(context.Context) bool {
	class := taskClasses[kind]
	pending := asynqKey(class.queue, "pending")
	var again atomic.Int64 // when to ask Redis again, in nanoseconds since began
	began := time.Now()
	return func(ctx context.Context) bool {
		if stop, ok := ctx.Value(stopKey{}).(<-chan struct{}); ok && stopped(stop) {
			return true
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < class.ending {
			return true
		}
		if time.Since(began) < time.Duration(again.Load()) {
			return false
		}
		// Not the turn's context: the question is no part of its work, which a trace would tell of a hundred times a second.
		ctx, cancel := context.WithTimeout(context.Background(), yieldTimeout)
		defer cancel()
		waiting, err := c.redis.LLen(ctx, pending).Result()
		switch {
		case err != nil:
			again.Store(int64(time.Since(began) + unansweredPause))
		case waiting == 0:
			again.Store(int64(time.Since(began) + nobodyPause))
		}
		return waiting > 0
	}
}
