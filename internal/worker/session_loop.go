package worker

import (
	"bytes"
	"context"
	"sync"
	"time"

	"rescind/internal/revocation"
)

// sessionLoop performs the effects of one session, each in a goroutine of its own, and passes it the events. The goroutines
// share no state of the session.
type sessionLoop struct {
	*UpstreamRunner
	// upstream is as the session began with it. The effects read it, so it does not change.
	upstream revocation.Upstream
	target   revocation.Target
	// hold is the upstream's hold as it was logged last. It belongs to the goroutine of run.
	hold revocation.Hold
	// work is the context of what has begun. A stop does not cancel it.
	work context.Context //nolint:containedctx // a loop is one call of run
	// waiting is the context of what only waits. The end of the session cancels it.
	waiting context.Context //nolint:containedctx // likewise
	events  chan any
	effects sync.WaitGroup
}

// run runs a session to its end and returns the error that closed it.
func (c *UpstreamRunner) run(ctx context.Context, upstream revocation.Upstream, target revocation.Target) error {
	work := context.WithoutCancel(ctx)
	waiting, endWaiting := context.WithCancel(work)
	l := &sessionLoop{
		UpstreamRunner: c, upstream: upstream, hold: upstream.Hold, target: target, work: work, waiting: waiting,
		events: make(chan any, target.Concurrency),
	}
	defer l.effects.Wait()
	defer endWaiting()
	l.effects.Go(func() { l.awaitStop(ctx) })
	tick := time.NewTicker(recordInterval)
	defer tick.Stop()
	s := newUpstreamSession(time.Now(), target, upstream.Hold)
	var events []any
	for {
		fx := s.step(time.Now(), events...)
		if fx.end {
			return s.failed
		}
		l.perform(fx)
		events = l.await(tick.C, events[:0])
	}
}

// await waits for events and returns all that have come; at a tick there may be none. Events that come together are applied
// in one step, so that the slots that they free are filled together.
func (l *sessionLoop) await(tick <-chan time.Time, events []any) []any {
	select {
	case event := <-l.events:
		events = append(events, event)
	case <-tick:
	}
	for {
		select {
		case event := <-l.events:
			events = append(events, event)
		default:
			return events
		}
	}
}

func (l *sessionLoop) perform(fx sessionEffects) {
	for _, call := range fx.call {
		l.do(func() any {
			return endedCall{call: call, reply: l.platform.Revoke(l.work, l.target, call.ReportID, call.Notify)}
		})
	}
	if fx.begin.limit > 0 {
		l.do(func() any {
			calls, err := l.store.BeginCalls(l.work, l.target.Account, fx.begin.limit, fx.begin.items, callLease)
			return callsBegun{fx.begin, calls, err}
		})
	}
	if fx.admit {
		l.effects.Go(func() {
			err := l.platform.Admit(l.waiting, l.target)
			select {
			case l.events <- callAdmitted{err}:
			case <-l.waiting.Done():
			}
		})
	}
	if fx.refresh {
		l.do(func() any { return l.refresh(fx.chunk) })
	}
	if len(fx.renew) > 0 {
		l.do(func() any { return leasesRenewed{l.renew(fx.renew)} })
	}
	if len(fx.record) > 0 {
		l.logHold(fx.hold)
		l.do(func() any { return l.record(fx.record, fx.hold) })
	}
}

// do performs an effect and sends its event. The session does not end before it has received the event.
func (l *sessionLoop) do(effect func() any) { l.effects.Go(func() { l.events <- effect() }) }

// awaitStop sends stopRequested when ctx ends or no more work should begin.
func (l *sessionLoop) awaitStop(ctx context.Context) {
	tick := time.NewTicker(recordInterval)
	defer tick.Stop()
	for ctx.Err() == nil && !l.stopping(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
		case <-l.waiting.Done():
			return
		}
	}
	select {
	case l.events <- stopRequested{}:
	case <-l.waiting.Done():
	}
}

// refresh reads what has changed, cancels some items of jobs that are being cancelled, and, with chunk, takes a chunk: items
// that need calls become due.
func (l *sessionLoop) refresh(chunk bool) (r refreshed) {
	r.chunk = chunk
	if r.changed, r.err = l.hasChanged(); r.err != nil || r.changed {
		return r
	}
	if r.cancelled, r.err = l.cancel(l.work, l.target.Account); r.err != nil || !chunk {
		return r
	}
	taken, err := l.store.CarryOutChunk(l.work, l.target.Account)
	if err == nil && taken.Done.Counts.Sum() > 0 { // items of a confirmed job that ended as predicted
		l.afterChunk(l.work, taken)
	}
	r.taken, r.spilled, r.err = err == nil && !taken.Job.IsZero(), taken.Spilled, err
	return r
}

// hasChanged reports whether the account has another upstream or other limits than the session began with.
func (l *sessionLoop) hasChanged() (bool, error) {
	now, err := l.store.Upstream(l.work, l.target.Account)
	if err != nil {
		return false, err
	}
	then := l.upstream
	return now == nil || now.URL != then.URL || !bytes.Equal(now.SealedKey, then.SealedKey) ||
		now.Rate != then.Rate || now.Concurrency != then.Concurrency, nil
}

// renew renews the leases of calls. After an error, it is retried before the leases end.
func (l *sessionLoop) renew(calls []revocation.Call) error {
	err := l.store.ExtendCalls(l.work, calls, callLease)
	if err != nil {
		l.log.Warn("leases of calls not renewed: retried shortly",
			"account_id", l.target.Account, "count", len(calls), "error", err)
	}
	return err
}

// logHold logs what a group of replies means for the upstream.
func (l *sessionLoop) logHold(hold holdChange) {
	switch {
	case hold.reason != "" && hold.reason != l.hold:
		l.log.Warn("hold of an upstream begins: no calls are made",
			"account_id", l.target.Account, "reason", string(hold.reason), "duration", hold.length)
		l.hold = hold.reason
	case hold.release:
		l.log.Info("hold of an upstream ends: calls are made again", "account_id", l.target.Account)
		l.hold = ""
	}
}

// record writes a group of outcomes and what they mean for the upstream. If the outcomes cannot be written, the calls stay
// in doubt until their leases have ended.
func (l *sessionLoop) record(group []endedCall, hold holdChange) outcomesRecorded {
	var err error
	switch {
	case hold.reason != "":
		err = l.store.HoldUpstream(l.work, l.upstream, hold.reason, hold.length)
	case hold.release:
		err = l.store.ReleaseUpstream(l.work, l.upstream)
	}
	if err != nil {
		l.log.Warn("hold of an upstream not recorded", "account_id", l.target.Account, "error", err)
	}
	refs, ended := make([]revocation.Ref, len(group)), make(map[revocation.Ref]endedCall, len(group))
	for i, e := range group {
		refs[i], ended[e.call.Ref] = e.call.Ref, e
	}
	l.observer.BatchCarriedOut(revocation.ClassUpstream, len(refs))
	decide := func(locked []revocation.LockedRevocation) []revocation.Decision {
		return decideCalled(locked, ended, l.policy)
	}
	done, err := l.store.RecordOutcomes(l.work, refs, decide)
	for _, pause := range settlePauses {
		if err == nil {
			break
		}
		time.Sleep(pause)
		done, err = l.store.RecordOutcomes(l.work, refs, decide)
	}
	if err == nil {
		l.afterCommit(l.work, done)
	}
	return outcomesRecorded{group, done.Locked, err}
}
