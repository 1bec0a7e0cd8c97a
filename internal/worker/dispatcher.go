package worker

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"rescind/internal/revocation"
)

// Dispatcher enqueues what is due and what was lost: retries, and rows whose tasks are missing because Redis was unavailable
// or lost its data. It also begins the jobs whose not_before or hold has passed, and ends jobs that have expired. Any
// number of Dispatchers can run at the same time.
type Dispatcher struct {
	store    revocation.DispatchStore
	queue    revocation.Queue
	log      *slog.Logger
	observer Observer
	interval time.Duration
	away     bool                 // whether the queue was unavailable when something was last due
	logged   map[string]time.Time // when each message was last logged
}

// DispatcherOptions are the dependencies of a Dispatcher.
type DispatcherOptions struct {
	Store revocation.DispatchStore
	Queue revocation.Queue
	Log   *slog.Logger
	// Observer counts what was enqueued; it may be nil.
	Observer Observer
	// Interval is the time between two polls; 0 means 250 ms, so that what is due starts well within a second.
	Interval time.Duration
}

const (
	defaultInterval = 250 * time.Millisecond
	// claimLimit bounds one claim, so that a large backlog is shared by several dispatchers.
	claimLimit = 1024
	// maxBatch bounds the revocations of a task, and so the duration of its transaction.
	maxBatch = 256
	// maxMailBatch bounds the emails of a task, so that one connection can send them well within a lease.
	maxMailBatch = 16
	// releaseDelay is when rows that could not be enqueued are due again.
	releaseDelay = time.Second
	// logInterval is the shortest time between two logs of the same message.
	logInterval = 10 * time.Second
)

var visibilityTimeouts = []time.Duration{revocation.VisibilityTimeout(0), revocation.VisibilityTimeout(1), revocation.VisibilityTimeout(2), revocation.VisibilityTimeout(3)}

// NewDispatcher returns a Dispatcher.
func NewDispatcher(o DispatcherOptions) *Dispatcher {
	if o.Interval == 0 {
		o.Interval = defaultInterval
	}
	return &Dispatcher{
		store: o.Store, queue: o.Queue, log: o.Log, observer: observing(o.Observer), interval: o.Interval,
		logged: make(map[string]time.Time),
	}
}

// Run dispatches until ctx ends. Errors are logged, and the work is retried at the next poll.
func (d *Dispatcher) Run(ctx context.Context) {
	tick := time.NewTicker(d.interval)
	defer tick.Stop()
	for {
		d.dispatch(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (d *Dispatcher) dispatch(ctx context.Context) {
	pending, err := d.store.PendingWork(ctx)
	if len(pending.Jobs) > 0 {
		d.logOnce(ctx, "change jobs whose time has come: retried at the next poll", d.changeJobs(ctx, pending.Jobs))
		pending, err = d.store.PendingWork(ctx) // with the work of the jobs that have begun
	}
	d.logOnce(ctx, "read pending work: retried at the next poll", err)
	if !pending.Revocations && !pending.Notifications && len(pending.AccountTasks) == 0 || !d.ready(ctx) {
		return
	}
	if pending.Revocations {
		d.logOnce(ctx, "dispatch revocations: retried at the next poll", d.revocations(ctx))
	}
	d.logOnce(ctx, "dispatch account tasks: retried at the next poll", d.accountTasks(ctx, pending.AccountTasks))
	if pending.Notifications {
		d.logOnce(ctx, "dispatch emails: retried at the next poll", d.notifications(ctx))
	}
}

// changeJobs begins the jobs whose time has come, and lets those expire that nobody has confirmed or approved. It needs no
// queue, so that a job expires while the queue is unavailable.
func (d *Dispatcher) changeJobs(ctx context.Context, due []revocation.DueJob) (first error) {
	for _, job := range due {
		_, err := d.store.ChangeJob(ctx, job.Account, job.ID, revocation.JobChange{
			Kind: job.Change, By: revocation.Actor{Type: revocation.ActorService},
		})
		if revocation.ErrorCode(err) != revocation.CodeNotFound { // it was deleted meanwhile
			first = cmp.Or(first, err)
		}
	}
	return first
}

// ready reports whether the queue is available. Claims while it is not would only increase the dispatch counts.
func (d *Dispatcher) ready(ctx context.Context) bool {
	err := d.queue.Ready(ctx)
	switch {
	case err != nil && !d.away && ctx.Err() == nil:
		d.log.Warn("queue is unavailable: nothing is dispatched until it is back", "error", err)
	case err == nil && d.away:
		d.log.Info("queue is back")
	}
	d.away = err != nil
	return !d.away
}

// logOnce logs an error, unless the same message was logged recently. Polls are frequent, and while the database is
// unavailable all of them fail. It does nothing if err is nil.
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

// claimRevocations claims due revocations and enqueues them. It releases claims that cannot be enqueued. The end of ctx does
// not interrupt it.
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
		d.observer.Dispatched(rest[:n])
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

// claimNotifications is claimRevocations for emails.
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
		d.observer.DispatchedEmails(rest[:n])
		rest = rest[n:]
	}
	return len(due), nil
}

func (d *Dispatcher) accountTasks(ctx context.Context, work []revocation.AccountWork) (err error) {
	accounts := make(map[revocation.AccountTask][]string)
	for _, w := range work {
		accounts[w.Task] = append(accounts[w.Task], w.Account)
	}
	for kind, accounts := range accounts {
		err = cmp.Or(err, d.queue.EnqueueAccountTasks(ctx, kind, accounts))
	}
	return err
}
