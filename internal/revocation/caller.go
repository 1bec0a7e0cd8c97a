package revocation

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Caller carries out what accounts have to revoke at their upstreams. An account has one turn at a time, so
// that its limits hold for all workers together.
type Caller struct {
	canceller
	store    CallerStore
	platform Platform
	open     func(ctx context.Context, account string, sealed []byte) (Secret, error)
	policy   RetryPolicy
	// stopping ends a turn early.
	stopping func(context.Context) bool
}

// CallerStore is what a Caller needs of a store.
type CallerStore interface {
	ExecutionStore
	BulkStore
	CallStore
}

// CallerOptions are a Caller's parts; all are needed.
type CallerOptions struct {
	Store    CallerStore
	Platform Platform
	// Open decrypts an account's key.
	Open     func(ctx context.Context, account string, sealed []byte) (Secret, error)
	Queue    Queue
	Outcomes Outcomes
	Policy   RetryPolicy
	// Stopping tells that no more work should be begun.
	Stopping func(context.Context) bool
	Log      *slog.Logger
}

const (
	// callLease is how long claimed calls belong to their worker without a sign of life, and callBeat how often
	// it gives one.
	callLease = 20 * time.Second
	callBeat  = 5 * time.Second
	// callGroup is how many outcomes are written at once at most, and callPause how long one waits for others.
	callGroup = 256
	callPause = 25 * time.Millisecond
	// turnLength bounds a turn, so that a change of the account is seen.
	turnLength = 30 * time.Second
	// probeInterval is between two calls of an account whose key was refused.
	probeInterval = time.Minute
)

// NewCaller makes a Caller.
func NewCaller(o CallerOptions) *Caller {
	return &Caller{
		canceller: canceller{messenger{queue: o.Queue, outcomes: o.Outcomes, log: o.Log}, o.Store},
		store:     o.Store, platform: o.Platform, open: o.Open, policy: o.Policy, stopping: o.Stopping,
	}
}

// Turn makes the account's calls that are due until there are none, something speaks against more, the turn is
// over, or the worker stops. It returns when all calls have ended and their outcomes are written; what was
// claimed and not called goes back.
func (c *Caller) Turn(ctx context.Context, account string) error {
	upstream, err := c.store.Upstream(ctx, account)
	if err != nil || upstream == nil {
		return err
	}
	for more := true; more && ctx.Err() == nil; {
		if more, err = c.cancel(ctx, account); err != nil {
			return err
		}
	}
	if upstream.HeldUntil.After(time.Now()) {
		return nil
	}
	key, err := c.open(ctx, account, upstream.SealedKey)
	if err != nil {
		c.log.Error("the key for an upstream cannot be decrypted: its calls wait; set SECRETS_KEY, or set the account's key again",
			"account_id", account, "error", err)
		return c.store.HoldUpstream(ctx, account, HoldSecret, probeInterval)
	}
	t := &turn{
		Caller: c, upstream: *upstream,
		target: Target{
			Account: account, URL: upstream.URL, Key: key, Rate: upstream.Rate,
			Concurrency: cmp.Or(upstream.Concurrency, DefaultConcurrency),
		},
		claimed: make(map[Ref]Call), over: time.Now().Add(turnLength), beat: time.Now(),
	}
	return t.run(ctx)
}

// turn is one turn of an account. Its own goroutine claims and writes; others call.
type turn struct {
	*Caller
	upstream Upstream
	target   Target
	over     time.Time

	// claimed are the calls whose outcome is not written yet: waiting have not begun, under are under way, and
	// ended wait to be written.
	claimed map[Ref]Call
	waiting []Call
	under   int
	ended   []endedCall
	// closed says that no more calls are begun, and dry that there was nothing more to claim at the last look.
	closed bool
	dry    bool
	beat   time.Time
}

func (t *turn) run(ctx context.Context) error {
	// What has begun is not broken off by a stop: it ends within its own time.
	calling := context.WithoutCancel(ctx)
	admitting, stopAdmitting := context.WithCancel(calling)
	defer stopAdmitting()
	begin, results := make(chan Call), make(chan endedCall, t.target.Concurrency)
	var callers sync.WaitGroup
	defer callers.Wait()
	defer close(begin)
	for range t.target.Concurrency {
		callers.Go(func() {
			for call := range begin {
				results <- endedCall{call, t.call(admitting, calling, call)}
			}
		})
	}
	tick := time.NewTicker(callPause)
	defer tick.Stop()
	var failed error
	for {
		if failed == nil && !t.closed {
			failed = t.claim(ctx)
		}
		if failed != nil || t.closed || ctx.Err() != nil || time.Now().After(t.over) || t.stopping(ctx) {
			t.closed = true
			stopAdmitting()
			t.handBack()
		}
		if len(t.claimed) == 0 {
			return failed
		}
		var next Call
		var beginning chan Call
		if len(t.waiting) > 0 {
			next, beginning = t.waiting[0], begin
		}
		select {
		case beginning <- next:
			t.waiting = t.waiting[1:]
			t.under++
			continue
		case e := <-results:
			t.under--
			t.ended = append(t.ended, e)
			if len(t.ended) < callGroup {
				continue
			}
		case <-tick.C:
			t.dry = false
		}
		if err := t.write(calling); err != nil {
			// The claims run out, and whoever comes next takes it that the calls were made.
			return err
		}
	}
}

