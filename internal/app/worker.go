package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rescind/internal/api"
	"rescind/internal/config"
	"rescind/internal/queue"
	"rescind/internal/revocation"
	"rescind/internal/secrets"
	"rescind/internal/upstream"
	"rescind/internal/worker"
)

// WorkerOptions are the parts and settings of a Worker. All fields except MailRate and Retention are required.
type WorkerOptions struct {
	Store  Store
	Redis  *redis.Client
	Mailer Mailer
	// MailRate is the number of messages per second that all workers together may send; 0 means no limit.
	MailRate float64
	// MailMaxAge is how long after the first temporary refusal an email is retried.
	MailMaxAge time.Duration
	Retry      config.Retry
	Upstream   config.Upstream
	// PreviewTTL is how long a preview can be confirmed.
	PreviewTTL  time.Duration
	Retention   config.Retention
	Instruments *Instruments
	Log         *slog.Logger
}

// Worker carries out revocations, sends emails, and enqueues what is due or lost.
type Worker struct {
	tasks      *queue.Worker
	dispatcher *worker.Dispatcher
	janitor    *worker.Janitor
	health     *api.Health
}

// NewWorker returns a Worker. The error names the setting that is wrong.
func NewWorker(o WorkerOptions) (*Worker, error) {
	box, err := secrets.New(o.Upstream.SecretsKey, o.Upstream.SecretsKeyOld)
	if err != nil {
		return nil, err
	}
	tracing := o.Instruments.tracing
	client := queue.NewClient(o.Redis)
	policy := revocation.RetryPolicy{Base: o.Retry.BackoffBase, Max: o.Retry.BackoffMax, MaxAttempts: o.Retry.MaxAttempts}
	executor := worker.NewExecutor(worker.ExecutorOptions{
		Store: o.Store, Queue: client, Outcomes: client, Policy: policy, PreviewTTL: o.PreviewTTL,
		OthersWait: client.Yield(revocation.JobsTask), Log: o.Log, Observer: o.Instruments.observer,
	})
	upstreamRunner := worker.NewUpstreamRunner(worker.UpstreamRunnerOptions{
		Store: o.Store, Queue: client, Outcomes: client, Policy: policy,
		Platform: traceUpstream(tracing, upstream.New(upstream.Options{
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
				revocation.JobsTask:     tracedAccountTask(tracing, "jobs task", executor.RunAccountTask),
				revocation.UpstreamTask: tracedAccountTask(tracing, "upstream task", upstreamRunner.RunAccountTask),
				revocation.MailTask:     tracedAccountTask(tracing, "mail task", notifier.RunAccountTask),
			},
		}),
		dispatcher: worker.NewDispatcher(worker.DispatcherOptions{
			Store: o.Store, Queue: client, Log: o.Log, Observer: o.Instruments.observer,
		}),
		janitor: worker.NewJanitor(worker.JanitorOptions{
			Store: o.Store, Retention: o.Retention.RetentionPeriod(), InviteAge: o.Retention.InviteAge(),
			Audit: o.Retention.AuditPeriod(), Log: o.Log,
		}),
		health: api.NewHealth(databaseCheck(o.Store), redisCheck(client, true), mailCheck(o.Mailer)),
	}, nil
}

// reseal replaces a key that was sealed with SECRETS_KEY_OLD by one that is sealed with SECRETS_KEY, so that the old key
// can be removed some day.
func reseal(ctx context.Context, store Store, box *secrets.Box, upstream revocation.Upstream, key []byte) error {
	sealed, err := box.Seal(key, upstream.Account)
	if err != nil {
		return err
	}
	return store.ResealUpstream(ctx, upstream, sealed)
}

// Health returns the health checks of the worker. The worker is ready while its database answers, Redis answers and does
// not evict, and the directory for emails, if there is one, is writable. A mail server that does not answer makes it
// degraded.
func (w *Worker) Health() *api.Health { return w.health }

// Run works until ctx ends. It returns when every task in progress has finished or was returned to the queue.
func (w *Worker) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	loops.Go(func() { w.dispatcher.Run(ctx) })
	loops.Go(func() { w.janitor.Run(ctx) })
	err := w.tasks.Run(ctx)
	loops.Wait()
	return err
}
