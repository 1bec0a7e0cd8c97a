package worker

import (
	"cmp"
	"time"

	"rescind/internal/revocation"
)

const (
	// callLease is how long a call belongs to its worker without a renewal. leaseInterval is the time between two
	// renewals, and leaseRetry the time to the next one after a renewal that failed.
	callLease     = 20 * time.Second
	leaseInterval = 5 * time.Second
	leaseRetry    = time.Second
	// recordInterval is the shortest time between two groups of outcomes that are recorded.
	recordInterval = 25 * time.Millisecond
	// refreshInterval is how often a session reads what has changed: the account, and jobs that are being cancelled.
	// It is also how often a session asks for calls while no item may begin, or none was due.
	refreshInterval = 250 * time.Millisecond
	// idleLength is how long a session continues without a call under way, for example because the rate is very low.
	idleLength = 30 * time.Second
	// maxBegins bounds the concurrent transactions that begin calls. Slots that become free meanwhile are filled together.
	maxBegins = 8
)

// upstreamSession is the state of an account task that calls an upstream. A call belongs to it from the transaction
// that begins it until its outcome is recorded.
//
// Only step changes it. A step depends only on the state, the time and the events: it performs no I/O, reads no clock and
// does not wait. It returns what must be done as effects, and each effect leads to an event.
type upstreamSession struct {
	concurrency int
	rate        float64 // calls per second; 0 means no limit
	idleUntil   time.Time
	// hold is why only one call is made at a time, to find out whether the upstream works; empty if there is no hold.
	hold revocation.Hold

	// calls contains all calls that belong to the session. Each is counted in underWay, is in ended, or is in the group that
	// is being recorded. ready are those under way that the effects of this step make; it is empty between two steps.
	// itemsUnderWay counts the calls under way for items of jobs.
	calls         map[revocation.Ref]revocation.Call
	ready         []revocation.Call
	underWay      int
	itemsUnderWay int
	ended         []endedCall
	// calling contains the reports of the calls that are being made. Two calls for a report at once could both be answered as the
	// one that revoked the invite. So the later one is not made, and follows after sameReportDelay.
	calling map[int64]bool

	// begins counts the transactions that begin calls; it is at most maxBegins. requested is how many calls they may begin,
	// and requestedItems how many of these for items of jobs. underWay and requested together are at most concurrency. During
	// a hold, one call is requested at a time, when there is no other.
	begins         int
	requested      int
	requestedItems int
	// admitted counts the calls that the rate allows and that are not requested yet; 0 if there is no rate.
	admitted int
	// nextRequest is when calls are requested again, while no item may begin or too few were due.
	nextRequest time.Time

	// tooFewDue reports that fewer items were due than the last request asked for. noneLeft reports that a refresh after it
	// found no more either; it implies tooFewDue. A session without calls ends when noneLeft is true.
	tooFewDue bool
	noneLeft  bool
	// dueNotBegun counts the items that this session has made due and not begun. moreChunks reports that there may be more
	// chunks, and cancelling that the last refresh cancelled items, so that the next one follows at once.
	dueNotBegun int
	moreChunks  bool
	cancelling  bool

	// An effect of each of these kinds runs at most once at a time. The times are the earliest for the next one.
	admitting, refreshing, renewing, recording bool
	nextRefresh, nextRenewal, nextRecord       time.Time

	// closed reports that no more calls begin. It never becomes false again. failed is the first error; it closes the session.
	closed bool
	failed error
}

// newUpstreamSession returns a session without calls.
func newUpstreamSession(now time.Time, target revocation.Target, hold revocation.Hold) *upstreamSession {
	return &upstreamSession{
		concurrency: target.Concurrency, rate: target.Rate, idleUntil: now.Add(idleLength), hold: hold,
		calls: make(map[revocation.Ref]revocation.Call), calling: make(map[int64]bool),
		nextRefresh: now.Add(refreshInterval), nextRenewal: now.Add(leaseInterval),
	}
}

