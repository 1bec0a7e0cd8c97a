package submission

import (
	"context"
	"log/slog"
	"time"

	"rescind/internal/revocation"
)

const (
	// batchItems and batchBytes bound the items that an upload commits at once. An upload holds twice as much in memory:
	// it fills one batch while the other is written.
	batchItems = 5000
	batchBytes = 512 << 10
	// uploadLease is how long an upload counts as under way after its last heartbeat, and uploadHeartbeat the time
	// between two heartbeats. The lease is longer than that time and writing a batch together: see tx.go of the stores.
	uploadLease     = 14 * time.Second
	uploadHeartbeat = 3 * time.Second
	// uploadDrainTimeout is how long an upload may continue when the service drains.
	uploadDrainTimeout = 10 * time.Second
	// dropTimeout bounds dropping an upload. The janitor drops it later if that fails.
	dropTimeout = 2 * time.Second
)

// JobUpload is the upload of one job. Callers see nothing of the job, and workers do not carry it out, until Finalize. A
// JobUpload is not safe for concurrent use.
type JobUpload struct {
	service *Service
	job     revocation.NewJob
	bound   *revocation.Binding
	final   revocation.FinalJob
	keeper  *keeper
	// batch is filled while another batch is written, so that the next rows are read meanwhile.
	batch     []revocation.Item
	bytes     int // the size of batch
	spare     []revocation.Item
	writing   chan error // receives the error of the batch that is being written; nil if no batch is
	finalized bool
}

// BeginJob begins an upload, which uses a bounded amount of memory. It sets job.ID. The upload must use the context that
// BeginJob returns. That context is cancelled when the upload was dropped, the service stops, or permit returns an error; its
// cause is then an error of this package or of permit. The caller must call Abandon in the end.
//
// permit is called every few seconds and by Finalize and Replay. If it returns an error, the upload ends with it.
//
// The error's code is CodeUploadInProgress if an upload with the same idempotency key has not ended. With job.RetryOf,
// BeginJob also returns the errors of JobStore.BeginJob.
func (s *Service) BeginJob(ctx context.Context, job revocation.NewJob, permit func() error) (*JobUpload, context.Context, error) {
	job.ID = revocation.JobID(s.newID())
	bound, err := s.store.BeginJob(ctx, job, uploadLease)
	if err != nil {
		return nil, nil, err
	}
	in := &JobUpload{service: s, job: job, bound: bound, final: revocation.FinalJob{NewJob: job}}
	in.keeper, ctx = s.keep(ctx, job, bound == nil, permit)
	return in, ctx, nil
}

// Bound reports whether the idempotency key was used before. If so, the caller must read the content only for its
// fingerprint, and call Replay.
func (in *JobUpload) Bound() bool { return in.bound != nil }

// BoundItems returns the number of items of the job that the idempotency key is bound to. Bound must be true.
func (in *JobUpload) BoundItems(ctx context.Context) (int, error) {
	job, err := in.service.store.Job(ctx, in.job.Account, in.bound.Target)
	return job.Total, whyEnded(ctx, err)
}

// Replay returns the job that the idempotency key is bound to. The error's code is CodeIdempotencyMismatch if the fingerprint
// differs. Bound must be true.
func (in *JobUpload) Replay(ctx context.Context, fingerprint revocation.Fingerprint) (revocation.Job, error) {
	if err := in.end(ctx); err != nil {
		return revocation.Job{}, err
	}
	return in.service.replay(ctx, in.job, in.bound, fingerprint)
}

func (s *Service) replay(ctx context.Context, job revocation.NewJob, bound *revocation.Binding, fingerprint revocation.Fingerprint) (revocation.Job, error) {
	if bound.Fingerprint != fingerprint {
		return revocation.Job{}, revocation.ErrIdempotencyMismatch
	}
	return s.store.Job(ctx, job.Account, bound.Target)
}

// Add adds an item as the next row. Its values must be validated like those of a Submission. If Add returns full, the caller
// must call Flush before the next Add. The error's code is CodeTooManyItems after revocation.MaxJobItems items.
func (in *JobUpload) Add(item revocation.Item) (full bool, err error) {
	if in.final.Total >= revocation.MaxJobItems {
		return false, &revocation.Error{Code: revocation.CodeTooManyItems}
	}
	in.final.Total++
	item.Row = in.final.Total
	if item.Invalid != "" {
		in.final.Invalid++
		item.ReportID = 0
	}
	in.batch = append(in.batch, item)
	in.bytes += item.Size()
	return len(in.batch) >= batchItems || in.bytes >= batchBytes, nil
}

