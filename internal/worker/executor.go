package worker

import (
	"context"
	"log/slog"
	"time"

	"rescind/internal/revocation"

	"rescind/internal/batch"
)

// Executor carries out batches of revocations on the database platform.
type Executor struct {
	canceller
	store  ExecutorStore
	policy revocation.RetryPolicy
	// othersWait ends a turn early.
	othersWait func(context.Context) bool
	singles    singleFirst
}

// ExecutorStore is what an Executor needs of a store.
type ExecutorStore interface {
	revocation.ExecutionStore
	revocation.BulkStore
	revocation.CallStore
	// Release is as DispatchStore's.
	Release(ctx context.Context, due []revocation.DueAttempt, delay time.Duration) error
}

// ExecutorOptions are an Executor's parts. All are needed, but for OthersWait and the Observer.
type ExecutorOptions struct {
	Store    ExecutorStore
	Queue    revocation.Queue
	Outcomes revocation.Outcomes
	Policy   revocation.RetryPolicy
	// OthersWait tells whether turns of JobsTask are waiting to begin; nil: never.
	OthersWait func(context.Context) bool
	Log        *slog.Logger
	Observer   Observer
}

// NewExecutor makes an Executor.
func NewExecutor(o ExecutorOptions) *Executor {
	if o.OthersWait == nil {
		o.OthersWait = func(context.Context) bool { return false }
	}
	return &Executor{
		canceller: canceller{publisher{o.Queue, o.Outcomes, o.Log, observing(o.Observer)}, o.Store},
		store:     o.Store, policy: o.Policy, othersWait: o.OthersWait,
	}
}

// lockedPauses are the waits before a batch's busy rows are looked at again. A submission that joins a
// revocation holds its work row for a moment; a worker that holds it longer ends it, or the dispatcher does.
var lockedPauses = []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond}

// maxSplits bounds how often a task's batch is halved in search of the row to blame: enough to find one among
// maxBatch, and few enough that a table which is locked as a whole does not take the task all its time.
const maxSplits = 12

// CarryOut makes one attempt on each of refs and records how it ended; refs that are stale are passed over.
// A fault of the database that a row may be to blame for is told apart by carrying out the halves of the
// batch, and ends as ERROR_REVOKING of that row. The error that is left is a failure that could not even be
// recorded: the task must come again.
func (e *Executor) CarryOut(ctx context.Context, refs []revocation.Ref) error {
	e.observer.BatchCarriedOut(revocation.ClassSingle, len(refs))
	e.singles.noteSingle()
	// What fails here is told apart below.
	if done, err := e.store.RevokeFast(ctx, refs); err == nil {
		e.afterCommit(ctx, done)
		if refs = done.Undecided(refs); len(refs) == 0 {
			return nil
		}
	}
	return e.carryOut(ctx, refs)
}

func (e *Executor) carryOut(ctx context.Context, refs []revocation.Ref) error {
	for _, pause := range lockedPauses {
		busy, err := e.attempt(ctx, refs)
		if err != nil || len(busy) == 0 {
			return err
		}
		refs = busy
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	_, err := e.attempt(ctx, refs)
	return err
}

// attempt makes one attempt on each of refs, but for those whose work row another transaction holds: it returns them.
func (e *Executor) attempt(ctx context.Context, refs []revocation.Ref) (busy []revocation.Ref, err error) {
	carryOut := func(refs []revocation.Ref) error {
		done, err := e.store.CarryOut(ctx, refs, revocation.Decide)
		if err == nil {
			e.afterCommit(ctx, done)
			busy = append(busy, done.Locked...)
		}
		return err
	}
	blame := func(err error) bool { return ctx.Err() == nil && revocation.CanIsolate(err) }
	fail := func(refs []revocation.Ref, err error) error {
		if ctx.Err() != nil {
			// The worker stops, or the task took too long: neither is an attempt on these invites.
			return err
		}
		e.log.Warn("attempt failed", "count", len(refs), "error", err)
		failure := revocation.FailureOf(err)
		done, err := e.store.RecordOutcomes(ctx, refs, func(held []revocation.LockedRevocation) []revocation.Decision {
			return revocation.DecideFailed(held, failure, e.policy)
		})
		if err == nil {
			e.afterCommit(ctx, done)
			busy = append(busy, done.Locked...)
		}
		return err
	}
	err = batch.Isolate(refs, maxSplits, carryOut, blame, fail)
	return busy, err
}
