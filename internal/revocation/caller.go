package revocation

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"maps"
	"math"
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
	open     func(ctx context.Context, upstream Upstream) (Secret, error)
	policy   RetryPolicy
	// stopping ends a turn early.
	stopping func(context.Context) bool
}

// CallerStore is what a Caller needs of a store.
type CallerStore interface {
	ExecutionStore
	BulkStore
	CallStore
	JobStore
}

// CallerOptions are a Caller's parts; all are needed, but for the Observer.
type CallerOptions struct {
	Store    CallerStore
	Platform Platform
	// Open decrypts an account's key.
	Open     func(ctx context.Context, upstream Upstream) (Secret, error)
	Queue    Queue
	Outcomes Outcomes
	Policy   RetryPolicy
	// Stopping tells that no more work should be begun.
	Stopping func(context.Context) bool
	Log      *slog.Logger
	Observer Observer
}

const (
	// callLease is how long claimed calls belong to their worker without a sign of life, and callBeat how often
	// it gives one.
	callLease = 20 * time.Second
	callBeat  = 5 * time.Second
	// callPause is how long an outcome waits for others to be written with.
	callPause = 25 * time.Millisecond
	// lookInterval is how often a turn looks at what has changed: at the account, at jobs that are being
	// cancelled, and for single submissions, also when it has more than enough to do.
	lookInterval = 250 * time.Millisecond
	// turnLength bounds a turn, so that a change of the account is seen.
	turnLength = 30 * time.Second
	// probeInterval is between two calls of an account whose key was refused.
	probeInterval = time.Minute
	// secretInterval is between two tries to decrypt a key.
	secretInterval = 10 * time.Second
)

