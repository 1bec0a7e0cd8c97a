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

// Worker takes tasks and hands them to those who carry them out. Each class of work has a server with slots
// of its own, so that none waits for another.
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
	// delayed is how late a retry can come.
	delayed time.Duration
}

// WorkerOptions are a Worker's parts. Those without a default are needed.
type WorkerOptions struct {
	// Redis comes from NewRedis or NewInProcess. Its owner closes it after Run has returned.
	Redis *redis.Client
	// CarryOut makes an attempt on each revocation of a batch. An error brings the whole batch back, after a
	// second at first.
	CarryOut func(context.Context, []revocation.Ref) error
	// Send sends the emails of a batch, likewise.
	Send func(context.Context, []revocation.NotificationRef) error
	// SingleSlots is how many batches of revocations are carried out at once; 0 means 4.
	SingleSlots int
	// MailSlots is how many batches of emails are sent at once; 0 means 4.
	MailSlots int
	// AccountTasks carries out the turns of each kind: whatever there is to do for an account, until Client.Yield says that
	// the turn should end. A turn that fails is logged and given up; EnqueueAccountTasks gives the account another. A kind
	// that is missing here is left to other workers.
	AccountTasks map[revocation.AccountTask]func(ctx context.Context, account string) error
	// AccountTaskSlots is how many turns of each kind are carried out at once; 0 means 2 of jobs, 64 of upstreams and
	// 4 of emails.
	AccountTaskSlots map[revocation.AccountTask]int
	// ShutdownTimeout is how long Run waits for what is under way when it is told to stop; 0 means 20 s.
	ShutdownTimeout time.Duration
	Log             *slog.Logger
}

const (
	defaultSlots           = 4
	defaultShutdownTimeout = 20 * time.Second
	// stopMargin is what Run gives asynq, beyond the running tasks, for its last words to Redis. With Redis
	// away each of them takes its timeout, one after the other.
	stopMargin = 3 * time.Second

	// retryInterval is how late a retry can come. Turns are not tried again by themselves, and asynq looks for them
	// all the same.
	retryInterval       = time.Second
	accountTaskInterval = time.Minute
	firstRetryDelay     = time.Second
	maxRetryDelay       = 30 * time.Second
)

// NewWorker makes a Worker.
func NewWorker(o WorkerOptions) *Worker {
	classes := []class{
		{queueSingle, cmp.Or(o.SingleSlots, defaultSlots), handle(typeRevocations, readRevocations, withTraceParent(o.CarryOut)), retryInterval},
		{queueMail, cmp.Or(o.MailSlots, defaultSlots), handle(typeNotifications, readNotifications, withTraceParent(o.Send)), retryInterval},
	}
	for kind, c := range taskClasses {
		if turn := o.AccountTasks[kind]; turn != nil {
			classes = append(classes, class{c.queue, cmp.Or(o.AccountTaskSlots[kind], c.slots), handleAccountTask(kind, turn), accountTaskInterval})
		}
	}
	return &Worker{
		redis:    o.Redis,
		classes:  classes,
		shutdown: cmp.Or(o.ShutdownTimeout, defaultShutdownTimeout),
		log:      o.Log,
	}
}

// Run works until ctx ends, then takes no more tasks, has turns end at their next step, and waits for what is under
// way, at most for the shutdown timeout and a few seconds. What has not ended by then is cancelled and goes back to
// Redis, or is found by its rows. It needs no Redis to start, and goes on by itself whenever Redis is back.
func (w *Worker) Run(ctx context.Context) error {
	queues := make([]string, len(w.classes))
	for i, c := range w.classes {
		queues[i] = c.queue
	}
	work, working := errgroup.WithContext(ctx)
	wake := newWakeUp(working.Done(), queues...)
	// The same pool of connections under a client of its own, so that the hook stays with these servers.
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
		cleanQueueList(working, w.redis, queues)
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
		w.log.Warn("queue servers did not stop in time: left behind")
		return nil
	}
}

// serve runs one class's server until ctx ends.
func (w *Worker) serve(ctx context.Context, client *redis.Client, c class) error {
	server := asynq.NewServerFromRedisClient(client, asynq.Config{
		Queues:                   map[string]int{c.queue: 1},
		Concurrency:              c.slots,
		BaseContext:              func() context.Context { return withStop(context.Background(), ctx.Done()) },
		TaskCheckInterval:        pollInterval,
		DelayedTaskCheckInterval: c.delayed,
		RetryDelayFunc:           retryDelay,
		ErrorHandler:             newFailures(w.log),
		ShutdownTimeout:          w.shutdown,
		Logger:                   newServerLog(w.log),
		// Below that, asynq says again what failures has said, and what it will try again by itself.
		LogLevel: asynq.ErrorLevel,
	})
	if err := server.Start(c.handler); err != nil {
		return fmt.Errorf("start the server of queue %s: %w", c.queue, err)
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}

// retryDelay is the wait after the n-th retry, n from 0: from a second, doubling.
func retryDelay(n int, _ error, _ *asynq.Task) time.Duration {
	return min(firstRetryDelay<<min(n, 10), maxRetryDelay)
}
