package worker

import (
	"context"
	"log/slog"
	"time"

	"rescind/internal/revocation"
)

// Janitor deletes what is not kept any more: uploads that broke off, and what ended long ago. Any number of
// them work side by side.
type Janitor struct {
	store     revocation.JanitorStore
	retention time.Duration
	log       *slog.Logger
}

// JanitorOptions are a Janitor's parts.
type JanitorOptions struct {
	Store revocation.JanitorStore
	// Retention is how long what has ended is kept; 0: for good.
	Retention time.Duration
	Log       *slog.Logger
}

const (
	// sweepInterval is how often broken uploads are looked for, expireInterval how often what is old.
	sweepInterval  = 10 * time.Second
	expireInterval = 10 * time.Minute
	// deletions bounds one deletion: it holds no lock for long.
	deletions = 1000
	// deletionPause leaves the database to others between two deletions.
	deletionPause = 20 * time.Millisecond
)

// NewJanitor makes a Janitor.
func NewJanitor(o JanitorOptions) *Janitor {
	return &Janitor{store: o.Store, retention: o.Retention, log: o.Log}
}

// Run deletes until ctx ends. What fails is logged and tried again at the next look.
func (h *Janitor) Run(ctx context.Context) {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	var expired time.Time
	for {
		if _, err := h.store.DropSilentUploads(ctx); err != nil && ctx.Err() == nil {
			h.log.Error("give up silent uploads: tried again at the next look", "error", err)
		}
		h.step(ctx, "delete dropped jobs", func(ctx context.Context) (int, error) {
			return h.store.ClearDropped(ctx, deletions)
		})
		if h.retention > 0 && time.Since(expired) >= expireInterval {
			expired = time.Now()
			h.step(ctx, "delete what is old", func(ctx context.Context) (int, error) {
				return h.store.Expire(ctx, h.retention, deletions)
			})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// step deletes until nothing is left.
func (h *Janitor) step(ctx context.Context, name string, some func(context.Context) (int, error)) {
	total := 0
	for ctx.Err() == nil {
		n, err := some(ctx)
		if err != nil {
			if ctx.Err() == nil {
				h.log.Error(name+": tried again at the next look", "error", err)
			}
			return
		}
		if n == 0 {
			break
		}
		total += n
		select {
		case <-time.After(deletionPause):
		case <-ctx.Done():
		}
	}
	if total > 0 {
		h.log.Info(name, "count", total)
	}
}
