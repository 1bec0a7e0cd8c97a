package submission

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"rescind/internal/revocation"

	"rescind/internal/batch"
)

const (
	// maxFlush is how many submissions are written in one transaction at most. It bounds the time that the first of them
	// waits for the last.
	maxFlush = 256
	// flushTimeout bounds the writing of a batch, with the parts that it is split into. No caller waits longer for a
	// database that hangs.
	flushTimeout = 5 * time.Second
)

// submissionBatches is the group commit. Larger batches cost less a submission, but one that is slow must not delay the
// others.
var submissionBatches = batch.Options{MaxSize: maxFlush, MaxRunning: 4, MaxWait: 20 * time.Millisecond}

type pending struct {
	submission  revocation.Submission
	traceParent string
	// wait asks for a waiter to be registered before the task can be enqueued, so that no wake-up is missed.
	wait bool
	// taken is set once: by the flush, which then sends the result, or by the caller that leaves without one. So a
	// waiter always has a caller that closes it.
	taken  atomic.Bool
	result chan flushed
	// deadline is when it stops waiting for what another transaction has locked; zero until it has begun to.
	deadline time.Time
}

// answer sends the result unless the caller has left. The waiter is registered only for a caller that is there.
func (p *pending) answer(f flushed, waiters *waiters) {
	if !p.taken.CompareAndSwap(false, true) {
		return
	}
	if p.wait && cmp.Or(f.err, f.accepted.Err) == nil {
		f.waiter = waiters.register(f.accepted.ID)
	}
	p.result <- f
}

// leave reports whether the caller can go without a result. If not, the result is there or about to come.
func (p *pending) leave() bool { return p.taken.CompareAndSwap(false, true) }

type flushed struct {
	accepted revocation.Accepted
	waiter   *waiter
	err      error
}

// Submit accepts a request to revoke an invite: when it returns, the revocation is durable and will be
// carried out. It then waits, at most for wait, until the first attempt has ended, and returns the
// revocation as it stands. A caller that leaves (ctx) does not take back what was accepted.
func (s *Service) Submit(ctx context.Context, submission revocation.Submission, wait time.Duration) (revocation.Revocation, error) {
	submission.ID = s.newID()
	p := &pending{submission: submission, traceParent: revocation.TraceParent(ctx), wait: wait > 0, result: make(chan flushed, 1)}
	if !s.submissions.Add(p) {
		return revocation.Revocation{}, &revocation.Error{Code: revocation.CodeUnavailable, Err: errStopped}
	}
	var f flushed
	select {
	case f = <-p.result:
	case <-ctx.Done():
		if p.leave() {
			return revocation.Revocation{}, &revocation.Error{Code: revocation.CodeOutcomeUnknown, Err: ctx.Err()}
		}
		f = <-p.result
	}
	defer f.waiter.close()
	if err := cmp.Or(f.err, f.accepted.Err); err != nil {
		return revocation.Revocation{}, err
	}
	if f.accepted.Created {
		r := submission.Pending()
		if wait <= 0 {
			return r, nil
		}
		return s.await(ctx, f.waiter, wait, &r, (*revocation.Revocation).HasOutcome)
	}
	r, err := s.store.Revocation(ctx, submission.Account, f.accepted.ID)
	if err != nil {
		// It was accepted, but the revocation that it is part of cannot be read now.
		return revocation.Revocation{}, &revocation.Error{Code: revocation.CodeOutcomeUnknown, Err: err}
	}
	if wait <= 0 || r.HasOutcome() {
		return r, nil
	}
	return s.await(ctx, f.waiter, wait, &r, (*revocation.Revocation).HasOutcome)
}

// flush writes a batch of submissions and answers them. If one of them makes the transaction fail, it fails alone.
func (s *Service) flush(submissions []*pending) {
	// The deadline is its own: a caller that leaves, and a stop, do not interrupt what is written for others.
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	s.write(ctx, slices.DeleteFunc(submissions, func(p *pending) bool { return p.taken.Load() }))
}

func (s *Service) write(ctx context.Context, submissions []*pending) {
	if len(submissions) == 0 {
		return
	}
	_ = batch.Isolate(submissions, maxFlush,
		func(part []*pending) error { return s.commit(ctx, part) },
		func(err error) bool { return ctx.Err() == nil && revocation.CanIsolate(err) },
		func(part []*pending, err error) error {
			if len(part) == 1 && revocation.ErrorCode(err) == revocation.CodeLockTimeout {
				s.answer(ctx, part, []revocation.Accepted{{Err: err}})
				return nil
			}
			s.observer.Flushed(len(part), nil, err)
			for _, p := range part {
				p.answer(flushed{err: err}, s.waiters)
			}
			return nil
		})
}

// commit writes submissions in one transaction and, unless that fails, answers them.
func (s *Service) commit(ctx context.Context, submissions []*pending) error {
	flush := make([]revocation.Submission, len(submissions))
	for i, p := range submissions {
		flush[i] = p.submission
	}
	accepted, err := s.store.Submit(revocation.WithTraceParent(ctx, originOf(submissions)), flush)
	if err == nil {
		s.answer(ctx, submissions, accepted)
	}
	return err
}

// answer answers submissions and hands over one task for those that are new. Those that wait for a lock are tried again.
func (s *Service) answer(ctx context.Context, submissions []*pending, accepted []revocation.Accepted) {
	if slices.ContainsFunc(accepted, revocation.Accepted.Locked) {
		submissions, accepted = s.postpone(ctx, submissions, accepted)
	}
	s.observer.Flushed(len(submissions), accepted, nil)
	created := make([]revocation.Ref, 0, len(submissions))
	for i, p := range submissions {
		a := accepted[i]
		if a.Created {
			created = append(created, revocation.Ref{Account: p.submission.Account, ID: a.ID})
		}
		p.answer(flushed{accepted: a}, s.waiters)
	}
	if len(created) > 0 {
		s.handOver(task{created, originOf(submissions)})
	}
}

// originOf returns the first origin of submissions, for the trace of the task that they become together.
func originOf(submissions []*pending) string {
	for _, p := range submissions {
		if p.traceParent != "" {
			return p.traceParent
		}
	}
	return ""
}
