// Package queue carries work from those who accept it to the workers, as tasks of asynq in Redis. A task
// holds ids and never facts, and Redis may lose it at any moment: the dispatcher finds the rows that it named.
//
// What was submitted singly goes in batches of ids. Of bulk jobs there is in Redis only whose turn it is: a task names
// an account, and whoever carries it out finds in the database what there is to do. An account has a few such tasks
// at most, whatever the size of its jobs, and accounts come one after the other; see EnqueueAccountTasks.
//
// Beside the tasks, two kinds of messages go through Redis's pub/sub, which keeps nothing: a wake-up for a
// queue's idle workers, so that they need not poll, and the ids of revocations whose outcome was written.
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

// NewClient makes a Client on r, which its owner closes. r should come from NewRedis or NewInProcess, whose
// timeouts bound what a Redis that is away can cost.
func NewClient(r *redis.Client) *Client {
	// The same pool of connections under a client of its own, so that the hook stays with the tasks.
	enqueueing := r.WithTimeout(opTimeout)
	enqueueing.AddHook(publishWake{client: r})
	return &Client{redis: r, tasks: asynq.NewClientFromRedisClient(enqueueing)}
}

// sendTimeout bounds the few commands that send one task.
const sendTimeout = 3 * time.Second

// EnqueueRevocations sends one batch as one task, named by the first Ref and dispatch count; a task of that name which
// is already there is as good as sent. It returns within sendTimeout, also when ctx has no deadline.
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

// EnqueueNotifications sends one batch of emails likewise, named by its first Ref.
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

// Publish tells every Listen, in any process, that there is something new to read about ids.
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

// Listen calls wake with the ids of each Publish until ctx ends, and connects again by itself when Redis was
// away. What is published meanwhile is lost to it. wake must not block.
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
