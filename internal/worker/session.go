package worker

import (
	"cmp"
	"time"

	"rescind/internal/revocation"
)

const (
	// callLease is how long a begun call belongs to its worker without a renewal, and leaseInterval the time between
	// two renewals. leaseRetry is the time between them after one that failed.
	callLease     = 20 * time.Second
	leaseInterval = 5 * time.Second
	leaseRetry    = time.Second
	// recordInterval is the least time between two groups of outcomes that are recorded.
	recordInterval = 25 * time.Millisecond
	// refreshInterval is how often a session reads what has changed: the account, and jobs that are being cancelled.
	// It is also how often a session asks for calls while no item may begin, or none was due.
	refreshInterval = 250 * time.Millisecond
	// idleLength ends a session in which no call has begun for so long, because the rate is very low.
	idleLength = 30 * time.Second
	// maxBegins bounds the transactions that begin calls at once. What becomes free meanwhile is begun together.
	maxBegins = 8
)

// upstreamSession is the state of an account task that calls an upstream. A call belongs to it from the transaction
// that begins it until its outcome is recorded.
//
// Only step changes it. A step depends on the state, the time and the events alone: it performs no I/O, reads no clock
// and waits for nothing. What is to be done it returns as effects, and each effect leads to an event.
type upstreamSession struct {
	concurrency int
	rate        float64 // calls a second; 0: no limit
	idleUntil   time.Time
	// hold is why no more than one call is made at a time, to find out whether the upstream works; empty for none.
	hold revocation.Hold

	calls         map[revocation.Ref]revocation.Call // all that belong to the session
	underWay      int
	itemsUnderWay int // of underWay
	ended         []endedCall
	ready         []revocation.Call // begun by the events of this step

	// begins counts the transactions that begin calls, requested and requestedItems what they may begin.
	begins         int
	requested      int
	requestedItems int
	// admitted counts the calls that the rate allows and that were not requested yet.
	admitted int
	// nextRequest is when calls are requested while no item may begin, or none was due.
	nextRequest time.Time

	// short reports that fewer items were due than requested, and dry that a refresh then found nothing either.
	short bool
	dry   bool
	// supply is how many items this session has made due and not begun; more chunks may follow.
	supply     int
	moreChunks bool
	cancelling bool

	admitting, refreshing, renewing, recording bool
	nextRefresh, nextRenewal, nextRecord       time.Time

	// closed ends the beginning of calls.
	closed bool
	failed error
}

// newUpstreamSession returns a session that has begun nothing.
func newUpstreamSession(now time.Time, target revocation.Target, hold revocation.Hold) *upstreamSession {
	return &upstreamSession{
		concurrency: target.Concurrency, rate: target.Rate, idleUntil: now.Add(idleLength), hold: hold,
		calls:       make(map[revocation.Ref]revocation.Call),
		nextRefresh: now.Add(refreshInterval), nextRenewal: now.Add(leaseInterval),
	}
}

// The events of a session.
type (
	// stopRequested: no more calls should begin.
	stopRequested struct{}
	// callAdmitted: the account's rate allows one more call.
	callAdmitted struct{ err error }
	// callsBegun: the transaction of request has ended.
	callsBegun struct {
		request beginRequest
		calls   []revocation.Call
		err     error
	}
	// leasesRenewed: the renewal has ended.
	leasesRenewed struct{ err error }
	// refreshed: a refresh has ended. spilled counts the items that it made due, from a chunk if chunk is set;
	// cancelled reports that it cancelled items, changed that the account has another upstream or other limits.
	refreshed struct {
		changed, cancelled, chunk bool
		spilled                   int
		err                       error
	}
	// outcomesRecorded: a group was recorded, but for the rows that another transaction had locked.
	outcomesRecorded struct {
		group  []endedCall
		locked []revocation.Ref
		err    error
	}
)

// beginRequest asks for calls to begin: at most limit, at most items of them items of jobs.
type beginRequest struct{ limit, items int }

// sessionEffects are what a step asks for.
type sessionEffects struct {
	// begin, unless its limit is 0, leads to callsBegun.
	begin beginRequest
	// call leads to an endedCall for each.
	call []revocation.Call
	// admit leads to callAdmitted.
	admit bool
	// refresh leads to refreshed; with chunk, it also makes the items of a chunk due.
	refresh, chunk bool
	// renew, unless empty, leads to leasesRenewed.
	renew []revocation.Call
	// record, unless empty, leads to outcomesRecorded. verdict is what its replies mean for the upstream.
	record  []endedCall
	verdict judgement
	// end ends the session: nothing belongs to it any more, and nothing but an admission is awaited.
	end bool
}

