package submission

import (
	"context"
	"sync"
	"time"

	"rescind/internal/revocation"
)

// waiters are the requests of this process that wait for an outcome. A wake-up says only that there is
// something to read: the database is the truth, and a lost wake-up costs time and nothing else.
type waiters struct {
	mu  sync.Mutex
	ids map[revocation.ID]map[*waiter]struct{}
}

type waiter struct {
	all  *waiters
	id   revocation.ID
	wake chan struct{} // of capacity 1: a wake-up that comes before the wait is kept
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

// close ends the registration; a nil waiter has none.
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

// Wake tells the requests of this process that wait for one of ids, or watch it, to look again.
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

// await reads r again at each wake-up and at the deadline, until enough says so, and returns the newest it
// has read. When ctx ends or the service drains, it returns what there is.
func (s *Service) await(ctx context.Context, w *waiter, wait time.Duration, r *revocation.Revocation, enough func(*revocation.Revocation) bool) (revocation.Revocation, error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	var look <-chan time.Time
	if !r.Job.IsZero() {
		// The end of a job's item is not told: there are too many.
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		look = tick.C
	}
	for over := false; !over && !enough(r); {
		select {
		case <-w.wake:
		case <-look:
		case <-deadline.C:
			over = true
		case <-s.drained:
			over = true
		case <-ctx.Done():
			return *r, nil
		}
		newer, err := s.store.Revocation(ctx, r.Account, r.ID)
		if err != nil {
			// It was accepted, and that is what the caller must hear, even if it cannot be read now.
			return *r, nil
		}
		*r = newer
	}
	return *r, nil
}
