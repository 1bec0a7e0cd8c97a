package queue

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"rescind/internal/revocation"
)

// Worker takes tasks from the queues and calls the functions that carry them out. Each queue has its own server with its
// own slots, so no queue waits for another.
type Worker struct {
	redis    *redis.Client
	classes  []class
	shutdown time.Duration
	log      *slog.Logger
}

type class struct {
	queue   string
	slots   int
	handler asynq.Handler
	// retryInterval is how often asynq checks for due retries.
	retryInterval time.Duration
}

// WorkerOptions configure a Worker. Fields without a documented default are required.
type WorkerOptions struct {
	// Redis comes from NewRedis or NewInProcess. The caller must close it after Run has returned.
	Redis *redis.Client
	// CarryOut makes an attempt on each revocation of a batch. After an error, the whole batch is retried. The wait
	// before a retry is a second at first and doubles, up to 30 seconds.
	CarryOut func(context.Context, []revocation.Ref) error
	// Send sends the emails of a batch. After an error, the batch is retried in the same way.
	Send func(context.Context, []revocation.NotificationRef) error
	// SingleSlots is how many batches of single submissions are carried out at once; 0 means 4.
	SingleSlots int
	// MailSlots is how many batches of emails are sent at once; 0 means 4.
	MailSlots int
	// AccountTasks has the function for each kind of account task. The function does the work of one account, step by
	// step, until there is none or Client.Yield returns true. An error is logged and the task is not retried:
	// Client.EnqueueAccountTasks can enqueue it again. The worker takes no tasks of a kind that is missing here.
	AccountTasks map[revocation.AccountTask]func(ctx context.Context, account string) error
	// AccountTaskSlots is how many tasks of each kind run at once; 0 means 2 of jobs, 64 of upstreams and 4 of emails.
	AccountTaskSlots map[revocation.AccountTask]int
	// ShutdownTimeout is how long Run waits for running tasks after its context has ended; 0 means 20 s.
	ShutdownTimeout time.Duration
	Log             *slog.Logger
}

const (
	defaultSlots           = 4
	defaultShutdownTimeout = 20 * time.Second
	// stopMargin is how long asynq may take for its last commands to Redis, after the running tasks have ended. While
	// Redis is away, each command takes its timeout, one after the other.
	stopMargin = 3 * time.Second

	// retryInterval is how often asynq checks for due retries. Account tasks are never retried, so asynq checks their
	// queues seldom.
	retryInterval            = time.Second
	accountTaskRetryInterval = time.Minute
	firstRetryDelay          = time.Second
	maxRetryDelay            = 30 * time.Second
)

// NewWorker returns a Worker. It does not connect to Redis before Run.
func NewWorker(o WorkerOptions) *Worker {
	classes := []class{
		{queueSingle, cmp.Or(o.SingleSlots, defaultSlots), handle(typeRevocations, readRevocations, withTraceParent(o.CarryOut)), retryInterval},
		{queueMail, cmp.Or(o.MailSlots, defaultSlots), handle(typeNotifications, readNotifications, withTraceParent(o.Send)), retryInterval},
	}
	for kind, c := range taskClasses {
		if run := o.AccountTasks[kind]; run != nil {
			classes = append(classes, class{c.queue, cmp.Or(o.AccountTaskSlots[kind], c.slots), handleAccountTask(kind, run), accountTaskRetryInterval})
		}
	}
	return &Worker{
		redis:    o.Redis,
		classes:  classes,
		shutdown: cmp.Or(o.ShutdownTimeout, defaultShutdownTimeout),
		log:      o.Log,
	}
}

// Run takes tasks until ctx ends. Then it takes no more, Client.Yield asks account tasks to end after their present step,
// and Run waits for running tasks, for the shutdown timeout and a few seconds at most. Tasks that are still running are
// cancelled and put back. If Redis is away then, the dispatcher finds their rows. Run starts without Redis, and
// continues whenever Redis is back.
func (w *Worker) Run(ctx context.Context) error {
	queues := make([]string, len(w.classes))
	for i, c := range w.classes {
		queues[i] = c.queue
	}
	work, working := errgroup.WithContext(ctx)
	wake := newWakeUp(working.Done(), queues...)
	// A second client with the same pool of connections, so that the hook applies to these servers only.
	client := w.redis.WithTimeout(opTimeout)
	client.AddHook(wake)
	for _, c := range w.classes {
		work.Go(func() error { return w.serve(working, client, c) })
	}
	work.Go(func() error {
		wake.listen(working, w.redis)
		return nil
	})
	work.Go(func() error {
		cleanQueues(working, w.redis, queues)
		return nil
	})

	ended := make(chan error, 1)
	go func() { ended <- work.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(w.shutdown + stopMargin):
		w.log.Warn("queue servers did not stop in time: not waiting for them")
		return nil
	}
}

// serve runs the server of one queue until ctx ends.
func (w *Worker) serve(ctx context.Context, client *redis.Client, c class) error {
	server := asynq.NewServerFromRedisClient(client, asynq.Config{
		Queues:                   map[string]int{c.queue: 1},
		Concurrency:              c.slots,
		BaseContext:              func() context.Context { return withStop(context.Background(), ctx.Done()) },
		TaskCheckInterval:        pollInterval,
		DelayedTaskCheckInterval: c.retryInterval,
		RetryDelayFunc:           retryDelay,
		ErrorHandler:             newFailures(w.log),
		ShutdownTimeout:          w.shutdown,
		Logger:                   newServerLog(w.log),
		// At lower levels, asynq logs failures a second time, and errors that it retries by itself.
		LogLevel: asynq.ErrorLevel,
	})
	if err := server.Start(c.handler); err != nil {
		return fmt.Errorf("start the server of queue %s: %w", c.queue, err)
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}

// retryDelay returns the wait before retry n, counted from 0: it doubles from firstRetryDelay to maxRetryDelay.
func retryDelay(n int, _ error, _ *asynq.Task) time.Duration {
	return min(firstRetryDelay<<min(n, 10), maxRetryDelay)
}
