package submission

import (
	"cmp"
	"context"
	"time"

	"rescind/internal/revocation"
)

// task is what becomes one task of the queue, with the origin of its first revocation.
type task struct {
	refs   []revocation.Ref
	origin string
}

// handOver leaves a task to enqueue. If that is behind, because Redis is away, it drops the task: the rows are durable,
// and the dispatcher finds them.
func (s *Service) handOver(t task) {
	select {
	case s.tasks <- t:
	default:
		s.log.Warn("queue is behind: left to the dispatcher", "count", len(t.refs))
	}
}

// taskPause is the time between two tasks, unless the second is full: what is submitted within it goes together. A task
// costs the worker much, whatever its size, and at a rate that fills this pause the workers have others to carry out. A
// lone submission after a pause never waits.
const taskPause = 3 * time.Millisecond

// enqueue sends tasks to the queue until there are no more.
func (s *Service) enqueue(ctx context.Context) {
	var sent time.Time
	for t := range s.tasks {
		s.gather(&t, taskPause-time.Since(sent))
		sent = time.Now()
		if err := s.queue.EnqueueRevocations(revocation.WithTraceParent(ctx, t.origin), 0, t.refs); err != nil {
			s.log.Warn("enqueue failed: left to the dispatcher", "count", len(t.refs), "error", err)
		}
	}
}

// gather adds to a task those that are there, and those that come within a pause, until it is full.
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
	t.refs, t.origin = append(t.refs, more.refs...), cmp.Or(t.origin, more.origin)
}
