package submission

import (
	"cmp"
	"context"
	"time"

	"rescind/internal/revocation"
)

// task becomes one task in the queue, with the trace parent of its first revocation that has one.
type task struct {
	refs        []revocation.Ref
	traceParent string
}

// send passes a task to the goroutine of enqueue. If too many wait there, because Redis is unavailable, send drops the task:
// the rows are durable, and the dispatcher finds them.
func (s *Service) send(t task) {
	select {
	case s.tasks <- t:
	default:
		s.log.Warn("queue is slow: left to the dispatcher", "count", len(t.refs))
	}
}

// taskPause is the shortest time between two tasks, unless the second is full. Revocations that are submitted within it
// share a task, because a task is expensive for the worker whatever its size. If tasks come this fast, the workers are busy
// anyway. A submission that comes later than taskPause after a task does not wait.
const taskPause = 3 * time.Millisecond

// enqueue sends tasks to the queue until s.tasks is closed and empty.
func (s *Service) enqueue(ctx context.Context) {
	var sent time.Time
	for t := range s.tasks {
		s.gather(&t, taskPause-time.Since(sent))
		sent = time.Now()
		if err := s.queue.EnqueueRevocations(revocation.WithTraceParent(ctx, t.traceParent), 0, t.refs); err != nil {
			s.log.Warn("enqueue failed: left to the dispatcher", "count", len(t.refs), "error", err)
		}
	}
}

// gather adds to t the tasks that wait, and the tasks that arrive within pause, until t is full.
func (s *Service) gather(t *task, pause time.Duration) {
	over := time.After(pause)
	for len(t.refs) < maxFlush {
		select {
		case more, ok := <-s.tasks:
			if !ok {
				return
			}
			t.add(more)
			continue
		default:
		}
		if pause <= 0 {
			return
		}
		select {
		case more, ok := <-s.tasks:
			if !ok {
				return
			}
			t.add(more)
		case <-over:
			pause = 0
		}
	}
}

func (t *task) add(more task) {
	t.refs, t.traceParent = append(t.refs, more.refs...), cmp.Or(t.traceParent, more.traceParent)
}