// NewCaller makes a Caller.
func NewCaller(o CallerOptions) *Caller {
	return &Caller{
		canceller: canceller{messenger{o.Queue, o.Outcomes, o.Log, observing(o.Observer)}, o.Store},
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
	if upstream.Held {
		return nil
	}
	key, err := c.open(ctx, *upstream)
	if err != nil {
		c.log.Error("the key for an upstream cannot be decrypted: its calls wait; set SECRETS_KEY, or set the account's key again",
			"account_id", account, "error", err)
		return c.store.HoldUpstream(ctx, *upstream, HoldSecret, secretInterval)
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

// turn is one turn of an account. One goroutine has all of its state; others make the calls, look into the
// database and write to it, so that no call waits for that.
type turn struct {
	*Caller
	upstream Upstream
	target   Target
	over     time.Time

	// claimed are the calls whose outcome is not written yet. singles and items have not begun, under are under
	// way, underItems of them items of jobs, and ended wait to be written.
	claimed    map[Ref]Call
	singles    []Call
	items      []Call
	under      int
	underItems int
	ended      []endedCall

	// closed says that no more calls are begun, and dry that the last look found no more than it gave.
	closed bool
	dry    bool
	failed error

	looking, writing bool
	looked, wrote    time.Time
	beat             time.Time
}

func (t *turn) run(ctx context.Context) error {
	// What has begun is not broken off by a stop: it ends within its own time.
	calling := context.WithoutCancel(ctx)
	admitting, stopAdmitting := context.WithCancel(calling)
	begin, results := make(chan Call), make(chan endedCall, t.target.Concurrency)
	var callers sync.WaitGroup
	defer callers.Wait()
	defer close(begin)
	defer stopAdmitting()
	var gate sync.Mutex
	for range t.target.Concurrency {
		callers.Go(func() { t.call(admitting, calling, &gate, begin, results) })
	}
	looks, writes := make(chan look), make(chan written)
	tick := time.NewTicker(callPause)
	defer tick.Stop()
	for {
		if t.failed != nil || ctx.Err() != nil || time.Now().After(t.over) || t.stopping(ctx) {
			t.closed = true
		}
		if t.closed {
			t.handBack()
			stopAdmitting()
		}
		if len(t.claimed) == 0 && !t.looking && !t.writing && (t.closed || t.dry) {
			return t.failed
		}
		if ask, ok := t.wantsLook(); ok {
			t.looking, t.looked = true, time.Now()
			go func() { looks <- t.look(calling, ask) }()
		}
		if group, judged, ok := t.wantsWrite(); ok {
			t.writing, t.wrote = true, time.Now()
			go func() { writes <- t.write(calling, group, judged) }()
		}
		next, beginning := t.next(begin)
		select {
		case beginning <- next:
			t.began(next)
		case e := <-results:
			t.under--
			if !e.call.Job.IsZero() {
				t.underItems--
			}
			t.ended = append(t.ended, e)
		case l := <-looks:
			t.learn(l)
		case w := <-writes:
			t.settle(w)
		case <-tick.C:
		}
	}
}

// call makes one call after the other. A call is chosen when the account's rate allows it and not before, so that
// whatever is most urgent then goes first.
func (t *turn) call(admitting, calling context.Context, gate *sync.Mutex, begin <-chan Call, results chan<- endedCall) {
	for {
		gate.Lock() // one at a time, or each would have a place in the rate in hand
		err := t.platform.Admit(admitting, t.target)
		if err != nil {
			gate.Unlock()
			return
		}
		call, ok := <-begin
		gate.Unlock()
		if !ok {
			return
		}
		results <- endedCall{call, t.platform.Revoke(calling, t.target, call.ReportID, call.Notify)}
	}
}

// next is the call to begin with: what was submitted singly comes first, and items of jobs leave it a slot where
// there are several. Without one, beginning is nil.
func (t *turn) next(begin chan<- Call) (call Call, beginning chan<- Call) {
	switch {
	case len(t.singles) > 0:
		return t.singles[0], begin
	case len(t.items) > 0 && t.underItems < max(1, t.target.Concurrency-1):
		return t.items[0], begin
	default:
		return Call{}, nil
	}
}

func (t *turn) began(call Call) {
	t.under++
	if call.Job.IsZero() {
		t.singles = t.singles[1:]
	} else {
		t.items = t.items[1:]
		t.underItems++
	}
}

// question is what a look is to find out.
type question struct {
	// want is how many more calls can be claimed, extend those whose lease is to be renewed.
	want   int
	extend []Call
	// jobs are those of waiting items; with thorough, it is asked whether they are being cancelled, and whether
	// the account has changed.
	jobs     []ID
	thorough bool
}

// look is what one has found.
type look struct {
	calls     []Call
	cancelled map[ID]bool
	changed   bool
	dry       bool
	err       error
}

// wantsLook tells whether it is time to look. Calls are claimed no further ahead than can begin soon, a second's
// worth by the account's rate: what is claimed is in this turn's hands, and in doubt if it dies.
func (t *turn) wantsLook() (q question, ok bool) {
	if t.looking || t.closed {
		return q, false
	}
	ahead := t.target.Concurrency
	if t.target.Rate > 0 {
		ahead = min(ahead, int(math.Ceil(t.target.Rate)))
	}
	waiting := len(t.singles) + len(t.items)
	q.want = ahead - waiting
	if t.upstream.Hold != "" {
		q.want = 1 - len(t.claimed) // a probe
	}
	q.thorough = time.Since(t.looked) >= lookInterval
	if !q.thorough && (t.dry || q.want <= 0 || 2*q.want < ahead && t.upstream.Hold == "") {
		return q, false
	}
	for _, call := range t.items {
		if !slices.Contains(q.jobs, call.Job) {
			q.jobs = append(q.jobs, call.Job)
		}
	}
	if time.Since(t.beat) >= callBeat {
		t.beat, q.extend = time.Now(), slices.Collect(maps.Values(t.claimed))
	}
	return q, true
}

// look claims calls. Where little is due, it brings in the next chunk of a job.
func (t *turn) look(ctx context.Context, q question) (l look) {
	account := t.target.Account
	if len(q.extend) > 0 {
		if l.err = t.store.ExtendCalls(ctx, q.extend, callLease); l.err != nil {
			return l
		}
	}
	if q.thorough {
		if l.changed, l.err = t.hasChanged(ctx); l.err != nil || l.changed {
			return l
		}
		if l.cancelled, l.err = t.cancelledOf(ctx, q.jobs); l.err != nil {
			return l
		}
	}
	for len(l.calls) < q.want {
		calls, err := t.store.ClaimCalls(ctx, account, q.want-len(l.calls), callLease)
		if err != nil {
			l.err = err
			return l
		}
		l.calls = append(l.calls, calls...)
		if len(l.calls) == q.want {
			break
		}
		cancelled, err := t.cancel(ctx, account)
		if err == nil {
			var chunk Chunk
			chunk, err = t.store.CarryOutChunk(ctx, account, false)
			l.dry = chunk.Job.IsZero() && !cancelled
		}
		if l.err = err; l.dry || err != nil {
			return l
		}
	}
	return l
}

// hasChanged tells whether the account has another upstream than the turn began with.
func (t *turn) hasChanged(ctx context.Context) (bool, error) {
	now, err := t.store.Upstream(ctx, t.target.Account)
	if err != nil {
		return false, err
	}
	return now == nil || now.URL != t.upstream.URL || !bytes.Equal(now.SealedKey, t.upstream.SealedKey) ||
		now.Rate != t.upstream.Rate || now.Concurrency != t.upstream.Concurrency, nil
}

func (t *turn) cancelledOf(ctx context.Context, jobs []ID) (cancelled map[ID]bool, err error) {
	for _, id := range jobs {
		job, err := t.store.Job(ctx, t.target.Account, id)
		if err != nil {
			return nil, err
		}
		if job.State == JobCancelling {
			if cancelled == nil {
				cancelled = make(map[ID]bool)
			}
			cancelled[id] = true
		}
	}
	return cancelled, nil
}

// learn takes over what a look has found. Waiting items of a job that is being cancelled go back, from where they
// are cancelled, but for those in doubt, which get their attempt.
func (t *turn) learn(l look) {
	t.looking, t.dry = false, l.dry
	if l.err != nil {
		t.failed = l.err
	}
	if l.changed {
		t.closed = true
	}
	for _, call := range l.calls {
		t.claimed[call.Ref] = call
		switch {
		case call.Cancelled:
			t.ended = append(t.ended, endedCall{call, Reply{Status: StatusCancelled}})
		case call.Job.IsZero():
			t.singles = append(t.singles, call)
		default:
			t.items = append(t.items, call)
		}
	}
	if len(l.cancelled) > 0 {
		t.dry = false
		t.items = slices.DeleteFunc(t.items, func(call Call) bool {
			if !l.cancelled[call.Job] || call.InDoubt {
				return false
			}
			t.ended = append(t.ended, endedCall{call: call})
			return true
		})
	}
}

// handBack gives up what has not begun.
func (t *turn) handBack() {
	for _, call := range slices.Concat(t.singles, t.items) {
		t.ended = append(t.ended, endedCall{call: call})
	}
	t.singles, t.items = nil, nil
}

// judgement is what replies say about the upstream as a whole.
type judgement struct {
	// hold is why, and length for how long, no more calls should be made; empty for no reason.
	hold   Hold
	length time.Duration
	// release ends a hold.
	release bool
}

// wantsWrite tells whether it is time to write what has ended, and what it says about the upstream.
func (t *turn) wantsWrite() (group []endedCall, j judgement, ok bool) {
	if t.writing || len(t.ended) == 0 || time.Since(t.wrote) < callPause {
		return nil, j, false
	}
	group, t.ended = t.ended, nil
	j = judge(group, t.upstream.Hold)
	switch {
	case j.hold != "":
		if t.upstream.Hold != j.hold {
			t.log.Warn("calls to an upstream are held back",
				"account_id", t.target.Account, "reason", string(j.hold), "duration", j.length)
		}
		t.closed, t.upstream.Hold = true, j.hold
	case j.release && t.closed:
		j.release = false // the call had begun before the one that was refused
	case j.release:
		t.log.Info("an upstream takes calls again", "account_id", t.target.Account)
		t.upstream.Hold = ""
	}
	return group, j, true
}

// judge looks at the replies of a group. While calls are held, a probe that shows nothing leaves it at that.
func judge(group []endedCall, held Hold) (j judgement) {
	for _, e := range group {
		r := e.reply
		conclusive := r.Failure == nil || r.Failure.Code == CodeUpstreamTryLater || r.Failure.Code == CodeUpstreamRejected
		switch {
		case r.Failure != nil && r.Failure.Code == CodeUpstreamUnauthorized:
			return judgement{hold: HoldUnauthorized, length: probeInterval}
		case r.Hold > 0 && held != HoldUnauthorized:
			j = judgement{hold: HoldUnavailable, length: r.Hold}
		case r.Hold > 0, !conclusive && held == HoldUnauthorized:
			j = judgement{hold: HoldUnauthorized, length: probeInterval}
		case r.Status != "" && r.Status != StatusCancelled && conclusive && held != "" && j.hold == "":
			j.release = true
		}
	}
	return j
}

// written is what became of a group.
type written struct {
	group []endedCall
	busy  []Ref
	err   error
}

// write records a group.
func (t *turn) write(ctx context.Context, group []endedCall, j judgement) (w written) {
	w.group = group
	switch {
	case j.hold != "":
		w.err = t.store.HoldUpstream(ctx, t.upstream, j.hold, j.length)
	case j.release:
		w.err = t.store.ReleaseUpstream(ctx, t.upstream)
	}
	if w.err != nil {
		t.log.Warn("a hold of an upstream is not recorded", "account_id", t.target.Account, "error", w.err)
	}
	refs, ended := make([]Ref, len(group)), make(map[Ref]endedCall, len(group))
	for i, e := range group {
		refs[i], ended[e.call.Ref] = e.call.Ref, e
	}
	t.observer.BatchCarriedOut(ClassUpstream, len(refs))
	decide := func(held []Held) []Decision { return decideCalled(held, ended, t.policy) }
	done, err := t.store.Fail(ctx, refs, decide)
	for _, pause := range settlePauses {
		if err == nil {
			break
		}
		time.Sleep(pause)
		done, err = t.store.Fail(ctx, refs, decide)
	}
	if w.err = err; err == nil {
		t.tell(ctx, done)
		w.busy = done.Busy
	}
	return w
}

// settle takes over what was written. A row that somebody else held at the moment comes again with the next group.
// What could not be written is left: the claims run out, and whoever comes next takes it that the calls were made.
func (t *turn) settle(w written) {
	t.writing = false
	if w.err != nil {
		t.failed = w.err
	}
	for _, e := range w.group {
		if slices.Contains(w.busy, e.call.Ref) {
			t.ended = append(t.ended, e)
		} else {
			delete(t.claimed, e.call.Ref)
		}
	}
}
