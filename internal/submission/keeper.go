package submission

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"rescind/internal/revocation"
)

// keeper keeps the lease of one upload, and ends the upload's context when it must not go on.
type keeper struct {
	service *Service
	job     revocation.NewJob
	permit  func() error
	// leased is false for an upload that has no lease to keep.
	leased bool
	// writes tells that a piece is being written, which renews the lease too.
	writes atomic.Bool

	cancel context.CancelCauseFunc // of the upload's context
	stop   func()                  // returns when the keeper has ended; the context goes on
}

var (
	errLostLease = &revocation.Error{Code: revocation.CodeJobEnded, Detail: "The upload was given up."}
	errStopping  = &revocation.Error{Code: revocation.CodeUnavailable, Err: errStopped}
)

// keep makes the keeper of an upload, and the context that the upload must use. The caller must call close.
func (s *Service) keep(ctx context.Context, job revocation.NewJob, leased bool, permit func() error) (*keeper, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	k := &keeper{service: s, job: job, permit: permit, leased: leased, cancel: cancel}
	keeping, stop := context.WithCancel(ctx)
	var working sync.WaitGroup
	working.Go(func() { k.run(keeping) })
	k.stop = func() {
		stop()
		working.Wait()
	}
	return k, ctx
}

// close stops the keeper and ends the context.
func (k *keeper) close() {
	k.stop()
	k.cancel(nil)
}

func (k *keeper) run(ctx context.Context) {
	beat := time.NewTicker(uploadHeartbeat)
	defer beat.Stop()
	renewed := time.Now()
	draining := k.service.drained
	var lastCall <-chan time.Time
	for {
		select {
		case <-beat.C:
			if err := k.beat(ctx, &renewed); err != nil {
				k.cancel(err)
				return
			}
		case <-draining:
			draining = nil
			lastCall = time.After(uploadLastCall)
		case <-lastCall:
			k.cancel(errStopping)
			return
		case <-ctx.Done():
			return
		}
	}
}

// beat returns an error when the upload must end. What passes is tried again at the next beat, while the lease lasts.
func (k *keeper) beat(ctx context.Context, renewed *time.Time) error {
	if err := k.permit(); err != nil {
		return err
	}
	began := time.Now()
	if !k.leased || k.writes.Load() {
		*renewed = began
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, uploadHeartbeat)
	defer cancel()
	switch err := k.service.store.RenewUpload(bounded, k.job, uploadLease); {
	case err == nil:
		*renewed = began
	case revocation.ErrorCode(err) == revocation.CodeJobEnded, time.Since(*renewed) > uploadLease:
		return errLostLease
	}
	return nil
}

// whyEnded is err, or why the context of an upload ended, which is what everything after that failed for.
func whyEnded(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return err
}