// step applies events, in their order, and returns what is to be done.
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
		fx.record, fx.verdict = s.record(now)
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
	fx.end = (s.closed || s.dry) && len(s.calls)+s.begins == 0 && !s.refreshing && !s.renewing && !s.recording
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

// fail closes the session for the first error.
func (s *upstreamSession) fail(err error) { s.failed = cmp.Or(s.failed, err) }

// retryLocked keeps what could not be recorded because another transaction had locked its row.
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

// applyBegun takes over calls that have begun. In a session that is closed they are given back.
func (s *upstreamSession) applyBegun(e callsBegun) {
	s.begins--
	s.requested -= e.request.limit
	s.requestedItems -= e.request.items
	s.fail(e.err)
	items := 0
	for _, call := range e.calls {
		s.calls[call.Ref] = call
		if !call.Job.IsZero() {
			items++
		}
		switch {
		case call.Cancelled:
			s.ended = append(s.ended, endedCall{call, revocation.Reply{Status: revocation.StatusCancelled}})
		case s.closed || s.failed != nil:
			s.ended = append(s.ended, endedCall{call: call})
		default:
			s.ready = append(s.ready, call)
			s.underWay++
			if !call.Job.IsZero() {
				s.itemsUnderWay++
			}
		}
	}
	if s.rate > 0 {
		s.admitted += e.request.limit - len(e.calls) // what the rate allowed and did not begin
	}
	s.supply = max(0, s.supply-items)
	if e.request.items > 0 {
		singles := len(e.calls) - items
		s.short = items < min(e.request.items, e.request.limit-singles)
		s.dry = s.dry && s.short
	}
}

func (s *upstreamSession) applyRefreshed(e refreshed) {
	s.refreshing = false
	s.fail(e.err)
	s.closed = s.closed || e.changed
	s.cancelling = e.cancelled
	if e.chunk {
		s.moreChunks = e.spilled > 0
		s.supply += e.spilled
	}
	if e.spilled > 0 || e.cancelled {
		s.short, s.dry = false, false
	} else if e.chunk {
		s.dry = s.short
	}
}

// free returns how many more calls can be requested, leaving the rate aside. On hold, it is one at a time.
func (s *upstreamSession) free() int {
	if s.hold != "" {
		return 1 - len(s.calls) - s.requested
	}
	return s.concurrency - s.underWay - s.requested
}

// request returns what to ask of the store. Items of jobs leave a slot to single submissions where there are several.
func (s *upstreamSession) request(now time.Time) beginRequest {
	limit := s.free()
	if s.rate > 0 {
		limit = min(limit, s.admitted)
	}
	items := max(0, min(limit, max(1, s.concurrency-1)-s.itemsUnderWay-s.requestedItems))
	if limit <= 0 || s.begins == maxBegins || (s.short || items == 0) && now.Before(s.nextRequest) {
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

// wantsAdmission reports whether to wait for the rate. Few admissions are kept, or calls would begin in a burst after a
// time in which none was due.
func (s *upstreamSession) wantsAdmission() bool {
	if s.rate == 0 || s.admitting || s.admitted >= max(1, int(s.rate/20)) || s.free() <= s.admitted {
		return false
	}
	s.admitting = true
	return true
}

// refresh reports whether to read what has changed, and whether to make the items of a chunk due: where too few were,
// and before those of the last one have all begun.
func (s *upstreamSession) refresh(now time.Time) (refresh, chunk bool) {
	chunk = s.short || s.moreChunks && s.supply < 4*s.concurrency
	if s.refreshing || now.Before(s.nextRefresh) && !s.cancelling && (!chunk || s.dry) {
		return false, false
	}
	s.refreshing, s.nextRefresh = true, now.Add(refreshInterval)
	return true, chunk
}

// record takes what has ended, and judges the upstream by it.
func (s *upstreamSession) record(now time.Time) (group []endedCall, verdict judgement) {
	group, s.ended = s.ended, nil
	s.recording, s.nextRecord = true, now.Add(recordInterval)
	verdict = judge(group, s.hold)
	switch {
	case verdict.hold != "":
		s.closed, s.hold = true, verdict.hold
	case verdict.release && s.closed:
		verdict.release = false // the call had begun before the one that was refused
	case verdict.release:
		s.hold = ""
	}
	return group, verdict
}
