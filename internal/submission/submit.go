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
	// maxFlush is the largest number of submissions in one transaction. It bounds how long each of them waits for the
	// others.
	maxFlush = 256
	// flushTimeout bounds writing a flush, with all the parts that it is split into. So it bounds how long callers wait
	// for a database that does not answer.
	flushTimeout = 5 * time.Second
)

// submissionBatches are the limits of a group commit. A slow flush must not delay the others, so up to 4 run at once.
var submissionBatches = batch.Options{MaxSize: maxFlush, MaxRunning: 4, MaxWait: 20 * time.Millisecond}

type pending struct {
	submission  revocation.Submission
	traceParent string
	// wait requests that a waiter is registered before the task can be enqueued, so that no wake-up is missed.
	wait bool
	// taken is set once: by the flush, which then sends the result, or by a caller that leaves without the result. So
	// every waiter has a caller that closes it.
	taken  atomic.Bool
	result chan flushed
	// deadline is when it stops waiting for a lock of another transaction; zero until its first flush has ended.
	deadline time.Time
}

// answer sends the result unless the caller has left. It registers a waiter only for a caller that has not left.
func (p *pending) answer(f flushed, waiters *waiters) {
	if !p.taken.CompareAndSwap(false, true) {
		return
	}
	if p.wait && cmp.Or(f.err, f.accepted.Err) == nil {
		f.waiter = waiters.register(f.accepted.ID)
	}
	p.result <- f
}

// leave reports whether the caller may leave without a result. If not, the result is in the channel or will be soon.
func (p *pending) leave() bool { return p.taken.CompareAndSwap(false, true) }

type flushed struct {
	accepted revocation.Accepted
	waiter   *waiter
	err      error
}

// Submit accepts a request to revoke an invite. If it returns no error, the revocation is durable and will be carried out.
// With wait, Submit waits at most that long for the end of the first attempt, unless that has to wait for not_before or a
// hold. It returns the revocation in its present
// state. The end of ctx does not withdraw a revocation that was accepted.
//
// The error's code is CodeNotFound if the account has no such invite, CodeIdempotencyMismatch if the idempotency key is
// bound to other values, CodeOutcomeUnknown if the request may or may not have been accepted, or the code of an error of the
// database if nothing was accepted.
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
	if f.accepted.Created && !f.accepted.Waits {
		r := submission.Pending()
		if wait <= 0 {
			return r, nil
		}
		return s.await(ctx, f.waiter, wait, &r, (*revocation.Revocation).HasOutcome)
	}
	r, err := s.store.Revocation(ctx, submission.Account, f.accepted.ID)
	if err != nil {
		// The request was accepted, but its revocation cannot be read now.
		return revocation.Revocation{}, &revocation.Error{Code: revocation.CodeOutcomeUnknown, Err: err}
	}
	if wait <= 0 || r.HasOutcome() || r.NextAttemptAt.After(time.Now()) {
		return r, nil
	}
	return s.await(ctx, f.waiter, wait, &r, (*revocation.Revocation).HasOutcome)
}

// flush writes submissions and answers them. A submission that makes the transaction fail is isolated, so that the others
// are accepted.
func (s *Service) flush(submissions []*pending) {
	// The context is not a caller's: a caller that leaves, or a stop, must not interrupt the other submissions.
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	s.write(ctx, submissions)
}

// write writes the submissions whose callers are still there, and answers them.
func (s *Service) write(ctx context.Context, submissions []*pending) {
	submissions = slices.DeleteFunc(submissions, func(p *pending) bool { return p.taken.Load() })
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
	accepted, err := s.store.Submit(revocation.WithTraceParent(ctx, traceParentOf(submissions)), flush)
	if err == nil {
		s.answer(ctx, submissions, accepted)
	}
	return err
}

// answer answers submissions and sends one task for the new revocations. Submissions that need a lock are retried instead.
func (s *Service) answer(ctx context.Context, submissions []*pending, accepted []revocation.Accepted) {
	if slices.ContainsFunc(accepted, revocation.Accepted.Locked) {
		submissions, accepted = s.postpone(ctx, submissions, accepted)
	}
	s.observer.Flushed(len(submissions), accepted, nil)
	created := make([]revocation.Ref, 0, len(submissions))
	for i, p := range submissions {
		a := accepted[i]
		if a.Created && !a.Waits {
			created = append(created, revocation.Ref{Account: p.submission.Account, ID: a.ID})
		}
		p.answer(flushed{accepted: a}, s.waiters)
	}
	if len(created) > 0 {
		s.send(task{created, traceParentOf(submissions)})
	}
}

// traceParentOf returns the first trace parent of submissions, for the transaction and the task that they share.
func traceParentOf(submissions []*pending) string {
	for _, p := range submissions {
		if p.traceParent != "" {
			return p.traceParent
		}
	}
	return ""
}
