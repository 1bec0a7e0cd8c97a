package revocation

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync/atomic"
	"time"
)

// Submission is a request to revoke one invite. Its values have been validated: ReportID is positive,
// ClientReference and IdempotencyKey are valid UTF-8 of at most 255 characters without NUL.
type Submission struct {
	// ID is the revocation's if a new one is made of this submission. The service sets it.
	ID              ID
	Account         string
	ReportID        int64
	Notify          bool
	ClientReference *string
	RequestedBy     ID
	// IdempotencyKey is empty for none.
	IdempotencyKey string
}

// Fingerprint is equal for submissions with equal values, defaults applied: what an idempotency key is
// bound to.
func (s *Submission) Fingerprint() Fingerprint {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 64), uint64(s.ReportID)) //nolint:gosec // it is positive
	b = append(b, 0, 0)
	if s.Notify {
		b[8] = 1
	}
	if s.ClientReference != nil {
		b[9] = 1
		b = append(b, *s.ClientReference...)
	}
	return sha256.Sum256(b)
}

// Accepted is what became of one submission of a flush.
type Accepted struct {
	// ID is the revocation that the submission is now part of.
	ID ID
	// Fresh tells that this submission made it; otherwise it was joined or replayed.
	Fresh bool
	// Err is CodeNotFound, CodeIdempotencyMismatch or CodeLockTimeout when this submission, alone of its flush, was
	// not accepted.
	Err error
}

// SubmissionStore makes submissions durable.
type SubmissionStore interface {
	// Submit writes a flush in one transaction and answers for each of its submissions, in their order. An
	// error means that nothing of the flush was written, unless its code is CodeOutcomeUnknown. For each
	// submission, as if they had come one after the other:
	//   - a known idempotency key gives its revocation again, or CodeIdempotencyMismatch;
	//   - an unknown invite gives CodeNotFound;
	//   - a revocation of the invite that was submitted singly and is not final is joined, and the email is
	//     sent if either asked for it;
	//   - otherwise a new one is made under the submission's ID, and its work row with it.
	// What is accepted binds its idempotency key.
	//
	// What another transaction has locked must not delay the other submissions: Submit answers CodeLockTimeout within
	// moments, for the submissions that need it, or for the flush where it cannot tell them apart. A submission that
	// changes nothing of the revocation that it joins needs no lock of it.
	Submit(ctx context.Context, flush []Submission) ([]Accepted, error)
}

const (
	// maxFlush bounds a flush, and so the time that its first submission waits for its last.
	maxFlush = 256
	// maxFlushes is how many flushes may be under way at once.
	maxFlushes = 4
	// flushPatience is how long a crowd waits for the flush before it. Larger flushes cost less a submission,
	// but one that is slow must not hold up the others.
	flushPatience = 20 * time.Millisecond
	// flushTimeout bounds a flush as a whole, with what it is taken apart into; nobody waits longer for a
	// database that hangs.
	flushTimeout = 5 * time.Second
)

type pending struct {
	submission Submission
	origin     string
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
	if p.wait && firstError(f.err, f.accepted.Err) == nil {
		f.waiter = waiters.register(f.accepted.ID)
	}
	p.result <- f
}

// leave reports whether the caller can go without a result. If not, the result is there or about to come.
func (p *pending) leave() bool { return p.taken.CompareAndSwap(false, true) }

type flushed struct {
	accepted Accepted
	waiter   *waiter
	err      error
}

// Submit accepts a request to revoke an invite: when it returns, the revocation is durable and will be
// carried out. It then waits, at most for wait, until the first attempt has ended, and returns the
// revocation as it stands. A caller that leaves (ctx) does not take back what was accepted.
func (s *Service) Submit(ctx context.Context, submission Submission, wait time.Duration) (Revocation, error) {
	submission.ID = s.newID()
	p := &pending{submission: submission, origin: Origin(ctx), wait: wait > 0, result: make(chan flushed, 1)}
	select {
	case s.submissions <- p:
	case <-ctx.Done():
		return Revocation{}, &Error{Code: CodeUnavailable, Err: ctx.Err()}
	case <-s.ended:
		return Revocation{}, &Error{Code: CodeUnavailable, Err: errStopped}
	}
	var f flushed
	select {
	case f = <-p.result:
	case <-ctx.Done():
		if p.leave() {
			return Revocation{}, &Error{Code: CodeOutcomeUnknown, Err: ctx.Err()}
		}
		f = <-p.result
	case <-s.ended:
		// It came between the last flush and the end, unless its result came with the end.
		if p.leave() {
			return Revocation{}, &Error{Code: CodeUnavailable, Err: errStopped}
		}
		f = <-p.result
	}
	defer f.waiter.close()
	if err := firstError(f.err, f.accepted.Err); err != nil {
		return Revocation{}, err
	}
	if f.accepted.Fresh {
		r := submission.asRevocation()
		if wait <= 0 {
			return r, nil
		}
		return s.await(ctx, f.waiter, wait, &r, (*Revocation).HasOutcome)
	}
	r, err := s.store.Revocation(ctx, submission.Account, f.accepted.ID)
	if err != nil {
		// It was accepted, but the revocation that it is part of cannot be read now.
		return Revocation{}, &Error{Code: CodeOutcomeUnknown, Err: err}
	}
	if wait <= 0 || r.HasOutcome() {
		return r, nil
	}
	return s.await(ctx, f.waiter, wait, &r, (*Revocation).HasOutcome)
}

