package revocation

import (
	"context"
	"log/slog"
	"time"
)

const (
	// pieceItems and pieceBytes bound what an upload commits at once. It holds twice that in memory: the next piece
	// is filled while one is written.
	pieceItems = 5000
	pieceBytes = 512 << 10
	// uploadLease is how long an upload counts as under way after its last sign of life, which it gives every
	// uploadBeat. It is longer than a beat and the writing of a piece together: see tx.go of the stores.
	uploadLease = 14 * time.Second
	uploadBeat  = 3 * time.Second
	// uploadLastCall is how long an upload may go on when the service stops.
	uploadLastCall = 10 * time.Second
	// dropTimeout bounds the giving up of an upload; the housekeeper finds what is left.
	dropTimeout = 2 * time.Second
)

// Intake is the upload of one job. Nothing of it can be seen or is carried out until Seal. It belongs to one
// goroutine.
type Intake struct {
	service *Service
	job     NewJob
	bound   *Binding
	seal    Seal
	keeper  *keeper
	// piece is being filled while the other is being written: the next rows are read meanwhile.
	piece   []Item
	bytes   int // of piece
	other   []Item
	writing chan error // the outcome of the piece that is being written; nil when none is
	sealed  bool
}

// BeginJob begins an upload: what it holds in memory does not grow with it. job's ID is set here. The upload must use
// the context that BeginJob returns: it ends, with an error of this package or of permit as its cause, when the upload
// was given up, the service stops, or permit returns an error. The caller must call Abandon at last.
//
// permit is asked every few seconds, and before the job is made, whether the upload may go on.
//
// CodeUploadInProgress when an upload with the same idempotency key still runs. With job.RetryOf, the errors of
// JobStore.BeginJob.
func (s *Service) BeginJob(ctx context.Context, job NewJob, permit func() error) (*Intake, context.Context, error) {
	job.ID = JobID(s.newID())
	bound, err := s.store.BeginJob(ctx, job, uploadLease)
	if err != nil {
		return nil, nil, err
	}
	in := &Intake{service: s, job: job, bound: bound, seal: Seal{NewJob: job}}
	in.keeper, ctx = s.keep(ctx, job, bound == nil, permit)
	return in, ctx, nil
}

// Bound tells that the idempotency key was used before: read the content for its fingerprint alone, and ask
// Replay.
func (in *Intake) Bound() bool { return in.bound != nil }

// BoundItems returns how many items the job has that the idempotency key is bound to.
func (in *Intake) BoundItems(ctx context.Context) (int, error) {
	job, err := in.service.store.Job(ctx, in.job.Account, in.bound.Target)
	return job.Total, whyEnded(ctx, err)
}

// Replay gives the job that the idempotency key is bound to; CodeIdempotencyMismatch when the content is
// another.
func (in *Intake) Replay(ctx context.Context, fingerprint Fingerprint) (Job, error) {
	if err := in.end(ctx); err != nil {
		return Job{}, err
	}
	return in.service.replay(ctx, in.job, in.bound, fingerprint)
}

func (s *Service) replay(ctx context.Context, job NewJob, bound *Binding, fingerprint Fingerprint) (Job, error) {
	if bound.Fingerprint != fingerprint {
		return Job{}, errMismatch
	}
	return s.store.Job(ctx, job.Account, bound.Target)
}

// Add takes the next item and gives it the next row. Its values have been validated as a Submission's. When Add
// returns full, the caller must call Flush before the next Add.
func (in *Intake) Add(item Item) (full bool, err error) {
	if in.seal.Total >= MaxJobItems {
		return false, &Error{Code: CodeTooManyItems}
	}
	in.seal.Total++
	item.Row = in.seal.Total
	if item.Invalid != "" {
		in.seal.Invalid++
		item.ReportID = 0
	}
	in.piece = append(in.piece, item)
	in.bytes += item.size()
	return len(in.piece) >= pieceItems || in.bytes >= pieceBytes, nil
}

