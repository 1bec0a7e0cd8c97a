package worker

import (
	"cmp"
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
	// previewTTL is how long a preview can be confirmed.
	previewTTL time.Duration
	// othersWait reports whether an account task should end early.
	othersWait func(context.Context) bool
	singles    singleFirst
}

// ExecutorStore contains the methods of a store that an Executor uses.
type ExecutorStore interface {
	revocation.ExecutionStore
	revocation.BulkStore
	revocation.CallStore
	revocation.JobChanger
	// Release is the method of revocation.DispatchStore.
	Release(ctx context.Context, due []revocation.DueAttempt, delay time.Duration) error
}

// ExecutorOptions are the dependencies of an Executor. All are required but PreviewTTL, OthersWait and Observer.
type ExecutorOptions struct {
	Store    ExecutorStore
	Queue    revocation.Queue
	Outcomes revocation.Outcomes
	Policy   revocation.RetryPolicy
	// PreviewTTL is how long a preview can be confirmed; 0 means revocation.DefaultPreviewTTL.
	PreviewTTL time.Duration
	// OthersWait reports whether other JobsTasks wait for a free slot; nil means never.
	OthersWait func(context.Context) bool
	Log        *slog.Logger
	Observer   Observer
}

// NewExecutor returns an Executor.
func NewExecutor(o ExecutorOptions) *Executor {
	if o.OthersWait == nil {
		o.OthersWait = func(context.Context) bool { return false }
	}
	return &Executor{
		canceller: canceller{publisher{o.Queue, o.Outcomes, o.Log, observing(o.Observer)}, o.Store},
		store:     o.Store, policy: o.Policy, previewTTL: cmp.Or(o.PreviewTTL, revocation.DefaultPreviewTTL), othersWait: o.OthersWait,
	}
}

// lockedPauses are the pauses before the locked rows of a batch are retried. A submission that joins a revocation locks its
// work item only briefly. A row that another worker locks for longer is left to that worker or to the dispatcher.
var lockedPauses = []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond}

// maxSplits bounds how often a batch is split in search of the row that makes it fail. It is enough to find one row among
// maxBatch. It is low enough that a task does not use up its time while a whole table is locked.
const maxSplits = 12

// CarryOut makes one attempt on each of refs and records its outcome. It ignores stale refs. If an error of the database can
// be caused by a single row, CarryOut splits the batch to find that row, which becomes ERROR_REVOKING. CarryOut returns only
// an error that could not be recorded; the caller must retry the task then.
func (e *Executor) CarryOut(ctx context.Context, refs []revocation.Ref) error {
	e.observer.BatchCarriedOut(revocation.ClassSingle, len(refs))
	e.singles.noteSingle()
	// After an error, all refs are carried out below, where errors are handled.
	if done, err := e.store.RevokeFast(ctx, refs); err == nil {
		e.afterCommit(ctx, done)
		if refs = done.Undecided(refs); len(refs) == 0 {
			return nil
		}
	}
	return e.attemptAll(ctx, refs)
}

// attemptAll makes one attempt on each of refs. It waits a moment for rows that another transaction has locked, and then
// leaves them to the dispatcher.
func (e *Executor) attemptAll(ctx context.Context, refs []revocation.Ref) error {
	for _, pause := range lockedPauses {
		locked, err := e.attempt(ctx, refs)
		if err != nil || len(locked) == 0 {
			return err
		}
		refs = locked
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	_, err := e.attempt(ctx, refs)
	return err
}

// attempt makes one attempt on each of refs. It returns the refs whose work items another transaction has locked; no attempt
// is made on them.
func (e *Executor) attempt(ctx context.Context, refs []revocation.Ref) (locked []revocation.Ref, err error) {
	write := func(refs []revocation.Ref) error {
		done, err := e.store.CarryOut(ctx, refs, revocation.Decide)
		if err == nil {
			e.afterCommit(ctx, done)
			locked = append(locked, done.Locked...)
		}
		return err
	}
	blame := func(err error) bool { return ctx.Err() == nil && revocation.CanIsolate(err) }
	fail := func(refs []revocation.Ref, err error) error {
		if ctx.Err() != nil {
			// The worker stops, or the task took too long. Neither counts as an attempt.
			return err
		}
		e.log.Warn("attempt failed", "count", len(refs), "error", err)
		failure := revocation.FailureOf(err)
		done, err := e.store.RecordOutcomes(ctx, refs, func(rows []revocation.LockedRevocation) []revocation.Decision {
			return revocation.DecideFailed(rows, failure, e.policy)
		})
		if err == nil {
			e.afterCommit(ctx, done)
			locked = append(locked, done.Locked...)
		}
		return err
	}
	err = batch.Isolate(refs, maxSplits, write, blame, fail)
	return locked, err
}
