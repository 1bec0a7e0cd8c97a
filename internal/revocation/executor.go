package revocation

import (
	"context"
	"log/slog"
	"time"

	"rescind/internal/batch"
)

// ExecutionStore carries batches through one transaction each.
type ExecutionStore interface {
	// RevokeFast applies Rule to those of refs that nothing stands in the way of, and writes the outcomes. It may
	// pass over any: those that are stale, that it cannot tell about at once, or all because one was not as it seemed.
	// An error as of CarryOut.
	RevokeFast(ctx context.Context, refs []Ref) (BatchResult, error)
	// CarryOut locks the work rows of refs that are not stale and their invites, in the order of their keys
	// and without waiting for a row that another transaction holds, and writes what decide says of them. An
	// error means that nothing was written, or, after a broken connection, that this is not known.
	CarryOut(ctx context.Context, refs []Ref, decide func([]LockedRevocation) []Decision) (BatchResult, error)
	// RecordOutcomes does the same without looking at the invites, which may be what cannot be reached.
	RecordOutcomes(ctx context.Context, refs []Ref, decide func([]LockedRevocation) []Decision) (BatchResult, error)
}

// BatchResult is what a transaction did.
type BatchResult struct {
	Decisions []Decision
	// Ended are the jobs that ended with it.
	Ended []ID
	// Locked are those whose work row another transaction held: nothing was decided about them.
	Locked []Ref
}

// passedOver are those of refs that nothing was decided about.
func (c *BatchResult) passedOver(refs []Ref) (left []Ref) {
	decided := make(map[Ref]struct{}, len(c.Decisions))
	for _, d := range c.Decisions {
		decided[d.Ref] = struct{}{}
	}
	for _, ref := range refs {
		if _, ok := decided[ref]; !ok {
			left = append(left, ref)
		}
	}
	return left
}

// Executor carries out batches of revocations on the database platform.
type Executor struct {
	canceller
	store  ExecutorStore
	policy RetryPolicy
	// othersWait ends a turn early.
	othersWait func(context.Context) bool
	singles    singleFirst
}

// ExecutorStore is what an Executor needs of a store.
type ExecutorStore interface {
	ExecutionStore
	BulkStore
	CallStore
	// Release is as DispatchStore's.
	Release(ctx context.Context, due []DueAttempt, delay time.Duration) error
}

// ExecutorOptions are an Executor's parts. All are needed, but for OthersWait and the Observer.
type ExecutorOptions struct {
	Store    ExecutorStore
	Queue    Queue
	Outcomes Outcomes
	Policy   RetryPolicy
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
func (e *Executor) CarryOut(ctx context.Context, refs []Ref) error {
	e.observer.BatchCarriedOut(ClassSingle, len(refs))
	e.singles.noteSingle()
	// What fails here is told apart below.
	if done, err := e.store.RevokeFast(ctx, refs); err == nil {
		e.afterCommit(ctx, done)
		if refs = done.passedOver(refs); len(refs) == 0 {
			return nil
		}
	}
	return e.carryOut(ctx, refs)
}

func (e *Executor) carryOut(ctx context.Context, refs []Ref) error {
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
func (e *Executor) attempt(ctx context.Context, refs []Ref) (busy []Ref, err error) {
	carryOut := func(refs []Ref) error {
		done, err := e.store.CarryOut(ctx, refs, Decide)
		if err == nil {
			e.afterCommit(ctx, done)
			busy = append(busy, done.Locked...)
		}
		return err
	}
	blame := func(err error) bool { return ctx.Err() == nil && blamesOneRow(err) }
	fail := func(refs []Ref, err error) error {
		if ctx.Err() != nil {
			// The worker stops, or the task took too long: neither is an attempt on these invites.
			return err
		}
		e.log.Warn("attempt failed", "count", len(refs), "error", err)
		failure := failureOf(err)
		done, err := e.store.RecordOutcomes(ctx, refs, func(held []LockedRevocation) []Decision {
			return DecideFailed(held, failure, e.policy)
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