// Len is how many items there are by now.
func (in *Intake) Len() int { return in.seal.Total }

// Flush begins to write what was added, when what was flushed before is written.
func (in *Intake) Flush(ctx context.Context) error {
	if err := in.settle(ctx); err != nil || len(in.piece) == 0 {
		return err
	}
	piece, writing := in.piece, make(chan error, 1)
	in.piece, in.bytes, in.other, in.writing = in.other, 0, piece, writing
	in.keeper.writes.Store(true)
	go func() {
		err := in.service.store.AddItems(ctx, in.job, piece, uploadLease)
		in.keeper.writes.Store(false)
		writing <- err
	}()
	return nil
}

// settle waits for the piece that is being written.
func (in *Intake) settle(ctx context.Context) error {
	if in.writing == nil {
		return nil
	}
	err := <-in.writing
	in.writing = nil
	clear(in.other) // its texts must not stay in memory until the next piece is full
	in.other = in.other[:0]
	return whyEnded(ctx, err)
}

// JobValues are what a caller says of a job as a whole, and what was recognised of its file.
type JobValues struct {
	// Label is nil for none.
	Label *string
	// Notify is the wish for an email of all items that have none of their own.
	Notify bool
	// File is nil for a job that came in another form.
	File *File
}

// Seal makes the job durable as a whole, and visible; it is carried out from now on. The fingerprint is what the
// idempotency key is bound to. CodeInvalid without any item, CodeJobEnded when the upload was given up, and the error
// of permit.
func (in *Intake) Seal(ctx context.Context, v JobValues, fingerprint Fingerprint) (Job, error) {
	if in.seal.Total == 0 {
		return Job{}, &Error{Code: CodeInvalid, Detail: "The job has no items."}
	}
	if err := in.Flush(ctx); err != nil {
		return Job{}, err
	}
	if err := in.settle(ctx); err != nil {
		return Job{}, err
	}
	if err := in.end(ctx); err != nil {
		return Job{}, err
	}
	in.seal.Label, in.seal.Notify, in.seal.File, in.seal.Fingerprint = v.Label, v.Notify, v.File, fingerprint
	job, err := in.service.store.SealJob(ctx, in.seal)
	if err != nil {
		return Job{}, whyEnded(ctx, err)
	}
	in.sealed = true
	in.service.log.LogAttrs(ctx, slog.LevelInfo, "job accepted", slog.String("account_id", job.Account),
		slog.String("job_id", job.ID.String()), slog.Int("count", job.Total))
	in.service.observer.JobAccepted(job)
	in.service.takeUp(ctx, job.Account)
	return job, nil
}

// end ends the keeper's work before the last step, and asks permit for that.
func (in *Intake) end(ctx context.Context) error {
	in.keeper.stop()
	if err := whyEnded(ctx, ctx.Err()); err != nil {
		return err
	}
	return in.keeper.permit()
}

// Abandon gives the upload up, unless it was sealed: nothing of it stays. It can be deferred.
func (in *Intake) Abandon(ctx context.Context) {
	in.keeper.close()
	if in.sealed || in.bound != nil {
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

// demand tells that there is something to do for an account, and what that follows from.
type demand struct{ account, origin string }

// takeUp has the account's jobs carried out without waiting for the dispatcher, if the queue can take it.
func (s *Service) takeUp(ctx context.Context, account string) {
	select {
	case s.turns <- demand{account, Origin(ctx)}:
	default:
	}
}

// enqueueTurns sends the turns of accounts that have got a job, until ctx ends.
func (s *Service) enqueueTurns(ctx context.Context) {
	for {
		select {
		case d := <-s.turns:
			if err := s.queue.EnqueueTurns(WithOrigin(ctx, d.origin), TurnJobs, []string{d.account}); err != nil {
				s.log.Warn("turns not enqueued: left to the dispatcher", "account_id", d.account, "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}