// Select adds the invites that s selects, all at once, in ascending order of their reports. The job must have no items yet.
// The error is ErrNothingSelected if no invite matches. Its code is CodeTooManyItems if more than limit match, and
// CodeNotSupported if the account's invites are at an upstream.
func (in *JobUpload) Select(ctx context.Context, s revocation.Selection, limit int) error {
	in.keeper.writes.Store(true)
	total, err := in.service.store.SelectItems(ctx, in.job, s, min(limit, revocation.MaxJobItems), uploadLease)
	in.keeper.writes.Store(false)
	in.final.Total = total
	return whyEnded(ctx, err)
}

// Len returns the number of items that were added.
func (in *JobUpload) Len() int { return in.final.Total }

// Flush waits until the previous batch is written, and begins to write the items that were added since. It returns the error
// of the previous batch.
func (in *JobUpload) Flush(ctx context.Context) error {
	if err := in.waitForBatch(ctx); err != nil || len(in.batch) == 0 {
		return err
	}
	batch, writing := in.batch, make(chan error, 1)
	in.batch, in.bytes, in.spare, in.writing = in.spare, 0, batch, writing
	in.keeper.writes.Store(true)
	go func() {
		err := in.service.store.AddItems(ctx, in.job, batch, uploadLease)
		in.keeper.writes.Store(false)
		writing <- err
	}()
	return nil
}

// waitForBatch waits for the batch that is being written and returns its error.
func (in *JobUpload) waitForBatch(ctx context.Context) error {
	if in.writing == nil {
		return nil
	}
	err := <-in.writing
	in.writing = nil
	clear(in.spare) // its strings must not stay in memory until the next batch is full
	in.spare = in.spare[:0]
	return whyEnded(ctx, err)
}

// Finalize makes the whole job durable and visible, and has it carried out unless it has to wait. The idempotency key is
// bound to the fingerprint. The error's code is CodeInvalid if the job has no items, and CodeJobEnded if the upload was
// dropped. Finalize also returns the error of permit.
func (in *JobUpload) Finalize(ctx context.Context, v revocation.JobValues, fingerprint revocation.Fingerprint) (revocation.Job, error) {
	if in.final.Total == 0 {
		return revocation.Job{}, &revocation.Error{Code: revocation.CodeInvalid, Detail: "The job has no items."}
	}
	if err := in.Flush(ctx); err != nil {
		return revocation.Job{}, err
	}
	if err := in.waitForBatch(ctx); err != nil {
		return revocation.Job{}, err
	}
	if err := in.end(ctx); err != nil {
		return revocation.Job{}, err
	}
	in.final.JobValues, in.final.Fingerprint = v, fingerprint
	in.final.PreviewTTL = in.service.previewTTL
	job, err := in.service.store.FinalizeJob(ctx, in.final)
	if err != nil {
		return revocation.Job{}, whyEnded(ctx, err)
	}
	in.finalized = true
	in.service.log.LogAttrs(ctx, slog.LevelInfo, "job accepted", slog.String("account_id", job.Account),
		slog.String("job_id", job.ID.String()), slog.Int("count", job.Total))
	in.service.observer.JobAccepted(job)
	if !job.Idle() {
		in.service.startJobs(ctx, job.Account)
	}
	return job, nil
}

// end stops the keeper before the last step of the upload, and calls permit a last time.
func (in *JobUpload) end(ctx context.Context) error {
	in.keeper.stop()
	if err := whyEnded(ctx, ctx.Err()); err != nil {
		return err
	}
	return in.keeper.permit()
}

// Abandon releases the resources of the upload. Unless Finalize has succeeded or Bound is true, it drops the job and its
// items. It can be deferred.
func (in *JobUpload) Abandon(ctx context.Context) {
	in.keeper.close()
	if in.finalized || in.bound != nil {
		return
	}
	_ = in.waitForBatch(ctx) // the batch is dropped with the job, written or not
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	if err := in.service.store.DropJob(ctx, in.job.Account, in.job.ID); err != nil {
		in.service.log.Warn("interrupted upload not dropped: left to the janitor",
			"account_id", in.job.Account, "job_id", in.job.ID.String(), "error", err)
	}
}

// accountWork is an account that has work, with the trace parent of the request that caused it.
type accountWork struct{ account, traceParent string }

// startJobs enqueues account tasks for the account's jobs, so that they need not wait for the dispatcher. It does nothing if
// too many requests wait for that.
func (s *Service) startJobs(ctx context.Context, account string) {
	select {
	case s.accountWork <- accountWork{account, revocation.TraceParent(ctx)}:
	default:
	}
}

// enqueueAccountTasks sends the account tasks that startJobs has requested, until ctx ends.
func (s *Service) enqueueAccountTasks(ctx context.Context) {
	for {
		select {
		case work := <-s.accountWork:
			if err := s.queue.EnqueueAccountTasks(revocation.WithTraceParent(ctx, work.traceParent), revocation.JobsTask, []string{work.account}); err != nil {
				s.log.Warn("account tasks not enqueued: left to the dispatcher", "account_id", work.account, "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}
