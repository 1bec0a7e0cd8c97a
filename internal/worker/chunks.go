package worker

import (
	"cmp"
	"context"
	"log/slog"

	"rescind/internal/revocation"
)

// RunAccountTask carries out the work of the account's jobs until no work is due, other account tasks wait, or ctx ends. It
// alternates between chunks, cancelled items, items whose retry is due and previews, so that none of them delays the others. An
// account with an upstream gets an UpstreamTask instead. The error is a failure that could not be recorded; the dispatcher
// then enqueues another account task.
func (e *Executor) RunAccountTask(ctx context.Context, account string) error {
	upstream, err := e.store.Upstream(ctx, account)
	if err != nil {
		return err
	}
	if upstream != nil {
		e.enqueueAccountTasks(ctx, revocation.UpstreamTask, []string{account})
		return nil
	}
	for ctx.Err() == nil {
		found, err := e.step(ctx, account)
		if err != nil || !found || e.othersWait(ctx) {
			return err
		}
	}
	return nil
}

// step carries out one chunk and, if there is more to do, cancelled and due items and a part of a preview. It reports
// whether it found any work.
func (e *Executor) step(ctx context.Context, account string) (found bool, err error) {
	release := e.singles.acquire()
	found, moreWork, err := e.chunk(ctx, account)
	release()
	if err != nil || !moreWork {
		return found, err
	}
	cancelled, err := e.cancel(ctx, account)
	if err != nil {
		return false, err
	}
	retried, err := e.dueItems(ctx, account)
	if err != nil {
		return false, err
	}
	predicted, err := e.predict(ctx, account)
	return found || cancelled || retried || predicted, err
}

// predict makes a step of a preview. It reports whether it found one to make.
func (e *Executor) predict(ctx context.Context, account string) (found bool, err error) {
	release := e.singles.acquire()
	step, err := e.store.PredictChunk(ctx, account)
	release()
	if err != nil || step.Job.IsZero() || !step.Complete {
		return !step.Job.IsZero(), err
	}
	ctx, cancel := finishing(ctx)
	defer cancel()
	if _, err := e.store.ChangeJob(ctx, account, step.Job, revocation.JobChange{
		Kind: revocation.ChangePredicted, By: revocation.Actor{Type: revocation.ActorService}, PreviewTTL: e.previewTTL,
	}); err != nil {
		return true, err
	}
	e.publish(ctx, []revocation.ID{step.Job})
	return true, nil
}

// dueItems makes another attempt on items that are due. It reports whether it found any.
func (e *Executor) dueItems(ctx context.Context, account string) (found bool, err error) {
	claiming, cancel := finishing(ctx)
	defer cancel()
	due, err := e.store.ClaimDueItems(claiming, account, maxBatch, visibilityTimeouts)
	if err != nil || len(due) == 0 {
		return false, err
	}
	e.observer.BatchCarriedOut(revocation.ClassItems, len(due))
	err = e.attemptAll(ctx, refsOf(due))
	if err != nil && ctx.Err() != nil {
		// No task contains these items, so no other worker would claim them before their visibility timeout.
		releasing, cancel := finishing(ctx)
		defer cancel()
		err = cmp.Or(e.store.Release(releasing, due, 0), err)
	}
	return true, err
}

func refsOf(due []revocation.DueAttempt) []revocation.Ref {
	refs := make([]revocation.Ref, len(due))
	for i, d := range due {
		refs[i] = d.Ref
	}
	return refs
}

// chunk makes the first attempt on a chunk. It reports whether it found one, and whether there may be other work.
// If the attempt fails and a single row may be the cause, all items of the chunk get work items instead.
func (e *Executor) chunk(ctx context.Context, account string) (found, moreWork bool, err error) {
	chunk, err := e.store.CarryOutChunk(ctx, account)
	switch {
	case err == nil && chunk.Job.IsZero():
		return false, true, nil
	case err == nil:
		e.afterChunk(ctx, chunk)
		return true, chunk.MoreWork, nil
	case chunk.Job.IsZero() || ctx.Err() != nil || !revocation.CanIsolate(err):
		return false, true, err
	default:
		e.log.Warn("chunk failed: its items are retried one by one", "account_id", account,
			"job_id", chunk.Job.String(), "row", chunk.First, "error", err)
		return true, true, e.store.SpillChunk(ctx, chunk)
	}
}

// canceller cancels the remaining items of jobs that are being cancelled.
type canceller struct {
	publisher
	store interface {
		revocation.ExecutionStore
		revocation.BulkStore
	}
}

// cancel cancels some items and reports whether it found any. The end of ctx does not interrupt it.
func (c canceller) cancel(ctx context.Context, account string) (found bool, err error) {
	ctx, end := finishing(ctx)
	defer end()
	waiting, err := c.store.ClaimCancelledItems(ctx, account, maxBatch, visibilityTimeouts)
	if err != nil {
		return false, err
	}
	if len(waiting) > 0 {
		done, err := c.store.RecordOutcomes(ctx, refsOf(waiting), decideCancelled)
		if err != nil {
			return false, err
		}
		c.afterCommit(ctx, done)
	}
	chunk, err := c.store.CancelChunk(ctx, account)
	if err != nil {
		return false, err
	}
	if !chunk.Job.IsZero() {
		c.afterChunk(ctx, chunk)
	}
	return len(waiting) > 0 || !chunk.Job.IsZero(), nil
}

// decideCancelled makes cancelled items CANCELLED and releases all others.
func decideCancelled(locked []revocation.LockedRevocation) []revocation.Decision {
	decisions := make([]revocation.Decision, len(locked))
	for i, r := range locked {
		d := revocation.Decision{Ref: r.Ref, ReportID: r.ReportID, Job: r.Job, Notify: r.Notify, InDoubt: r.InDoubt}
		if r.Cancelled {
			d.Status, d.Kind = revocation.StatusCancelled, revocation.Final
		}
		decisions[i] = d
	}
	return decisions
}

// afterChunk publishes the end of a chunk's job and enqueues its emails. It does not publish the items, because they are too
// many.
func (p publisher) afterChunk(ctx context.Context, chunk revocation.Chunk) {
	ctx, cancel := finishing(ctx)
	defer cancel()
	p.observer.ChunkEnded(chunk)
	p.log.LogAttrs(ctx, slog.LevelInfo, "chunk ended", slog.String("account_id", chunk.Account),
		slog.String("job_id", chunk.Job.String()), slog.Int("row", chunk.First),
		slog.Int("count", chunk.Done.Counts.Sum()), slog.Int("spilled", chunk.Spilled))
	if chunk.Ended {
		p.publish(ctx, []revocation.ID{chunk.Job})
	}
	if chunk.Done.Mails > 0 {
		p.enqueueAccountTasks(ctx, revocation.MailTask, []string{chunk.Account})
	}
}
