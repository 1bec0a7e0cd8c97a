package submission

import (
	"context"
	"time"

	"rescind/internal/revocation"
)

// publishTimeout bounds the announcement of a cancelled revocation to the other processes.
const publishTimeout = 500 * time.Millisecond

// Cancel cancels a single revocation, for everyone who submitted it, and returns it. It waits for a transaction that is
// carrying it out. The errors are those of revocation.SingleStore.
func (s *Service) Cancel(ctx context.Context, account string, id revocation.ID, by revocation.Actor) (revocation.Revocation, error) {
	r, err := unlocked(ctx, func() (revocation.Revocation, error) { return s.store.CancelSingle(ctx, account, id, by) })
	if err != nil {
		return r, err
	}
	s.Wake([]revocation.ID{id})
	if s.outcomes != nil {
		publishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
		defer cancel()
		_ = s.outcomes.Publish(publishing, []revocation.ID{id}) // a lost announcement only delays who waits
	}
	return r, nil
}

// Start makes a single revocation due that waits for its not_before or a hold, and returns it. The errors are those of
// revocation.SingleStore.
func (s *Service) Start(ctx context.Context, account string, id revocation.ID) (revocation.Revocation, error) {
	return unlocked(ctx, func() (revocation.Revocation, error) { return s.store.StartSingle(ctx, account, id) })
}

// unlocked repeats do while a row is locked, at most for flushTimeout.
func unlocked(ctx context.Context, do func() (revocation.Revocation, error)) (revocation.Revocation, error) {
	deadline := time.Now().Add(flushTimeout)
	for {
		r, err := do()
		if err == nil || revocation.ErrorCode(err) != revocation.CodeLockTimeout || time.Now().After(deadline) {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, err
		case <-time.After(lockPause):
		}
	}
}
