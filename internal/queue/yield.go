package queue

import (
	"context"
	"sync/atomic"
	"time"

	"rescind/internal/revocation"
)

const (
	// yieldTimeout bounds how long Redis may take to answer, because a Redis that is away must not delay the steps of a
	// task.
	yieldTimeout = 250 * time.Millisecond
	// emptyTTL is how long the answer that no task is pending is used again. noAnswerTTL is how long Redis is not asked
	// after it did not answer. That tasks are pending is not used again: one pending task must not end all running ones.
	emptyTTL    = 10 * time.Millisecond
	noAnswerTTL = time.Second
)

type stopKey struct{}

// withStop returns a context that carries stop, for Yield. The worker does not cancel the context of a running task when
// it stops, because that would roll back the task's transaction.
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

// Yield returns a function that reports whether an account task of a kind should end before its next step: because other
// tasks are pending, its worker stops, or it has used up its time. The task must pass its own context. The function
// assumes that no tasks are pending if Redis does not answer. It is cheap, because it asks Redis at most every 10 ms
// while no task is pending.
func (c *Client) Yield(kind revocation.AccountTask) func(context.Context) bool {
	class := taskClasses[kind]
	pending := asynqKey(class.queue, "pending")
	var nextQuery atomic.Int64 // in nanoseconds since began
	began := time.Now()
	return func(ctx context.Context) bool {
		if stop, ok := ctx.Value(stopKey{}).(<-chan struct{}); ok && stopped(stop) {
			return true
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < class.ending {
			return true
		}
		if time.Since(began) < time.Duration(nextQuery.Load()) {
			return false
		}
		// Not the task's context: its trace would show this query a hundred times a second.
		ctx, cancel := context.WithTimeout(context.Background(), yieldTimeout)
		defer cancel()
		tasks, err := c.redis.LLen(ctx, pending).Result()
		switch {
		case err != nil:
			nextQuery.Store(int64(time.Since(began) + noAnswerTTL))
		case tasks == 0:
			nextQuery.Store(int64(time.Since(began) + emptyTTL))
		}
		return tasks > 0
	}
}
