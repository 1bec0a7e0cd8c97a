package worker

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"rescind/internal/revocation"
)

// script drives a session through time without anything being done.
type script struct {
	*testing.T
	*upstreamSession
	now time.Time
}

func newScript(t *testing.T, target revocation.Target, hold revocation.Hold) *script {
	now := time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC)
	return &script{t, newUpstreamSession(now, target, hold), now}
}

// after steps over events after a while.
func (s *script) after(d time.Duration, events ...any) sessionEffects {
	s.now = s.now.Add(d)
	return s.step(s.now, events...)
}

func (s *script) same(what string, want, got any) {
	s.Helper()
	if !reflect.DeepEqual(want, got) {
		s.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// single and item are the n-th call.
func single(n byte) revocation.Call {
	return revocation.Call{Ref: revocation.Ref{Account: "acme", ID: revocation.ID{n}}, DispatchCount: 1, ReportID: int64(n)}
}

func item(n byte) revocation.Call {
	call := single(n)
	call.Job = revocation.ID{99}
	return call
}

var threeItems = []revocation.Call{item(1), item(2), item(3)}

// begun answers the request of fx with calls.
func begun(fx sessionEffects, calls ...revocation.Call) callsBegun {
	return callsBegun{request: fx.begin, calls: calls}
}

func revokedReply(call revocation.Call) endedCall {
	return endedCall{call: call, reply: revocation.Reply{Status: revocation.StatusRevoked}}
}

var (
	errDatabase = errors.New("the database is away")
	four        = revocation.Target{Concurrency: 4}
)

func TestUpstreamSession_Slots(t *testing.T) {
	t.Run("items leave a slot to singles, and singles take all", func(t *testing.T) {
		s := newScript(t, four, "")
		fx := s.after(0)
		s.same("request", beginRequest{limit: 4, items: 3}, fx.begin)
		fx = s.after(time.Millisecond, begun(fx, threeItems...))
		s.same("calls", threeItems, fx.call)
		s.same("request", beginRequest{}, fx.begin)
	})
	t.Run("a single is asked for while items fill their slots", func(t *testing.T) {
		s := newScript(t, four, "")
		s.after(time.Millisecond, begun(s.after(0), threeItems...))
		s.same("before the interval", beginRequest{}, s.after(refreshInterval/2).begin)
		fx := s.after(refreshInterval)
		s.same("after it", beginRequest{limit: 1}, fx.begin)
		fx = s.after(time.Millisecond, begun(fx, single(9)))
		s.same("calls", []revocation.Call{single(9)}, fx.call)
		s.same("with all slots taken", beginRequest{}, s.after(time.Minute/4).begin)
	})
	t.Run("no single where items have a slot free does not keep the next item waiting", func(t *testing.T) {
		s := newScript(t, four, "")
		s.after(time.Millisecond, begun(s.after(0), threeItems...))
		fx := s.after(refreshInterval)
		s.after(time.Millisecond, begun(fx))
		s.same("request", beginRequest{limit: 2, items: 1}, s.after(time.Millisecond, revokedReply(item(1))).begin)
	})
	t.Run("one slot serves both", func(t *testing.T) {
		s := newScript(t, revocation.Target{Concurrency: 1}, "")
		s.same("request", beginRequest{limit: 1, items: 1}, s.after(0).begin)
	})
	t.Run("what is free together begins together, and few transactions run at once", func(t *testing.T) {
		s := newScript(t, four, "")
		s.after(time.Millisecond, begun(s.after(0), single(1), single(2), single(3), single(4)))
		s.same("two", beginRequest{limit: 2, items: 2}, s.after(time.Millisecond, revokedReply(single(1)), revokedReply(single(2))).begin)
		s.same("one", beginRequest{limit: 1, items: 1}, s.after(time.Millisecond, revokedReply(single(3))).begin)
		s.same("none", beginRequest{}, s.after(time.Millisecond, revokedReply(single(4))).begin)
	})
	t.Run("on hold, one call is made at a time", func(t *testing.T) {
		s := newScript(t, four, revocation.HoldUnavailable)
		fx := s.after(0)
		s.same("request", beginRequest{limit: 1, items: 1}, fx.begin)
		s.same("more", beginRequest{}, s.after(time.Millisecond, begun(fx, item(1))).begin)
		fx = s.after(time.Millisecond, revokedReply(item(1)))
		s.same("hold", holdChange{release: true}, fx.hold)
		s.same("released", beginRequest{limit: 4, items: 3}, fx.begin)
	})
}

// TestUpstreamSession_SameReport: an upstream that gets two calls for a report at once may answer both with REVOKED.
func TestUpstreamSession_SameReport(t *testing.T) {
	again := func(n byte, report int64) revocation.Call {
		call := item(n)
		call.ReportID = report
		return call
	}
	calls := []revocation.Call{item(1), again(2, 1), again(3, 1)}
	t.Run("a call is not made while another one for its report is", func(t *testing.T) {
		s := newScript(t, four, "")
		fx := s.after(time.Millisecond, begun(s.after(0), calls...))
		s.same("calls", calls[:1], fx.call)
		s.same("record", []endedCall{{call: calls[1], sameReport: true}, {call: calls[2], sameReport: true}}, fx.record)
		s.same("under way", 1, s.underWay)
		fx = s.after(recordInterval, revokedReply(calls[0]), outcomesRecorded{group: fx.record})
		fx = s.after(recordInterval, begun(fx, calls[1]))
		s.same("calls after it", calls[1:2], fx.call)
	})
	t.Run("it follows soon, uncounted, with the present wish for an email", func(t *testing.T) {
		call := calls[1]
		locked := []revocation.LockedRevocation{{Ref: call.Ref, ReportID: 1, Job: call.Job, Notify: true, DispatchCount: call.DispatchCount}}
		got := decideCalled(locked, map[revocation.Ref]endedCall{call.Ref: {call: call, sameReport: true}}, revocation.RetryPolicy{MaxAttempts: 1})
		want := []revocation.Decision{{
			Ref: call.Ref, ReportID: 1, Job: call.Job, Kind: revocation.Postpone, Delay: sameReportDelay, Notify: true, Upstream: true,
		}}
		s := newScript(t, four, "")
		s.same("decisions", want, got)
	})
	t.Run("it needs no admission", func(t *testing.T) {
		s := newScript(t, revocation.Target{Concurrency: 4, Rate: 10}, "")
		fx := s.after(0, callAdmitted{})
		fx = s.after(time.Millisecond, begun(fx, calls[0]), callAdmitted{})
		fx = s.after(time.Millisecond, begun(fx, calls[1]))
		s.same("request with the admission that it did not need", beginRequest{limit: 1, items: 1}, fx.begin)
	})
}

func TestUpstreamSession_Rate(t *testing.T) {
	t.Run("only what the rate allows begins, and the choice is made then", func(t *testing.T) {
		s := newScript(t, revocation.Target{Concurrency: 4, Rate: 2}, "")
		fx := s.after(0)
		s.same("admit, begin", []any{true, beginRequest{}}, []any{fx.admit, fx.begin})
		fx = s.after(time.Second, callAdmitted{})
		s.same("begin", beginRequest{limit: 1, items: 1}, fx.begin)
		s.same("the next is waited for meanwhile", true, fx.admit)
	})
	t.Run("an admission that begins nothing is kept, and no more of them", func(t *testing.T) {
		s := newScript(t, revocation.Target{Concurrency: 4, Rate: 2}, "")
		s.after(0)
		fx := s.after(time.Second, callAdmitted{})
		s.after(time.Millisecond, callAdmitted{})
		fx = s.after(time.Millisecond, begun(fx))
		s.same("admitted", 1, s.admitted)
		s.same("admit", false, fx.admit)
	})
	t.Run("an admission that was broken off is none", func(t *testing.T) {
		s := newScript(t, revocation.Target{Concurrency: 4, Rate: 2}, "")
		s.after(0)
		s.same("begin", beginRequest{}, s.after(time.Second, callAdmitted{errDatabase}).begin)
	})
}

func TestUpstreamSession_Supply(t *testing.T) {
	t.Run("a chunk is brought in when too few items are due, and the session ends without one", func(t *testing.T) {
		s := newScript(t, four, "")
		fx := s.after(time.Millisecond, begun(s.after(0)))
		s.same("refresh, chunk", []bool{true, true}, []bool{fx.refresh, fx.chunk})
		fx = s.after(time.Millisecond, refreshed{chunk: true, taken: true, spilled: 100})
		s.same("request", beginRequest{limit: 4, items: 3}, fx.begin)
		fx = s.after(time.Millisecond, begun(fx))
		s.same("end", false, fx.end)
		s.same("end", true, s.after(time.Millisecond, refreshed{chunk: true}).end)
	})
	t.Run("the next chunk is brought in before the last one has all begun", func(t *testing.T) {
		s := newScript(t, four, "")
		s.after(time.Millisecond, begun(s.after(0)))
		fx := s.after(time.Millisecond, refreshed{chunk: true, taken: true, spilled: 18})
		s.same("chunk", false, fx.refresh)
		fx = s.after(time.Millisecond, begun(fx, threeItems...))
		s.same("refresh, chunk", []bool{true, true}, []bool{fx.refresh, fx.chunk})
		s.after(time.Millisecond, refreshed{chunk: true})
		s.same("without another", false, s.after(time.Millisecond).refresh)
	})
	t.Run("a chunk without calls is followed by the next one", func(t *testing.T) {
		s := newScript(t, four, "")
		s.after(time.Millisecond, begun(s.after(0)))
		fx := s.after(time.Millisecond, refreshed{chunk: true, taken: true})
		s.same("end, refresh, chunk", []bool{false, true, true}, []bool{fx.end, fx.refresh, fx.chunk})
		s.same("end", true, s.after(time.Millisecond, refreshed{chunk: true}).end)
	})
	t.Run("with calls under way it asks again after the interval", func(t *testing.T) {
		s := newScript(t, four, "")
		s.after(time.Millisecond, begun(s.after(0), item(1)))
		fx := s.after(time.Millisecond, refreshed{chunk: true})
		s.same("begin, end", []any{beginRequest{}, false}, []any{fx.begin, fx.end})
		fx = s.after(refreshInterval)
		s.same("begin", beginRequest{limit: 3, items: 2}, fx.begin)
	})
	t.Run("items are cancelled as long as there are any", func(t *testing.T) {
		s := newScript(t, four, "")
		s.after(time.Millisecond, begun(s.after(0), threeItems...))
		s.after(refreshInterval)
		s.same("refresh", true, s.after(time.Millisecond, refreshed{cancelled: true}).refresh)
		s.same("refresh", false, s.after(time.Millisecond, refreshed{}).refresh)
	})
}

func TestUpstreamSession_Ends(t *testing.T) {
	t.Run("an item of a cancelled job ends without a call", func(t *testing.T) {
		s := newScript(t, four, "")
		call := item(1)
		call.Cancelled = true
		fx := s.after(time.Millisecond, begun(s.after(0), call))
		s.same("record, call", []any{[]endedCall{{call: call, reply: revocation.Reply{Status: revocation.StatusCancelled}}}, 0}, []any{fx.record, len(fx.call)})
	})
	t.Run("outcomes are recorded in groups, and what another transaction has locked is recorded again", func(t *testing.T) {
		s := newScript(t, four, "")
		s.after(time.Millisecond, begun(s.after(0), threeItems...))
		fx := s.after(time.Millisecond, revokedReply(item(1)))
		s.same("first", []endedCall{revokedReply(item(1))}, fx.record)
		s.same("while it is recorded", 0, len(s.after(time.Second, revokedReply(item(2))).record))
		fx = s.after(time.Millisecond, outcomesRecorded{group: fx.record, locked: []revocation.Ref{item(1).Ref}})
		s.same("then", []endedCall{revokedReply(item(2)), revokedReply(item(1))}, fx.record)
		s.same("calls", 3, len(s.calls))
		s.after(time.Millisecond, outcomesRecorded{group: fx.record})
		s.same("calls", 1, len(s.calls))
	})
	for name, event := range map[string]any{
		"a stop":                   stopRequested{},
		"a change of the account":  refreshed{changed: true},
		"a failure to read it":     refreshed{err: errDatabase},
		"a failure to begin calls": callsBegun{err: errDatabase},
	} {
		t.Run(name+" closes the session, which keeps its calls until they have ended", func(t *testing.T) {
			s := newScript(t, four, "")
			s.after(time.Millisecond, begun(s.after(0), item(1)))
			s.after(time.Millisecond, refreshed{})
			late := s.after(refreshInterval)
			var fx sessionEffects
			switch e := event.(type) {
			case callsBegun:
				e.request = late.begin
				fx = s.after(time.Millisecond, e)
			default:
				s.after(time.Millisecond, e)
				fx = s.after(time.Millisecond, begun(late, item(2)))
			}
			s.same("calls", 0, len(fx.call))
			s.after(time.Millisecond, refreshed{}, outcomesRecorded{group: fx.record})
			for range 12 { // a minute, longer than any call
				fx = s.after(leaseInterval, leasesRenewed{})
				s.same("renewed", []revocation.Call{item(1)}, fx.renew)
				s.same("begun, ended", []any{beginRequest{}, false, false}, []any{fx.begin, fx.admit, fx.end})
			}
			s.after(time.Millisecond, leasesRenewed{})
			fx = s.after(time.Millisecond, revokedReply(item(1)))
			s.same("recorded", 1, len(fx.record))
			fx = s.after(time.Millisecond, outcomesRecorded{group: fx.record})
			s.same("end", true, fx.end)
		})
	}
	t.Run("what begins in a closed session is given back", func(t *testing.T) {
		s := newScript(t, four, "")
		fx := s.after(0)
		s.after(time.Millisecond, stopRequested{})
		fx = s.after(time.Millisecond, begun(fx, item(1)))
		s.same("record, call", []any{[]endedCall{{call: item(1)}}, 0}, []any{fx.record, len(fx.call)})
	})
	t.Run("a session in which no call begins ends after a while", func(t *testing.T) {
		s := newScript(t, revocation.Target{Concurrency: 4, Rate: 0.01}, "")
		s.after(0)
		s.after(idleLength, refreshed{})
		s.same("end", true, s.after(time.Millisecond, refreshed{}).end)
	})
	t.Run("a renewal that failed is tried again soon", func(t *testing.T) {
		s := newScript(t, four, "")
		s.after(time.Millisecond, begun(s.after(0), item(1)))
		s.same("renewed", 1, len(s.after(leaseInterval).renew))
		s.after(time.Millisecond, leasesRenewed{errDatabase})
		s.same("again", 1, len(s.after(leaseRetry).renew))
	})
	t.Run("a refused key closes the session", func(t *testing.T) {
		s := newScript(t, four, "")
		s.after(time.Millisecond, begun(s.after(0), item(1), item(2)))
		refused := revocation.Reply{Status: revocation.StatusErrorRevoking, Rejected: true, Failure: &revocation.Failure{Code: revocation.CodeUpstreamUnauthorized}}
		fx := s.after(time.Millisecond, endedCall{call: item(1), reply: refused})
		s.same("hold", holdChange{reason: revocation.HoldUnauthorized, length: probeInterval}, fx.hold)
		s.same("begin", beginRequest{}, fx.begin)
		s.after(time.Millisecond, outcomesRecorded{group: fx.record})
		fx = s.after(recordInterval, revokedReply(item(2)))
		s.same("a call that had begun before does not release it", holdChange{}, fx.hold)
	})
	t.Run("the error that closed the session is its own", func(t *testing.T) {
		s := newScript(t, four, "")
		fx := s.after(time.Millisecond, callsBegun{request: s.after(0).begin, err: errDatabase})
		s.same("end, error", []any{true, errDatabase}, []any{fx.end, s.failed})
	})
}