// The events of a session.
type (
	// stopRequested: no more calls should begin.
	stopRequested struct{}
	// callAdmitted: the account's rate allows one more call.
	callAdmitted struct{ err error }
	// callsBegun: the transaction for request has ended.
	callsBegun struct {
		request beginRequest
		calls   []revocation.Call
		err     error
	}
	// leasesRenewed: the renewal has ended.
	leasesRenewed struct{ err error }
	// refreshed: a refresh has ended. If chunk is set, it tried to take a chunk: taken reports that there was one, and spilled
	// counts the items that it made due. These are none if the items ended as predicted. cancelled reports that it cancelled
	// items, and changed that the account has another upstream or other limits.
	refreshed struct {
		changed, cancelled, chunk, taken bool
		spilled                          int
		err                              error
	}
	// outcomesRecorded: the outcomes of group were recorded, except those of locked rows.
	outcomesRecorded struct {
		group  []endedCall
		locked []revocation.Ref
		err    error
	}
)

// beginRequest is a request to begin at most limit calls. At most items of them may be for items of jobs.
type beginRequest struct{ limit, items int }

// sessionEffects is what must be done after a step.
type sessionEffects struct {
	// begin leads to callsBegun, unless its limit is 0.
	begin beginRequest
	// call leads to an endedCall for each call.
	call []revocation.Call
	// admit leads to callAdmitted.
	admit bool
	// refresh leads to refreshed. With chunk, it also takes a chunk.
	refresh, chunk bool
	// renew leads to leasesRenewed, unless it is empty.
	renew []revocation.Call
	// record leads to outcomesRecorded, unless it is empty. hold is what its replies mean for the upstream.
	record []endedCall
	hold   holdChange
	// end ends the session: it has no more calls, and it waits for no event but an admission.
	end bool
}

// step applies events, in their order, and returns what must be done.
func (s *upstreamSession) step(now time.Time, events ...any) (fx sessionEffects) {
	for _, event := range events {
		s.apply(now, event)
	}
	if len(s.calls) > 0 {
		s.idleUntil = now.Add(idleLength)
	}
	s.closed = s.closed || s.failed != nil || now.After(s.idleUntil)
	fx.call, s.ready = s.ready, nil
	if len(s.ended) > 0 && !s.recording && !now.Before(s.nextRecord) {
		fx.record, fx.hold = s.record(now)
	}
	if len(s.calls) > 0 && !s.renewing && !now.Before(s.nextRenewal) {
		s.renewing, s.nextRenewal = true, now.Add(leaseInterval)
		for _, call := range s.calls {
			fx.renew = append(fx.renew, call)
		}
	}
	if !s.closed {
		fx.begin = s.request(now)
		fx.admit = s.wantsAdmission()
		fx.refresh, fx.chunk = s.refresh(now)
	}
	fx.end = (s.closed || s.noneLeft) && len(s.calls)+s.begins == 0 && !s.refreshing && !s.renewing && !s.recording
	return fx
}

func (s *upstreamSession) apply(now time.Time, event any) {
	switch e := event.(type) {
	case stopRequested:
		s.closed = true
	case callAdmitted:
		s.admitting = false
		if e.err == nil {
			s.admitted++
		}
	case callsBegun:
		s.applyBegun(e)
	case endedCall:
		s.underWay--
		delete(s.calling, e.call.ReportID)
		if !e.call.Job.IsZero() {
			s.itemsUnderWay--
		}
		s.ended = append(s.ended, e)
	case leasesRenewed:
		s.renewing = false
		if e.err != nil {
			s.nextRenewal = now.Add(leaseRetry)
		}
	case refreshed:
		s.applyRefreshed(e)
	case outcomesRecorded:
		s.recording = false
		s.fail(e.err)
		for _, ended := range e.group {
			delete(s.calls, ended.call.Ref)
		}
		s.retryLocked(e)
	}
}

// fail keeps the first error, which closes the session.
func (s *upstreamSession) fail(err error) { s.failed = cmp.Or(s.failed, err) }

// retryLocked keeps the outcomes that were not recorded because another transaction had locked their rows.
func (s *upstreamSession) retryLocked(e outcomesRecorded) {
	locked := make(map[revocation.Ref]bool, len(e.locked))
	for _, ref := range e.locked {
		locked[ref] = true
	}
	for _, ended := range e.group {
		if locked[ended.call.Ref] {
			s.calls[ended.call.Ref] = ended.call
			s.ended = append(s.ended, ended)
		}
	}
}

