package submission

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"rescind/internal/revocation"
)

// keeper renews the lease of one upload, and cancels the upload's context when the upload must end.
type keeper struct {
	service *Service
	job     revocation.NewJob
	permit  func() error
	// leased is false for an upload without a lease, whose idempotency key is bound already.
	leased bool
	// writes reports that a batch of items is being written, which renews the lease too.
	writes atomic.Bool

	cancel context.CancelCauseFunc // of the upload's context
	stop   func()                  // stops the keeper and waits for its end; it does not cancel the upload's context
}

var errStopping = &revocation.Error{Code: revocation.CodeUnavailable, Err: errStopped}

// keep starts the keeper of an upload. It returns the keeper and the context that the upload must use. The caller must call
// close.
func (s *Service) keep(ctx context.Context, job revocation.NewJob, leased bool, permit func() error) (*keeper, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	k := &keeper{service: s, job: job, permit: permit, leased: leased, cancel: cancel}
	keeping, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { k.run(keeping) })
	k.stop = func() {
		stop()
		running.Wait()
	}
	return k, ctx
}

// close stops the keeper and cancels the upload's context.
func (k *keeper) close() {
	k.stop()
	k.cancel(nil)
}

func (k *keeper) run(ctx context.Context) {
	tick := time.NewTicker(uploadHeartbeat)
	defer tick.Stop()
	renewed := time.Now()
	draining := k.service.drained
	var timeUp <-chan time.Time
	for {
		select {
		case <-tick.C:
			if err := k.heartbeat(ctx, &renewed); err != nil {
				k.cancel(err)
				return
			}
		case <-draining:
			draining = nil
			timeUp = time.After(uploadDrainTimeout)
		case <-timeUp:
			k.cancel(errStopping)
			return
		case <-ctx.Done():
			return
		}
	}
}

// heartbeat renews the lease. It returns an error if the upload must end. Other errors are ignored: the next heartbeat
// tries again, as long as the lease lasts.
func (k *keeper) heartbeat(ctx context.Context, renewed *time.Time) error {
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
		return revocation.ErrUploadDropped
	}
	return nil
}

// whyEnded returns the cause for which the upload's context was cancelled, if err is not nil and there is such a cause:
// operations that fail after that fail because of it. Otherwise it returns err.
func whyEnded(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return err
}
