package queue

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxIdleWait is the longest time between two polls of an idle server. It is also the delay of a task whose wake-up was
// lost, or that is due for a retry, for which there is no wake-up. asynq computes the end of a task's lease before the
// wait, so the wait must be much shorter than a lease.
const maxIdleWait = time.Second

// pollInterval is the average time that asynq pauses after it found a queue empty. It only adds delay, because ProcessHook
// has already waited.
const pollInterval = time.Millisecond

// wakeUp replaces asynq's polling. It is a hook of the go-redis client of the servers. When a command finds its queue
// empty, the hook waits for a wake-up and runs the command once more before it returns to asynq. The hook is called
// above the connection pool, so the wait uses no connection. While tasks are pending it never waits.
//
// It recognizes asynq's command by its keys. If it did not, servers would poll once in pollInterval.
type wakeUp struct {
	// stop is closed when no more tasks may be taken. Waits end then, and queues are no longer polled.
	stop   <-chan struct{}
	queues map[string]*idleQueue
}

// idleQueue has the state of the wait for one queue. Only one goroutine takes tasks from the queue.
type idleQueue struct {
	// wake has capacity 1, so that a wake-up before the wait is kept.
	wake chan struct{}
	// empty reports whether the last poll was at the end of a wait and found nothing. A task that came since has left a
	// wake-up, so there is no need to poll before the next wait.
	empty atomic.Bool
}

func newWakeUp(stop <-chan struct{}, queues ...string) *wakeUp {
	w := &wakeUp{stop: stop, queues: make(map[string]*idleQueue, len(queues))}
	for _, queue := range queues {
		w.queues[queue] = &idleQueue{wake: make(chan struct{}, 1)}
	}
	return w
}

// listen receives wake-ups until ctx ends.
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

// ProcessHook delays a command that finds its queue empty.
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
		timer := time.NewTimer(maxIdleWait)
		defer timer.Stop()
		select {
		case <-queue.wake:
		case <-timer.C:
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

// DialHook returns next.
func (w *wakeUp) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook returns next: asynq takes no tasks in pipelines.
func (w *wakeUp) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
