package worker

import (
	"context"
	"log/slog"
	"time"

	"rescind/internal/revocation"
)

// Janitor deletes what is no longer kept: uploads that were interrupted, and jobs, revocations, idempotency keys and events
// whose retention has ended. It forgets the candidates of old invites, and makes invites findable that an earlier version
// wrote. Any number of Janitors can run at the same time.
type Janitor struct {
	store     revocation.JanitorStore
	retention time.Duration
	inviteAge time.Duration
	audit     time.Duration
	log       *slog.Logger
}

// JanitorOptions are the dependencies of a Janitor.
type JanitorOptions struct {
	Store revocation.JanitorStore
	// Retention is how long jobs and revocations are kept after their end; 0 means forever.
	Retention time.Duration
	// InviteAge is how long after an invite was sent its candidate is forgotten; 0 means never.
	InviteAge time.Duration
	// Audit is how long events are kept; 0 means forever.
	Audit time.Duration
	Log   *slog.Logger
}

const (
	// uploadInterval is the time between two searches for interrupted uploads, and expireInterval the time between two
	// searches for what is no longer kept.
	uploadInterval = 10 * time.Second
	expireInterval = 10 * time.Minute
	// stepRows bounds one step, so that it does not hold locks for long.
	stepRows = 1000
	// stepPause is the pause between two steps, in which the database serves others.
	stepPause = 20 * time.Millisecond
)

// NewJanitor returns a Janitor.
func NewJanitor(o JanitorOptions) *Janitor {
	return &Janitor{store: o.Store, retention: o.Retention, inviteAge: o.InviteAge, audit: o.Audit, log: o.Log}
}

// Run works until ctx ends. Errors are logged, and the work is retried at the next interval.
func (j *Janitor) Run(ctx context.Context) {
	tick := time.NewTicker(uploadInterval)
	defer tick.Stop()
	var expired time.Time
	for {
		if _, err := j.store.DropSilentUploads(ctx); err != nil && ctx.Err() == nil {
			j.log.Error("drop interrupted uploads: retried later", "error", err)
		}
		j.step(ctx, "delete dropped jobs", func(ctx context.Context) (int, error) {
			return j.store.ClearDropped(ctx, stepRows)
		})
		j.step(ctx, "make invites findable", func(ctx context.Context) (int, error) {
			return j.store.FoldInvites(ctx, stepRows)
		})
		if time.Since(expired) >= expireInterval {
			expired = time.Now()
			j.deleteOld(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// deleteOld deletes what is older than it is kept.
func (j *Janitor) deleteOld(ctx context.Context) {
	if j.retention > 0 {
		j.step(ctx, "delete what is old", func(ctx context.Context) (int, error) {
			return j.store.Expire(ctx, j.retention, stepRows)
		})
	}
	if j.inviteAge > 0 {
		j.step(ctx, "forget candidates", func(ctx context.Context) (int, error) {
			return j.store.ForgetOld(ctx, j.inviteAge, stepRows)
		})
	}
	if j.audit > 0 {
		j.step(ctx, "delete old events", func(ctx context.Context) (int, error) {
			return j.store.ExpireEvents(ctx, j.audit, stepRows)
		})
	}
}

// step calls doSome until nothing is left, and logs the total under name.
func (j *Janitor) step(ctx context.Context, name string, doSome func(context.Context) (int, error)) {
	total := 0
	for ctx.Err() == nil {
		n, err := doSome(ctx)
		if err != nil {
			if ctx.Err() == nil {
				j.log.Error(name+": retried later", "error", err)
			}
			return
		}
		if n == 0 {
			break
		}
		total += n
		select {
		case <-time.After(stepPause):
		case <-ctx.Done():
		}
	}
	if total > 0 {
		j.log.Info(name, "count", total)
	}
}
