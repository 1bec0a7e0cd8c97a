package queue

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// wakeCeiling is the longest that an idle server goes without looking at its queue: the delay of a task whose
// wake-up was lost, or that has come back for a retry, which wakes nobody. asynq has already reckoned the
// lease of a task when the wait begins, so that it must stay far below a lease's 30 s.
const wakeCeiling = time.Second

// pollInterval is asynq's own pause after a queue was found empty, on average. The wait below has been spent
// by then, so that it is pure delay.
const pollInterval = time.Millisecond

// wakeUp turns asynq's polling into waiting. It is a hook on the go-redis client of the servers: where their
// dequeue finds a queue empty, it waits for a wake-up and looks once more, before asynq sees an answer. It
// stands above the connection pool, so that no connection is held meanwhile. A backlog never waits.
//
// It knows the dequeue by the keys of asynq's script, which its documentation does not promise; were they to
// change, servers would poll once in pollInterval, and the tests here would fail.
type wakeUp struct {
	// stop is closed when no more work may be taken. Waits end then, and no queue is looked at any more.
	stop   <-chan struct{}
	queues map[string]*idleQueue
}

// idleQueue is what a queue's server waits for. One goroutine dequeues from it.
type idleQueue struct {
	// wake is of capacity 1: a wake-up that comes before the wait is kept.
	wake chan struct{}
	// empty tells that the last look, a moment ago, ended a wait and found nothing. Whatever has come since has left a
	// wake-up, so that the next look would be for nothing.
	empty atomic.Bool
}

func newWakeUp(stop <-chan struct{}, queues ...string) *wakeUp {
	w := &wakeUp{stop: stop, queues: make(map[string]*idleQueue, len(queues))}
	for _, queue := range queues {
		w.queues[queue] = &idleQueue{wake: make(chan struct{}, 1)}
	}
	return w
}

// listen feeds the wake-ups until ctx ends.
func (w *wakeUp) listen(ctx context.Context, client *redis.Client) {
	byChannel := make(map[string]chan struct{}, len(w.queues))
	channels := make([]string, 0, len(w.queues))
	for queue, idle := range w.queues {
		byChannel[wakeChannel(queue)] = idle.wake
		channels = append(channels, wakeChannel(queue))
	}
	subscribe(ctx, client, func(channel, _ string) {
		select {
		case byChannel[channel] <- struct{}{}:
		default:
		}
	}, channels...)
}

// ProcessHook holds up a dequeue that finds nothing.
func (w *wakeUp) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		queue, ok := w.queues[dequeued(cmd)]
		if !ok {
			return next(ctx, cmd)
		}
		if stopped(w.stop) {
			return redis.Nil
		}
		if !queue.empty.Swap(false) {
			if err := next(ctx, cmd); !errors.Is(err, redis.Nil) {
				return err
			}
		}
		ceiling := time.NewTimer(wakeCeiling)
		defer ceiling.Stop()
		select {
		case <-queue.wake:
		case <-ceiling.C:
		case <-w.stop:
		case <-ctx.Done():
			return redis.Nil
		}
		if stopped(w.stop) {
			return redis.Nil
		}
		err := next(ctx, cmd)
		queue.empty.Store(errors.Is(err, redis.Nil))
		return err
	}
}

// DialHook changes nothing.
func (w *wakeUp) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook changes nothing: asynq dequeues outside of pipelines.
func (w *wakeUp) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// dequeued names the queue that cmd takes a task from; empty when cmd is something else. The command is
// EVALSHA or EVAL, the script, 4, and the keys asynq:{queue}:pending, …:paused, …:active and …:lease.
func dequeued(cmd redis.Cmder) string {
	args := cmd.Args()
	if len(args) < 7 || args[2] != 4 || cmd.Name() != "evalsha" && cmd.Name() != "eval" {
		return ""
	}
	pending, _ := args[3].(string)
	paused, _ := args[4].(string)
	lease, _ := args[6].(string)
	key, ok := strings.CutSuffix(pending, "pending")
	if !ok || paused != key+"paused" || lease != key+"lease" {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(key, "asynq:{"), "}:")
}
