package worker

import (
	"cmp"
	"context"
	"log/slog"

	"rescind/internal/revocation"
)

// RunAccountTask carries out what is left to the account's turns, mostly its jobs' items, until there is nothing to do
// now, turns of others wait, or ctx ends: a chunk, and then, if there is such, what is cancelled and what failed before
// and is due, so that none holds up the others. The error that it returns is a failure that could not be recorded; the
// dispatcher gives the account another turn.
func (e *Executor) RunAccountTask(ctx context.Context, account string) error {
	upstream, err := e.store.Upstream(ctx, account)
	if err != nil {
		return err
	}
	if upstream != nil {
		e.enqueueTurns(ctx, revocation.UpstreamTask, []string{account})
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

// step tells whether it found anything to do.
func (e *Executor) step(ctx context.Context, account string) (found bool, err error) {
	end := e.singles.acquire()
	found, besides, err := e.chunk(ctx, account)
	end()
	if err != nil || !besides {
		return found, err
	}
	cancelled, err := e.cancel(ctx, account)
	if err != nil {
		return false, err
	}
	again, err := e.dueItems(ctx, account)
	return found || cancelled || again, err
}

// dueItems makes another attempt on items that are due.
func (e *Executor) dueItems(ctx context.Context, account string) (found bool, err error) {
	claiming, cancel := finishing(ctx)
	defer cancel()
	due, err := e.store.ClaimDueItems(claiming, account, maxBatch, visibilityTimeouts)
	if err != nil || len(due) == 0 {
		return false, err
	}
	e.observer.BatchCarriedOut(revocation.ClassItems, len(due))
	err = e.carryOut(ctx, refsOf(due))
	if err != nil && ctx.Err() != nil {
		// No task has these items, so that nobody else would take them up before their grace has passed.
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

// chunk makes the first attempt on a chunk, and tells whether there may be something to do besides. When the attempt
// fails for a reason that one of its rows may be to blame for, they go on one by one.
func (e *Executor) chunk(ctx context.Context, account string) (found, besides bool, err error) {
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
		e.log.Warn("a chunk failed: its items go on by themselves", "account_id", account,
			"job_id", chunk.Job.String(), "row", chunk.First, "error", err)
		return true, true, e.store.SpillChunk(ctx, chunk)
	}
}

// canceller ends what is not carried out yet of jobs that are being cancelled.
type canceller struct {
	publisher
	store interface {
		revocation.ExecutionStore
		revocation.BulkStore
	}
}

// cancel ends some items, if there are any. The end of ctx does not break it off.
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

// decideCancelled ends items that are cancelled, and gives back any other.
func decideCancelled(held []revocation.LockedRevocation) []revocation.Decision {
	decisions := make([]revocation.Decision, len(held))
	for i, h := range held {
		d := revocation.Decision{Ref: h.Ref, ReportID: h.ReportID, Job: h.Job, Notify: h.Notify, InDoubt: h.InDoubt}
		if h.Cancelled {
			d.Status, d.Kind = revocation.StatusCancelled, revocation.Final
		}
		decisions[i] = d
	}
	return decisions
}

// afterChunk passes on what the first pass of a chunk has done. Its items are too many to be told one by one.
func (m publisher) afterChunk(ctx context.Context, chunk revocation.Chunk) {
	ctx, cancel := finishing(ctx)
	defer cancel()
	m.observer.ChunkEnded(chunk)
	m.log.LogAttrs(ctx, slog.LevelInfo, "chunk ended", slog.String("account_id", chunk.Account),
		slog.String("job_id", chunk.Job.String()), slog.Int("row", chunk.First),
		slog.Int("count", chunk.Done.Counts.Sum()), slog.Int("spilled", chunk.Spilled))
	if chunk.Ended {
		m.publish(ctx, []revocation.ID{chunk.Job})
	}
	if chunk.Done.Mails > 0 {
		m.enqueueTurns(ctx, revocation.MailTask, []string{chunk.Account})
	}
}