// call makes one call when its turn has come.
func (t *turn) call(admitting, calling context.Context, call Call) Reply {
	if call.Cancelled {
		return Reply{Status: StatusCancelled}
	}
	if err := t.platform.Admit(admitting, t.target); err != nil {
		return Reply{}
	}
	return t.platform.Revoke(calling, t.target, call.ReportID, call.Notify)
}

// claim takes what can begin soon: as many calls more as may be under way at once, so that none waits for the
// database, and a single submission never for a long row of job items. Where little is due, it brings in the
// next chunk of a job.
func (t *turn) claim(ctx context.Context) error {
	if time.Since(t.beat) > callBeat {
		if err := t.store.ExtendCalls(ctx, slices.Collect(maps.Values(t.claimed)), callLease); err != nil {
			return err
		}
		t.beat = time.Now()
	}
	for {
		ready := t.under + len(t.waiting)
		limit := 2*t.target.Concurrency - ready
		if t.upstream.Hold != "" {
			limit = 1 - ready // a probe
		} else if 2*limit < t.target.Concurrency {
			return nil
		}
		if t.dry || limit <= 0 {
			return nil
		}
		calls, err := t.store.ClaimCalls(ctx, t.target.Account, limit, callLease)
		if err != nil {
			return err
		}
		for _, call := range calls {
			t.claimed[call.Ref] = call
		}
		t.waiting = append(t.waiting, calls...)
		if len(calls) == limit {
			continue
		}
		cancelled, err := t.cancel(ctx, t.target.Account)
		if err != nil {
			return err
		}
		chunk, err := t.store.CarryOutChunk(ctx, t.target.Account, false)
		if err != nil {
			return err
		}
		t.dry = chunk.Job.IsZero() && !cancelled
	}
}

// handBack gives up what has not begun.
func (t *turn) handBack() {
	for _, call := range t.waiting {
		t.ended = append(t.ended, endedCall{call: call})
	}
	t.waiting = nil
}

// write records what has ended. A row that somebody else holds at the moment comes again with the next group.
func (t *turn) write(ctx context.Context) error {
	if len(t.ended) == 0 {
		return nil
	}
	if err := t.heed(ctx); err != nil {
		return err
	}
	refs, ended := make([]Ref, len(t.ended)), make(map[Ref]endedCall, len(t.ended))
	for i, e := range t.ended {
		refs[i], ended[e.call.Ref] = e.call.Ref, e
	}
	decide := func(held []Held) []Decision { return decideCalled(held, ended, t.policy) }
	done, err := t.store.Fail(ctx, refs, decide)
	for _, pause := range settlePauses {
		if err == nil {
			break
		}
		time.Sleep(pause)
		done, err = t.store.Fail(ctx, refs, decide)
	}
	if err != nil {
		return err
	}
	t.tell(ctx, done)
	t.ended = t.ended[:0]
	for _, ref := range done.Busy {
		t.ended = append(t.ended, ended[ref])
		delete(ended, ref)
	}
	for ref := range ended {
		delete(t.claimed, ref)
	}
	return nil
}

// heed looks at what the replies say about the upstream as a whole.
func (t *turn) heed(ctx context.Context) error {
	taken := false
	for _, e := range t.ended {
		switch r := e.reply; {
		case r.Failure != nil && r.Failure.Code == CodeUpstreamUnauthorized:
			return t.hold(ctx, HoldUnauthorized, probeInterval)
		case r.Hold > 0:
			return t.hold(ctx, HoldUnavailable, r.Hold)
		case r.Failure == nil && r.Status != "" && r.Status != StatusCancelled,
			r.Failure != nil && (r.Failure.Code == CodeUpstreamTryLater || r.Failure.Code == CodeUpstreamRejected):
			taken = true
		}
	}
	if !taken || t.closed || t.upstream.Hold == "" {
		return nil
	}
	t.upstream.Hold = ""
	t.log.Info("an upstream takes calls again", "account_id", t.target.Account)
	return t.store.ReleaseUpstream(ctx, t.target.Account)
}

// hold begins no more calls of the account, in this turn or another.
func (t *turn) hold(ctx context.Context, why Hold, length time.Duration) error {
	t.closed = true
	if t.upstream.Hold != why {
		t.log.Warn("calls to an upstream are held back", "account_id", t.target.Account, "reason", string(why), "duration", length)
	}
	t.upstream.Hold = why
	return t.store.HoldUpstream(ctx, t.target.Account, why, length)
}
