// Package queue sends work from the API to the workers, as tasks of asynq in Redis. A task holds ids and never facts.
// Redis may lose a task at any time: the dispatcher finds the rows that the task named.
//
// A task of single submissions holds a batch of their ids. A task of bulk jobs names only an account, and the worker
// that runs it reads in the database what there is to do. An account has a few such tasks at most, whatever the size
// of its jobs, and accounts alternate; see Client.EnqueueAccountTasks.
//
// The package also publishes two kinds of messages through Redis, which does not store them: a wake-up for the idle
// workers of a queue, so that they need not poll, and the ids of revocations whose outcome was written.
package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rescind/internal/failpoint"
	"rescind/internal/revocation"
)

// Client sends work and outcomes. It is safe for concurrent use.
type Client struct {
	redis *redis.Client
	tasks *asynq.Client
}

var (
	_ revocation.Queue    = (*Client)(nil)
	_ revocation.Outcomes = (*Client)(nil)
)

// NewClient returns a Client that uses r. The caller must close r. r should come from NewRedis or NewInProcess, whose
// timeouts bound how long a command takes while Redis is away.
func NewClient(r *redis.Client) *Client {
	// A second client with the same pool of connections, so that the hook applies to these commands only.
	enqueueing := r.WithTimeout(opTimeout)
	enqueueing.AddHook(publishWake{client: r})
	return &Client{redis: r, tasks: asynq.NewClientFromRedisClient(enqueueing)}
}

// sendTimeout bounds the few commands that send one task.
const sendTimeout = 3 * time.Second

// EnqueueRevocations sends a batch as one task. The task's id consists of the first Ref and the dispatch count; if Redis
// has a task with that id already, EnqueueRevocations sends nothing and returns nil. It returns within 3 seconds, even
// if ctx has no deadline.
func (c *Client) EnqueueRevocations(ctx context.Context, dispatchCount int, batch []revocation.Ref) error {
	if len(batch) == 0 {
		return nil
	}
	task, err := revocationsTask(revocation.TraceParent(ctx), dispatchCount, batch)
	if err != nil {
		return fmt.Errorf("enqueue revocations: %w", err)
	}
	if err := c.send(ctx, task); err != nil {
		return fmt.Errorf("enqueue revocations: %w", err)
	}
	return nil
}

// EnqueueNotifications sends a batch of emails in the same way. The task's id consists of the first NotificationRef.
func (c *Client) EnqueueNotifications(ctx context.Context, batch []revocation.NotificationRef) error {
	if len(batch) == 0 {
		return nil
	}
	task, err := notificationsTask(revocation.TraceParent(ctx), batch)
	if err != nil {
		return fmt.Errorf("enqueue emails: %w", err)
	}
	if err := c.send(ctx, task); err != nil {
		return fmt.Errorf("enqueue emails: %w", err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, task *asynq.Task) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	failpoint.Reach(failpoint.BeforeEnqueue, task.Type())
	_, err := c.tasks.EnqueueContext(ctx, task)
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	failpoint.Reach(failpoint.AfterEnqueue, task.Type())
	return err
}

// Publish calls the wake function of every Listen, in every process: the revocations with these ids have changed.
func (c *Client) Publish(ctx context.Context, ids []revocation.ID) error {
	message := make([]byte, 0, len(ids)*len(revocation.ID{}))
	for _, id := range ids {
		message = append(message, id[:]...)
	}
	if err := c.redis.Publish(ctx, outcomesChannel, message).Err(); err != nil {
		return fmt.Errorf("publish outcomes: %w", err)
	}
	return nil
}

// Listen calls wake with the ids of each Publish until ctx ends. It reconnects when Redis was away, and misses what is
// published meanwhile. wake must not block.
func (c *Client) Listen(ctx context.Context, wake func([]revocation.ID)) {
	subscribe(ctx, c.redis, func(_, message string) {
		if ids, ok := readIDs(message); ok {
			wake(ids)
		}
	}, outcomesChannel)
}

func readIDs(message string) (ids []revocation.ID, ok bool) {
	const size = len(revocation.ID{})
	if len(message) == 0 || len(message)%size != 0 {
		return nil, false
	}
	for ; message != ""; message = message[size:] {
		ids = append(ids, revocation.ID([]byte(message[:size])))
	}
	return ids, true
}
