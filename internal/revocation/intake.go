package revocation

import (
	"context"
	"log/slog"
	"time"
)

const (
	// pieceSize is how many items an upload commits at once.
	pieceSize = 5000
	// uploadLease is how long an upload may be silent before it is given up, and uploadBeat how often it gives
	// a sign of life.
	uploadLease = time.Minute
	uploadBeat  = 10 * time.Second
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
	// piece is being filled while the other is being written: the next rows are read meanwhile.
	piece   []Item
	other   []Item
	writing chan error // the outcome of the piece that is being written; nil when none is
	written time.Time  // when the last piece was full
	sealed  bool
}

// BeginJob begins an upload: what it holds in memory does not grow with it. job's ID is set here.
// CodeUploadInProgress when an upload with the same idempotency key still runs.
func (s *Service) BeginJob(ctx context.Context, job NewJob) (*Intake, error) {
	job.ID = JobID(s.newID())
	bound, err := s.store.BeginJob(ctx, job, uploadLease)
	if err != nil {
		return nil, err
	}
	return &Intake{service: s, job: job, bound: bound, seal: Seal{NewJob: job}, written: time.Now()}, nil
}

// Bound tells that the idempotency key was used before: read the content for its fingerprint alone, and ask
// Replay.
func (in *Intake) Bound() bool { return in.bound != nil }

// Replay gives the job that the idempotency key is bound to; CodeIdempotencyMismatch when the content is
// another.
func (in *Intake) Replay(ctx context.Context, fingerprint Fingerprint) (Job, error) {
	if in.bound.Fingerprint != fingerprint {
		return Job{}, errMismatch
	}
	return in.service.store.Job(ctx, in.job.Account, in.bound.Target)
}

// Add takes the next item and gives it the next row. Its values have been validated as a Submission's.
func (in *Intake) Add(ctx context.Context, item Item) error {
	if in.seal.Total >= MaxJobItems {
		return &Error{Code: CodeTooManyItems}
	}
	in.seal.Total++
	item.Row = in.seal.Total
	if item.Invalid != "" {
		in.seal.Invalid++
		item.ReportID = 0
	}
	in.piece = append(in.piece, item)
	if len(in.piece) < pieceSize && time.Since(in.written) < uploadBeat {
		return nil
	}
	return in.write(ctx)
}

// Len is how many items there are by now.
func (in *Intake) Len() int { return in.seal.Total }

// write begins to write the piece, when the one before is written.
func (in *Intake) write(ctx context.Context) error {
	if err := in.settle(); err != nil {
		return err
	}
	piece, writing := in.piece, make(chan error, 1)
	in.piece, in.other, in.writing, in.written = in.other[:0], piece, writing, time.Now()
	go func() { writing <- in.service.store.AddItems(ctx, in.job, piece, uploadLease) }()
	return nil
}

// settle waits for the piece that is being written.
func (in *Intake) settle() error {
	if in.writing == nil {
		return nil
	}
	err := <-in.writing
	in.writing = nil
	return err
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
// idempotency key is bound to. CodeInvalid without any item.
func (in *Intake) Seal(ctx context.Context, v JobValues, fingerprint Fingerprint) (Job, error) {
	if in.seal.Total == 0 {
		return Job{}, &Error{Code: CodeInvalid, Detail: "The job has no items."}
	}
	if len(in.piece) > 0 {
		if err := in.write(ctx); err != nil {
			return Job{}, err
		}
	}
	if err := in.settle(); err != nil {
		return Job{}, err
	}
	in.seal.Label, in.seal.Notify, in.seal.File, in.seal.Fingerprint = v.Label, v.Notify, v.File, fingerprint
	job, err := in.service.store.SealJob(ctx, in.seal)
	if err != nil {
		return Job{}, err
	}
	in.sealed = true
	in.service.log.LogAttrs(ctx, slog.LevelInfo, "job accepted", slog.String("account_id", job.Account),
		slog.String("job_id", job.ID.String()), slog.Int("count", job.Total))
	in.service.observer.JobAccepted(job)
	in.service.takeUp(ctx, job.Account)
	return job, nil
}

// Abandon gives the upload up, unless it was sealed: nothing of it stays. It can be deferred.
func (in *Intake) Abandon(ctx context.Context) {
	if in.sealed || in.bound != nil {
		return
	}
	_ = in.settle() // whatever became of it goes as well
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
