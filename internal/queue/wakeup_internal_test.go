package queue

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestWakeUp_polls(t *testing.T) {
	w := newWakeUp(make(chan struct{}), queueSingle)
	polls, answer := 0, error(redis.Nil)
	dequeue := w.ProcessHook(func(context.Context, redis.Cmder) error {
		polls++
		return answer
	})
	cmd := redis.NewCmd(t.Context(), "evalsha", "script", 4, asynqKey(queueSingle, "pending"), asynqKey(queueSingle, "paused"),
		asynqKey(queueSingle, "active"), asynqKey(queueSingle, "lease"))
	// A wake-up is there each time, so no step waits.
	for _, step := range []struct {
		what   string
		answer error
		wake   bool
		polls  int
	}{
		{"at first it polls before and after the wait", redis.Nil, true, 2},
		{"after the queue was found empty it polls only after the wait", redis.Nil, true, 1},
		{"a task is found after the wait", nil, true, 1},
		{"after a task it polls at once", nil, false, 1},
	} {
		polls, answer = 0, step.answer
		if step.wake {
			w.queues[queueSingle].wake <- struct{}{}
		}
		if err := dequeue(t.Context(), cmd); err != step.answer || polls != step.polls { //nolint:errorlint // the hook returns the same error
			t.Errorf("%s: %d polls, %v", step.what, polls, err)
		}
	}
}
