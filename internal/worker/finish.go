package worker

import (
	"context"
	"time"
)

// finishTimeout bounds each step that continues after its context has ended.
const finishTimeout = 5 * time.Second

// finishing returns a copy of ctx that does not end with ctx, but after finishTimeout. It is for steps that must not be
// interrupted: a claim with what follows from it, and the release of a claim. Otherwise rows that a stopped worker has
// claimed would stay claimed until their visibility timeout or lease has ended. The caller must call cancel.
func finishing(ctx context.Context) (finishing context.Context, cancel context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
}
