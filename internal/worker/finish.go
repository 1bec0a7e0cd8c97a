package worker

import (
	"context"
	"time"
)

// finishTimeout bounds each step that goes on after its context has ended.
const finishTimeout = 5 * time.Second

// finishing returns a context that outlives the end of ctx by at most finishTimeout. It is for the steps that must not
// be broken off: a claim and what follows from it, and giving back what was claimed. Without it, rows that a stopped
// worker has claimed stay claimed until their grace or lease has passed. The caller must call cancel.
func finishing(ctx context.Context) (finishing context.Context, cancel context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
}
