package submission

import (
	"context"
	"sync"
	"time"

	"rescind/internal/revocation"
)

// lockPause is the time between two attempts to write the submissions that need a lock.
const lockPause = 50 * time.Millisecond

// locked collects the submissions that need a row which another transaction has locked, such as the transaction of a worker
// that stopped responding. They are retried apart from all others, so that only their own callers wait.
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

// take removes and returns up to maxFlush waiting submissions, in the order in which they were added.
func (l *locked) take() []*pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.waiting), maxFlush)
	taken := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	return taken
}

// postpone moves the submissions that need a lock to s.locked. It returns the others and the answers to them. A submission
// waits at most until the deadline of its first flush, and then gets the answer that it has. A submission whose caller has
// left does not wait: nothing was written for it, and nothing will be.
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

// retryLocked retries the submissions that need a lock, until ctx has ended and none waits any more.
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