// applyBegun adds calls that have begun. If the session is closed, it records them as calls that were not made.
func (s *upstreamSession) applyBegun(e callsBegun) {
	s.begins--
	s.requested -= e.request.limit
	s.requestedItems -= e.request.items
	s.fail(e.err)
	items, made := 0, len(e.calls)
	for _, call := range e.calls {
		s.calls[call.Ref] = call
		if !call.Job.IsZero() {
			items++
		}
		switch {
		case call.Cancelled:
			s.ended = append(s.ended, endedCall{call: call, reply: revocation.Reply{Status: revocation.StatusCancelled}})
		case s.closed || s.failed != nil || call.Duplicate:
			s.ended = append(s.ended, endedCall{call: call})
		case s.calling[call.ReportID]:
			made--
			s.ended = append(s.ended, endedCall{call: call, sameReport: true})
		default:
			s.calling[call.ReportID] = true
			s.ready = append(s.ready, call)
			s.underWay++
			if !call.Job.IsZero() {
				s.itemsUnderWay++
			}
		}
	}
	if s.rate > 0 {
		s.admitted += e.request.limit - made // admissions that began no call
	}
	s.dueNotBegun = max(0, s.dueNotBegun-items)
	if e.request.items > 0 {
		singles := len(e.calls) - items
		s.tooFewDue = items < min(e.request.items, e.request.limit-singles)
		s.noneLeft = s.noneLeft && s.tooFewDue
	}
}

func (s *upstreamSession) applyRefreshed(e refreshed) {
	s.refreshing = false
	s.fail(e.err)
	s.closed = s.closed || e.changed
	s.cancelling = e.cancelled
	if e.chunk {
		s.moreChunks = e.taken
		s.dueNotBegun += e.spilled
	}
	switch {
	case e.spilled > 0 || e.cancelled:
		s.tooFewDue, s.noneLeft = false, false
	case e.taken:
		s.noneLeft = false
	case e.chunk:
		s.noneLeft = s.tooFewDue
	}
}

// free returns how many more calls can be requested, regardless of the rate. During a hold, it is one call at a time.
func (s *upstreamSession) free() int {
	if s.hold != "" {
		return 1 - len(s.calls) - s.requested
	}
	return s.concurrency - s.underWay - s.requested
}

// request returns the next request for calls; its limit is 0 if there is none. If there are several slots, items of jobs
// leave one free for single submissions.
func (s *upstreamSession) request(now time.Time) beginRequest {
	limit := s.free()
	if s.rate > 0 {
		limit = min(limit, s.admitted)
	}
	items := max(0, min(limit, max(1, s.concurrency-1)-s.itemsUnderWay-s.requestedItems))
	if limit <= 0 || s.begins == maxBegins || (s.tooFewDue || items == 0) && now.Before(s.nextRequest) {
		return beginRequest{}
	}
	s.begins++
	s.requested += limit
	s.requestedItems += items
	if s.rate > 0 {
		s.admitted -= limit
	}
	s.nextRequest = now.Add(refreshInterval)
	return beginRequest{limit, items}
}

// wantsAdmission reports whether to begin to wait for the rate to admit a call, and notes that it has begun. Only a few
// admissions are kept, so that calls do not begin in a burst after a time in which none was due.
func (s *upstreamSession) wantsAdmission() bool {
	if s.rate == 0 || s.admitting || s.admitted >= max(1, int(s.rate/20)) || s.free() <= s.admitted {
		return false
	}
	s.admitting = true
	return true
}

// refresh reports whether to read what has changed, and whether to take a chunk, and notes that it has begun. A chunk is
// needed when too few items were due, and before all items of the last one have begun.
func (s *upstreamSession) refresh(now time.Time) (refresh, chunk bool) {
	chunk = s.tooFewDue || s.moreChunks && s.dueNotBegun < 4*s.concurrency
	if s.refreshing || now.Before(s.nextRefresh) && !s.cancelling && (!chunk || s.noneLeft) {
		return false, false
	}
	s.refreshing, s.nextRefresh = true, now.Add(refreshInterval)
	return true, chunk
}

// record returns the calls that have ended, and what their replies mean for the upstream.
func (s *upstreamSession) record(now time.Time) (group []endedCall, hold holdChange) {
	group, s.ended = s.ended, nil
	s.recording, s.nextRecord = true, now.Add(recordInterval)
	hold = holdAfter(group, s.hold)
	switch {
	case hold.reason != "":
		s.closed, s.hold = true, hold.reason
	case hold.release && s.closed:
		hold.release = false // the call had begun before the one that was refused
	case hold.release:
		s.hold = ""
	}
	return group, hold
}
