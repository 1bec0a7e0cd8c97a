package worker

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"rescind/internal/revocation"
)

// UpstreamRunner revokes the invites of accounts at their upstreams. An account has one session at a time, so that its limits
// hold for all workers together.
type UpstreamRunner struct {
	canceller
	store    UpstreamRunnerStore
	platform revocation.UpstreamClient
	open     func(ctx context.Context, upstream revocation.Upstream) (revocation.Secret, error)
	policy   revocation.RetryPolicy
	// stopping reports whether a session should end early.
	stopping func(context.Context) bool
}

// UpstreamRunnerStore contains the methods of a store that an UpstreamRunner uses.
type UpstreamRunnerStore interface {
	revocation.ExecutionStore
	revocation.BulkStore
	revocation.CallStore
	revocation.JobStore
}

// UpstreamRunnerOptions are the dependencies of an UpstreamRunner. All are required but Observer.
type UpstreamRunnerOptions struct {
	Store    UpstreamRunnerStore
	Platform revocation.UpstreamClient
	// Open decrypts an account's key.
	Open     func(ctx context.Context, upstream revocation.Upstream) (revocation.Secret, error)
	Queue    revocation.Queue
	Outcomes revocation.Outcomes
	Policy   revocation.RetryPolicy
	// Stopping reports whether no more work should begin, because the worker stops, other account tasks wait, or the
	// task has run for long enough.
	Stopping func(context.Context) bool
	Log      *slog.Logger
	Observer Observer
}

const (
	// probeInterval is the time between two calls of an account whose key was refused.
	probeInterval = time.Minute
	// secretInterval is the time between two attempts to decrypt a key.
	secretInterval = 10 * time.Second
)

// NewUpstreamRunner returns an UpstreamRunner.
func NewUpstreamRunner(o UpstreamRunnerOptions) *UpstreamRunner {
	return &UpstreamRunner{
		canceller: canceller{publisher{o.Queue, o.Outcomes, o.Log, observing(o.Observer)}, o.Store},
		store:     o.Store, platform: o.Platform, open: o.Open, policy: o.Policy, stopping: o.Stopping,
	}
}

// RunAccountTask makes the account's calls until no call is due, the upstream is put on hold, Stopping reports true, or ctx ends.
// It returns when all calls have ended and their outcomes are recorded. The error is a failure that could not be
// recorded.
func (c *UpstreamRunner) RunAccountTask(ctx context.Context, account string) error {
	upstream, err := c.store.Upstream(ctx, account)
	if err != nil || upstream == nil {
		return err
	}
	for more := true; more && ctx.Err() == nil; {
		if more, err = c.cancel(ctx, account); err != nil {
			return err
		}
	}
	if upstream.Held {
		return nil
	}
	key, err := c.open(ctx, *upstream)
	if err != nil {
		c.log.Error("the key for an upstream cannot be decrypted: its calls wait; set SECRETS_KEY, or set the account's key again",
			"account_id", account, "error", err)
		return c.store.HoldUpstream(ctx, *upstream, revocation.HoldSecret, secretInterval)
	}
	return c.run(ctx, *upstream, revocation.Target{
		Account: account, URL: upstream.URL, Key: key, Rate: upstream.Rate,
		Concurrency: cmp.Or(upstream.Concurrency, revocation.DefaultConcurrency),
	})
}
