package submission

import (
	"context"
	"sync"
	"time"

	"rescind/internal/revocation"
)

// lockPause is the time between two attempts on the submissions that wait for a lock.
const lockPause = 50 * time.Millisecond

// locked are the submissions that need what another transaction has locked, such as that of a worker that was stopped in
// the midst of it. They are tried again apart from all others, so that only their own callers wait.
type locked struct {
	mu      sync.Mutex
	waiting []*pending
	arrived chan struct{} // of capacity 1
}

func newLocked() *locked { return &locked{arrived: make(chan struct{}, 1)} }

func (l *locked) add(ps []*pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, ps...)
	select {
	case l.arrived <- struct{}{}:
	default:
	}
}

// take returns up to maxFlush of those that wait, in the order in which they came.
func (l *locked) take() []*pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.waiting), maxFlush)
	taken := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	return taken
}

// postpone takes out of submissions, and of the answers to them, those that wait for a lock. They wait as long as a flush may
// take, from their first one on; after that they get the answer that they have. Of those whose callers have left, nothing
// was written, and nothing will be.
func (s *Service) postpone(ctx context.Context, submissions []*pending, accepted []revocation.Accepted) ([]*pending, []revocation.Accepted) {
	var waiting, answered []*pending
	var answers []revocation.Accepted
	for i, p := range submissions {
		if p.deadline.IsZero() {
			p.deadline, _ = ctx.Deadline()
		}
		if accepted[i].Locked() && time.Now().Before(p.deadline) && !p.taken.Load() {
			waiting = append(waiting, p)
			continue
		}
		answered, answers = append(answered, p), append(answers, accepted[i])
	}
	if len(waiting) > 0 {
		s.locked.add(waiting)
	}
	return answered, answers
}

// retryLocked tries what waits for a lock again, until ctx has ended and nothing waits any more.
func (s *Service) retryLocked(ctx context.Context) {
	for {
		select {
		case <-s.locked.arrived:
		case <-ctx.Done():
		}
		for ps := s.locked.take(); len(ps) > 0; ps = s.locked.take() {
			time.Sleep(lockPause)
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
			s.write(bounded, ps)
			cancel()
		}
		if ctx.Err() != nil {
			return
		}
	}
}
