package worker

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"rescind/internal/revocation"
)

// Dispatcher enqueues what is due and what was lost: retries, and whatever a Redis that was away, emptied or
// restarted does not know of. Any number of them work side by side.
type Dispatcher struct {
	store    revocation.DispatchStore
	queue    revocation.Queue
	log      *slog.Logger
	observer Observer
	interval time.Duration
	away     bool                 // the queue, when something was last due
	logged   map[string]time.Time // when the last complaint about each was made
}

// DispatcherOptions are a Dispatcher's parts.
type DispatcherOptions struct {
	Store revocation.DispatchStore
	Queue revocation.Queue
	Log   *slog.Logger
	// Observer is told of what was found; nil: nobody.
	Observer Observer
	// Interval between two looks; 0 means 250 ms, so that what is due starts well within a second.
	Interval time.Duration
}

const (
	defaultInterval = 250 * time.Millisecond
	// claimLimit bounds one claim, so that a large backlog is shared by several dispatchers.
	claimLimit = 1024
	// maxBatch bounds the revocations of a task and so the length of its transaction.
	maxBatch = 256
	// maxMailBatch bounds the emails of a task: one connection sends them in turn, well within a lease.
	maxMailBatch = 16
	// releaseDelay is the pause after a failure to enqueue.
	releaseDelay = time.Second
	// logInterval is between two complaints about the same.
	logInterval = 10 * time.Second
)

var visibilityTimeouts = []time.Duration{revocation.VisibilityTimeout(0), revocation.VisibilityTimeout(1), revocation.VisibilityTimeout(2), revocation.VisibilityTimeout(3)}

// NewDispatcher makes a Dispatcher.
func NewDispatcher(o DispatcherOptions) *Dispatcher {
	if o.Interval == 0 {
		o.Interval = defaultInterval
	}
	return &Dispatcher{
		store: o.Store, queue: o.Queue, log: o.Log, observer: observing(o.Observer), interval: o.Interval,
		logged: make(map[string]time.Time),
	}
}

// Run dispatches until ctx ends. What fails is logged and tried again at the next look.
func (d *Dispatcher) Run(ctx context.Context) {
	tick := time.NewTicker(d.interval)
	defer tick.Stop()
	for {
		d.refresh(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (d *Dispatcher) refresh(ctx context.Context) {
	agenda, err := d.store.PendingWork(ctx)
	d.logOnce(ctx, "look for what is due: tried again at the next look", err)
	if !agenda.Revocations && !agenda.Notifications && len(agenda.AccountTasks) == 0 || !d.ready(ctx) {
		return
	}
	if agenda.Revocations {
		d.logOnce(ctx, "dispatch revocations: tried again at the next look", d.revocations(ctx))
	}
	d.logOnce(ctx, "dispatch turns: tried again at the next look", d.accountTasks(ctx, agenda.AccountTasks))
	if agenda.Notifications {
		d.logOnce(ctx, "dispatch emails: tried again at the next look", d.notifications(ctx))
	}
}

// ready tells whether the queue can take what is due. Claiming for one that is away would only count up the epochs.
func (d *Dispatcher) ready(ctx context.Context) bool {
	err := d.queue.Ready(ctx)
	switch {
	case err != nil && !d.away && ctx.Err() == nil:
		d.log.Warn("queue is away: nothing is dispatched until it is back", "error", err)
	case err == nil && d.away:
		d.log.Info("queue is back")
	}
	d.away = err != nil
	return !d.away
}

// logOnce tells of a failure, unless it has told the same lately: looks are many, and a database that is away fails
// them all.
func (d *Dispatcher) logOnce(ctx context.Context, message string, err error) {
	if err == nil || ctx.Err() != nil || time.Since(d.logged[message]) < logInterval {
		return
	}
	d.logged[message] = time.Now()
	d.log.Error(message, "error", err)
}

func (d *Dispatcher) revocations(ctx context.Context) error {
	for {
		claimed, err := d.claimRevocations(ctx)
		if err != nil || claimed < claimLimit || ctx.Err() != nil {
			return err
		}
	}
}

// claimRevocations enqueues what one claim takes, and releases what cannot be enqueued. The end of ctx does not break
// it off.
func (d *Dispatcher) claimRevocations(ctx context.Context) (claimed int, err error) {
	ctx, cancel := finishing(ctx)
	defer cancel()
	due, err := d.store.ClaimDue(ctx, claimLimit, visibilityTimeouts)
	if err != nil {
		return 0, err
	}
	for rest := due; len(rest) > 0; {
		n := min(len(rest), maxBatch)
		refs := make([]revocation.Ref, n)
		for i := range refs {
			refs[i] = rest[i].Ref
		}
		if err := d.queue.EnqueueRevocations(ctx, rest[0].DispatchCount, refs); err != nil {
			ctx, cancel := finishing(ctx)
			defer cancel()
			return 0, cmp.Or(err, d.store.Release(ctx, rest, releaseDelay))
		}
		d.observer.Swept(rest[:n])
		rest = rest[n:]
	}
	return len(due), nil
}

func (d *Dispatcher) notifications(ctx context.Context) error {
	for {
		claimed, err := d.claimNotifications(ctx)
		if err != nil || claimed < claimLimit || ctx.Err() != nil {
			return err
		}
	}
}

// claimNotifications does with emails what claimRevocations does with revocations.
func (d *Dispatcher) claimNotifications(ctx context.Context) (claimed int, err error) {
	ctx, cancel := finishing(ctx)
	defer cancel()
	due, unknown, err := d.store.ClaimDueNotifications(ctx, claimLimit, visibilityTimeouts)
	if err != nil {
		return 0, err
	}
	reportUnknown(ctx, d.log, d.observer, unknown)
	for rest := due; len(rest) > 0; {
		n := min(len(rest), maxMailBatch)
		if err := d.queue.EnqueueNotifications(ctx, rest[:n]); err != nil {
			ctx, cancel := finishing(ctx)
			defer cancel()
			return 0, cmp.Or(err, d.store.ReleaseNotifications(ctx, rest, releaseDelay))
		}
		d.observer.SweptEmails(rest[:n])
		rest = rest[n:]
	}
	return len(due), nil
}

func (d *Dispatcher) accountTasks(ctx context.Context, work []revocation.AccountWork) (err error) {
	accounts := make(map[revocation.AccountTask][]string)
	for _, w := range work {
		accounts[w.Task] = append(accounts[w.Task], w.Account)
	}
	for turn, accounts := range accounts {
		err = cmp.Or(err, d.queue.EnqueueAccountTasks(ctx, turn, accounts))
	}
	return err
}
