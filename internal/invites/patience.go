package invites

import (
	"context"
	"time"

	"rescind/internal/revocation"
)

const (
	// patience is how long a change of invites is tried again while other transactions lock them. A store waits a second for
	// a lock, and another import or a job can hold it for longer.
	patience = 20 * time.Second
	// lockPause is the time between two tries.
	lockPause = 50 * time.Millisecond
)

// Patiently calls do until it succeeds or fails for another reason than the lock of another transaction, at most for some
// seconds. do must have changed nothing if it fails.
func Patiently(ctx context.Context, do func() error) error {
	for deadline := time.Now().Add(patience); ; {
		err := do()
		switch revocation.ErrorCode(err) {
		case revocation.CodeLockTimeout, revocation.CodeDeadlock, revocation.CodeSerialization:
		default:
			return err
		}
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(lockPause):
		}
	}
}
