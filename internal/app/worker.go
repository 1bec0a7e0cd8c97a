package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"rescind/internal/worker"

	"github.com/redis/go-redis/v9"

	"rescind/internal/api"
	"rescind/internal/config"
	"rescind/internal/queue"
	"rescind/internal/revocation"
	"rescind/internal/secrets"
	"rescind/internal/upstream"
)

// WorkerOptions are a Worker's parts. All are needed, but for MailRate and Retention.
type WorkerOptions struct {
	Store  Store
	Redis  *redis.Client
	Mailer Mailer
	// MailRate is in messages a second over all workers; 0: no limit.
	MailRate float64
	// MailMaxAge is how long a recipient's temporary refusal is tried again.
	MailMaxAge time.Duration
	Retry      config.Retry
	Upstream   config.Upstream
	// Retention is how long what has ended is kept; 0: for good.
	Retention   time.Duration
	Instruments *Instruments
	Log         *slog.Logger
}

// Worker carries out what was accepted, sends the emails, and finds what is due and what was lost.
type Worker struct {
	tasks      *queue.Worker
	dispatcher *worker.Dispatcher
	keeper     *worker.Janitor
	health     *api.Health
}

// NewWorker makes a Worker. An error says which setting is wrong.
func NewWorker(o WorkerOptions) (*Worker, error) {
	box, err := secrets.New(o.Upstream.SecretsKey, o.Upstream.SecretsKeyOld)
	if err != nil {
		return nil, err
	}
	tracing := o.Instruments.tracing
	client := queue.NewClient(o.Redis)
	policy := revocation.RetryPolicy{Base: o.Retry.BackoffBase, Max: o.Retry.BackoffMax, MaxAttempts: o.Retry.MaxAttempts}
	executor := worker.NewExecutor(worker.ExecutorOptions{
		Store: o.Store, Queue: client, Outcomes: client, Policy: policy,
		OthersWait: client.Yield(revocation.JobsTask), Log: o.Log, Observer: o.Instruments.observer,
	})
	caller := worker.NewUpstreamRunner(worker.UpstreamRunnerOptions{
		Store: o.Store, Queue: client, Outcomes: client, Policy: policy,
		Platform: tracePlatform(tracing, upstream.New(upstream.Options{
			Timeout: o.Upstream.UpstreamTimeout, Metrics: o.Instruments.metrics, Log: o.Log,
		})),
		Open: func(ctx context.Context, upstream revocation.Upstream) (revocation.Secret, error) {
			key, err := box.Open(upstream.SealedKey, upstream.Account)
			if err == nil && box.Stale(upstream.SealedKey) {
				err = reseal(ctx, o.Store, box, upstream, key)
			}
			return revocation.Secret(key), err
		},
		Stopping: client.Yield(revocation.UpstreamTask), Log: o.Log, Observer: o.Instruments.observer,
	})
	mail := worker.NotifierOptions{
		Store: o.Store, Mailer: traceMailer(tracing, o.Mailer), Policy: policy, MaxAge: o.MailMaxAge,
		OthersWait: client.Yield(revocation.MailTask), Log: o.Log,
		Observer: o.Instruments.observer,
	}
	if o.MailRate > 0 {
		mail.Pace = queue.NewPace(o.Redis, o.MailRate)
	}
	notifier := worker.NewNotifier(mail)
	return &Worker{
		tasks: queue.NewWorker(queue.WorkerOptions{
			Redis: o.Redis, Log: o.Log,
			CarryOut: traced(tracing, "carry out", executor.CarryOut),
			Send:     traced(tracing, "send emails", notifier.Send),
			AccountTasks: map[revocation.AccountTask]func(context.Context, string) error{
				revocation.JobsTask:     tracedAccountTask(tracing, "turn of jobs", executor.RunAccountTask),
				revocation.UpstreamTask: tracedAccountTask(tracing, "turn of calls", caller.RunAccountTask),
				revocation.MailTask:     tracedAccountTask(tracing, "turn of emails", notifier.RunAccountTask),
			},
		}),
		dispatcher: worker.NewDispatcher(worker.DispatcherOptions{
			Store: o.Store, Queue: client, Log: o.Log, Observer: o.Instruments.observer,
		}),
		keeper: worker.NewJanitor(worker.JanitorOptions{
			Store: o.Store, Retention: o.Retention, Log: o.Log,
		}),
		health: api.NewHealth(databaseCheck(o.Store), redisCheck(client, true), mailCheck(o.Mailer)),
	}, nil
}

// reseal keeps a key under SECRETS_KEY that was sealed under SECRETS_KEY_OLD, so that the old one can go.
func reseal(ctx context.Context, store Store, box *secrets.Box, upstream revocation.Upstream, key []byte) error {
	sealed, err := box.Seal(key, upstream.Account)
	if err != nil {
		return err
	}
	return store.ResealUpstream(ctx, upstream, sealed)
}

// Health tells whether the worker can do its work: it needs its database, a Redis that does not evict, and the directory
// that emails are written to, if they are. A mail server that is away degrades it.
func (w *Worker) Health() *api.Health { return w.health }

// Run works until ctx ends, and returns when what was under way has ended or was handed back.
func (w *Worker) Run(ctx context.Context) error {
	var dispatching sync.WaitGroup
	dispatching.Go(func() { w.dispatcher.Run(ctx) })
	dispatching.Go(func() { w.keeper.Run(ctx) })
	err := w.tasks.Run(ctx)
	dispatching.Wait()
	return err
}
