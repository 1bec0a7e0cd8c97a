package submission

import (
	"context"
	"sync"
	"time"

	"rescind/internal/revocation"
)

// waiters are the requests of this process that wait for an outcome. A wake-up carries no outcome: the request reads it from
// the database. So a lost wake-up only delays the response.
type waiters struct {
	mu  sync.Mutex
	ids map[revocation.ID]map[*waiter]struct{}
}

type waiter struct {
	all  *waiters
	id   revocation.ID
	wake chan struct{} // of capacity 1, so that a wake-up before the wait is not lost
}

func newWaiters() *waiters { return &waiters{ids: make(map[revocation.ID]map[*waiter]struct{})} }

func (ws *waiters) register(id revocation.ID) *waiter {
	w := &waiter{all: ws, id: id, wake: make(chan struct{}, 1)}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.ids[id] == nil {
		ws.ids[id] = make(map[*waiter]struct{}, 1)
	}
	ws.ids[id][w] = struct{}{}
	return w
}

// close removes the registration. It does nothing for a nil waiter.
func (w *waiter) close() {
	if w == nil {
		return
	}
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	delete(w.all.ids[w.id], w)
	if len(w.all.ids[w.id]) == 0 {
		delete(w.all.ids, w.id)
	}
}

// Wake makes the requests of this process that wait for one of ids, or watch it, read it again.
func (s *Service) Wake(ids []revocation.ID) {
	for _, id := range ids {
		s.watches.refresh(id)
	}
	s.waiters.mu.Lock()
	defer s.waiters.mu.Unlock()
	for _, id := range ids {
		for w := range s.waiters.ids[id] {
			select {
			case w.wake <- struct{}{}:
			default:
			}
		}
	}
}

// await reads r again at each wake-up, until done reports true for it or wait is over, and returns the last state that it
// has read. It returns early when ctx ends or the service drains.
func (s *Service) await(ctx context.Context, w *waiter, wait time.Duration, r *revocation.Revocation, done func(*revocation.Revocation) bool) (revocation.Revocation, error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	var poll <-chan time.Time
	if !r.Job.IsZero() {
		// The outcomes of a job's items are not published, because they are too many.
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		poll = tick.C
	}
	for over := false; !over && !done(r); {
		select {
		case <-w.wake:
		case <-poll:
		case <-deadline.C:
			over = true
		case <-s.drained:
			over = true
		case <-ctx.Done():
			return *r, nil
		}
		newer, err := s.store.Revocation(ctx, r.Account, r.ID)
		if err != nil {
			// The request was accepted. The caller must get that answer even if the new state cannot be read now.
			return *r, nil
		}
		*r = newer
	}
	return *r, nil
}
