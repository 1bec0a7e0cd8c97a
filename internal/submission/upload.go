package submission

import (
	"context"
	"log/slog"
	"time"

	"rescind/internal/revocation"
)

const (
	// pieceItems and pieceBytes bound what an upload commits at once. It holds twice that in memory: the next piece
	// is filled while one is written.
	pieceItems = 5000
	pieceBytes = 512 << 10
	// uploadLease is how long an upload counts as under way after its last sign of life, which it gives every
	// uploadHeartbeat. It is longer than a beat and the writing of a piece together: see tx.go of the stores.
	uploadLease     = 14 * time.Second
	uploadHeartbeat = 3 * time.Second
	// uploadLastCall is how long an upload may go on when the service stops.
	uploadLastCall = 10 * time.Second
	// dropTimeout bounds the giving up of an upload; the housekeeper finds what is left.
	dropTimeout = 2 * time.Second
)

// JobUpload is the upload of one job. Nothing of it can be seen or is carried out until Seal. It belongs to one
// goroutine.
type JobUpload struct {
	service *Service
	job     revocation.NewJob
	bound   *revocation.Binding
	final   revocation.FinalJob
	keeper  *keeper
	// batch is being filled while the other is being written: the next rows are read meanwhile.
	batch     []revocation.Item
	bytes     int // of piece
	spare     []revocation.Item
	writing   chan error // the outcome of the piece that is being written; nil when none is
	finalized bool
}

// BeginJob begins an upload: what it holds in memory does not grow with it. job's ID is set here. The upload must use
// the context that BeginJob returns: it ends, with an error of this package or of permit as its cause, when the upload
// was given up, the service stops, or permit returns an error. The caller must call Abandon at last.
//
// permit is asked every few seconds, and before the job is made, whether the upload may go on.
//
// CodeUploadInProgress when an upload with the same idempotency key still runs. With job.RetryOf, the errors of
// JobStore.BeginJob.
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

// Bound tells that the idempotency key was used before: read the content for its fingerprint alone, and ask
// Replay.
func (in *JobUpload) Bound() bool { return in.bound != nil }

// BoundItems returns how many items the job has that the idempotency key is bound to.
func (in *JobUpload) BoundItems(ctx context.Context) (int, error) {
	job, err := in.service.store.Job(ctx, in.job.Account, in.bound.Target)
	return job.Total, whyEnded(ctx, err)
}

// Replay gives the job that the idempotency key is bound to; CodeIdempotencyMismatch when the content is
// another.
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

// Add takes the next item and gives it the next row. Its values have been validated as a Submission's. When Add
// returns full, the caller must call Flush before the next Add.
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
	return len(in.batch) >= pieceItems || in.bytes >= pieceBytes, nil
}

// Len is how many items there are by now.
func (in *JobUpload) Len() int { return in.final.Total }

// Flush begins to write what was added, when what was flushed before is written.
func (in *JobUpload) Flush(ctx context.Context) error {
	if err := in.settle(ctx); err != nil || len(in.batch) == 0 {
		return err
	}
	piece, writing := in.batch, make(chan error, 1)
	in.batch, in.bytes, in.spare, in.writing = in.spare, 0, piece, writing
	in.keeper.writes.Store(true)
	go func() {
		err := in.service.store.AddItems(ctx, in.job, piece, uploadLease)
		in.keeper.writes.Store(false)
		writing <- err
	}()
	return nil
}

// settle waits for the piece that is being written.
func (in *JobUpload) settle(ctx context.Context) error {
	if in.writing == nil {
		return nil
	}
	err := <-in.writing
	in.writing = nil
	clear(in.spare) // its texts must not stay in memory until the next piece is full
	in.spare = in.spare[:0]
	return whyEnded(ctx, err)
}

// JobValues are what a caller says of a job as a whole, and what was recognised of its file.
type JobValues struct {
	// Label is nil for none.
	Label *string
	// Notify is the wish for an email of all items that have none of their own.
	Notify bool
	// File is nil for a job that came in another form.
	File *revocation.File
}

// Finalize makes the job durable as a whole, and visible; it is carried out from now on. The fingerprint is what the
// idempotency key is bound to. CodeInvalid without any item, CodeJobEnded when the upload was given up, and the error
// of permit.
func (in *JobUpload) Finalize(ctx context.Context, v JobValues, fingerprint revocation.Fingerprint) (revocation.Job, error) {
	if in.final.Total == 0 {
		return revocation.Job{}, &revocation.Error{Code: revocation.CodeInvalid, Detail: "The job has no items."}
	}
	if err := in.Flush(ctx); err != nil {
		return revocation.Job{}, err
	}
	if err := in.settle(ctx); err != nil {
		return revocation.Job{}, err
	}
	if err := in.end(ctx); err != nil {
		return revocation.Job{}, err
	}
	in.final.Label, in.final.Notify, in.final.File, in.final.Fingerprint = v.Label, v.Notify, v.File, fingerprint
	job, err := in.service.store.FinalizeJob(ctx, in.final)
	if err != nil {
		return revocation.Job{}, whyEnded(ctx, err)
	}
	in.finalized = true
	in.service.log.LogAttrs(ctx, slog.LevelInfo, "job accepted", slog.String("account_id", job.Account),
		slog.String("job_id", job.ID.String()), slog.Int("count", job.Total))
	in.service.observer.JobAccepted(job)
	in.service.startJobs(ctx, job.Account)
	return job, nil
}

// end ends the keeper's work before the last step, and asks permit for that.
func (in *JobUpload) end(ctx context.Context) error {
	in.keeper.stop()
	if err := whyEnded(ctx, ctx.Err()); err != nil {
		return err
	}
	return in.keeper.permit()
}

// Abandon gives the upload up, unless it was sealed: nothing of it stays. It can be deferred.
func (in *JobUpload) Abandon(ctx context.Context) {
	in.keeper.close()
	if in.finalized || in.bound != nil {
		return
	}
	_ = in.settle(ctx) // whatever became of it goes as well
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	if err := in.service.store.DropJob(ctx, in.job.Account, in.job.ID); err != nil {
		in.service.log.Warn("a broken upload is not given up yet: it will be when its time is over",
			"account_id", in.job.Account, "job_id", in.job.ID.String(), "error", err)
	}
}

// accountWork tells that there is something to do for an account, and what that follows from.
type accountWork struct{ account, traceParent string }

// startJobs has the account's jobs carried out without waiting for the dispatcher, if the queue can take it.
func (s *Service) startJobs(ctx context.Context, account string) {
	select {
	case s.accountWork <- accountWork{account, revocation.TraceParent(ctx)}:
	default:
	}
}

// enqueueTurns sends the turns of accounts that have got a job, until ctx ends.
func (s *Service) enqueueTurns(ctx context.Context) {
	for {
		select {
		case d := <-s.accountWork:
			if err := s.queue.EnqueueAccountTasks(revocation.WithTraceParent(ctx, d.traceParent), revocation.JobsTask, []string{d.account}); err != nil {
				s.log.Warn("turns not enqueued: left to the dispatcher", "account_id", d.account, "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}