// asRevocation is what a poll would tell of a submission that was just accepted.
func (s *Submission) asRevocation() Revocation {
	return Revocation{
		ID: s.ID, Account: s.Account, ReportID: s.ReportID, Notify: s.Notify,
		ClientReference: s.ClientReference, RequestedBy: s.RequestedBy,
		Status:       StatusPending,
		Notification: Notification{Status: ShownNotification(s.Notify, false, StatusPending, "")},
		UpdatedAt:    s.ID.Time(),
	}
}

// flush is the group commit. A lone submission is written at once; what comes in while a flush is under way
// gathers, and goes when that has ended, when the crowd is full, or when it has waited long enough. It
// returns when ctx has ended and all that had come in is written.
func (s *Service) flush(ctx context.Context) {
	ended := make(chan struct{}, maxFlushes)
	underWay := 0
	for {
		var crowd []*pending
		select {
		case p := <-s.submissions:
			crowd = append(crowd, p)
		case <-ended:
			underWay--
			continue
		case <-ctx.Done():
			if len(s.submissions) > 0 {
				continue
			}
			for range underWay {
				<-ended
			}
			return
		}
		patience := time.NewTimer(flushPatience)
		for waiting := true; waiting; {
			select {
			case p := <-s.submissions:
				crowd = append(crowd, p)
				waiting = len(crowd) < maxFlush
				continue
			default:
			}
			if underWay == 0 {
				break
			}
			select {
			case p := <-s.submissions:
				crowd = append(crowd, p)
				waiting = len(crowd) < maxFlush
			case <-ended:
				underWay--
			case <-patience.C:
				waiting = false
			}
		}
		patience.Stop()
		if underWay == maxFlushes {
			<-ended
			underWay--
		}
		underWay++
		go func() {
			// A deadline of its own: a caller that leaves, and a stop, do not break what is under way for others.
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
			defer cancel()
			s.commit(bounded, crowd)
			ended <- struct{}{}
		}()
	}
}

// commit writes a crowd, answers each of it and sends one task on its way.
func (s *Service) commit(ctx context.Context, crowd []*pending) {
	flush := make([]Submission, len(crowd))
	origin := ""
	for i, p := range crowd {
		flush[i] = p.submission
		origin = cmp.Or(origin, p.origin)
	}
	ctx = WithOrigin(ctx, origin)
	accepted, err := s.store.Submit(ctx, flush)
	if err != nil && len(crowd) > 1 && ctx.Err() == nil && blamesOneRow(err) {
		// One of them is poison. Each half gets its chance, down to the one, in the time of the one flush.
		s.commit(ctx, crowd[:len(crowd)/2])
		s.commit(ctx, crowd[len(crowd)/2:])
		return
	}
	if len(crowd) == 1 && ErrorCode(err) == CodeLockTimeout && err != nil {
		accepted, err = []Accepted{{Err: err}}, nil
	}
	if err != nil {
		s.observer.Flushed(len(crowd), nil, err)
		for _, p := range crowd {
			p.answer(flushed{err: err}, s.waiters)
		}
		return
	}
	if slices.ContainsFunc(accepted, Accepted.locked) {
		crowd, accepted = s.postpone(ctx, crowd, accepted)
	}
	s.observer.Flushed(len(crowd), accepted, nil)
	fresh := make([]Ref, 0, len(crowd))
	for i, p := range crowd {
		a := accepted[i]
		if a.Fresh {
			fresh = append(fresh, Ref{Account: p.submission.Account, ID: a.ID})
		}
		p.answer(flushed{accepted: a}, s.waiters)
	}
	if len(fresh) > 0 {
		s.handOver(batch{fresh, origin})
	}
}

// batch is what becomes one task, and whence the first of it comes.
type batch struct {
	refs   []Ref
	origin string
}

// handOver leaves a batch to whoever enqueues. When that is behind, because Redis is away, it drops the
// batch: its rows are durable, and the dispatcher finds them.
func (s *Service) handOver(b batch) {
	select {
	case s.batches <- b:
	default:
		s.log.Warn("queue is behind: left to the dispatcher", "count", len(b.refs))
	}
}

// taskPause is between two tasks, unless the second is full: those who submit within it go together. A task is dear to
// carry out, whatever its size, and at a rate that fills this pause the workers have others in hand. A lone submission
// after a pause never waits.
const taskPause = 3 * time.Millisecond

// enqueue sends the batches of the flushes to the queue, until there are no more.
func (s *Service) enqueue(ctx context.Context) {
	var sent time.Time
	for b := range s.batches {
		s.gather(&b, taskPause-time.Since(sent))
		sent = time.Now()
		if err := s.queue.EnqueueRevocations(WithOrigin(ctx, b.origin), 0, b.refs); err != nil {
			s.log.Warn("enqueue failed: left to the dispatcher", "count", len(b.refs), "error", err)
		}
	}
}

// gather adds to a batch those that are there, and those that come within a pause, until it is full.
func (s *Service) gather(b *batch, pause time.Duration) {
	over := time.After(pause)
	for len(b.refs) < maxFlush {
		select {
		case more, ok := <-s.batches:
			if !ok {
				return
			}
			b.add(more)
			continue
		default:
		}
		if pause <= 0 {
			return
		}
		select {
		case more, ok := <-s.batches:
			if !ok {
				return
			}
			b.add(more)
		case <-over:
			pause = 0
		}
	}
}

func (b *batch) add(more batch) {
	b.refs, b.origin = append(b.refs, more.refs...), cmp.Or(b.origin, more.origin)
}
