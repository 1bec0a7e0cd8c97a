package queue

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestWakeUp_looks(t *testing.T) {
	w := newWakeUp(make(chan struct{}), queueSingle)
	looks, answer := 0, error(redis.Nil)
	dequeue := w.ProcessHook(func(context.Context, redis.Cmder) error {
		looks++
		return answer
	})
	cmd := redis.NewCmd(t.Context(), "evalsha", "script", 4, asynqKey(queueSingle, "pending"), asynqKey(queueSingle, "paused"),
		asynqKey(queueSingle, "active"), asynqKey(queueSingle, "lease"))
	// Each time there is a wake-up already, so that none waits.
	for _, step := range []struct {
		what   string
		answer error
		wake   bool
		looks  int
	}{
		{"at first it looks before it waits, and after", redis.Nil, true, 2},
		{"what was just seen to be empty is looked at after the wait alone", redis.Nil, true, 1},
		{"a task is found after the wait", nil, true, 1},
		{"after a task it looks at once", nil, false, 1},
	} {
		looks, answer = 0, step.answer
		if step.wake {
			w.queues[queueSingle].wake <- struct{}{}
		}
		if err := dequeue(t.Context(), cmd); err != step.answer || looks != step.looks { //nolint:errorlint // it is handed on as it is
			t.Errorf("%s: %d looks, %v", step.what, looks, err)
		}
	}
}
