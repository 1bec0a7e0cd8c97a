package app

import (
	"context"
	"log/slog"
	"sync"

	"github.com/redis/go-redis/v9"

	"rescind/internal/api"
	"rescind/internal/config"
	"rescind/internal/queue"
	"rescind/internal/revocation"
)

// WorkerOptions are a Worker's parts. All are needed, but for MailRate.
type WorkerOptions struct {
	Store  Store
	Redis  *redis.Client
	Mailer revocation.Mailer
	// MailRate is in messages a second over all workers; 0: no limit.
	MailRate float64
	Retry    config.Retry
	Log      *slog.Logger
}

// Worker carries out what was accepted, sends the emails, and finds what is due and what was lost.
type Worker struct {
	tasks      *queue.Worker
	dispatcher *revocation.Dispatcher
	health     *api.Health
}

// NewWorker makes a Worker.
func NewWorker(o WorkerOptions) *Worker {
	client := queue.NewClient(o.Redis)
	policy := revocation.RetryPolicy{Base: o.Retry.BackoffBase, Max: o.Retry.BackoffMax, MaxAttempts: o.Retry.MaxAttempts}
	executor := revocation.NewExecutor(revocation.ExecutorOptions{
		Store: o.Store, Queue: client, Outcomes: client, Policy: policy, Log: o.Log,
	})
	mail := revocation.NotifierOptions{Store: o.Store, Mailer: o.Mailer, Policy: policy, Log: o.Log}
	if o.MailRate > 0 {
		mail.Pace = queue.NewPace(o.Redis, o.MailRate)
	}
	return &Worker{
		tasks: queue.NewWorker(queue.WorkerOptions{
			Redis: o.Redis, CarryOut: executor.CarryOut, Send: revocation.NewNotifier(mail).Send, Log: o.Log,
		}),
		dispatcher: revocation.NewDispatcher(revocation.DispatcherOptions{Store: o.Store, Queue: client, Log: o.Log}),
		health:     api.NewHealth(databaseCheck(o.Store), redisCheck(client, true)),
	}
}

// Health tells whether the worker can do its work: it needs its database and a Redis that does not evict.
func (w *Worker) Health() *api.Health { return w.health }

// Run works until ctx ends, and returns when what was under way has ended or was handed back.
func (w *Worker) Run(ctx context.Context) error {
	var dispatching sync.WaitGroup
	dispatching.Go(func() { w.dispatcher.Run(ctx) })
	err := w.tasks.Run(ctx)
	dispatching.Wait()
	return err
}
