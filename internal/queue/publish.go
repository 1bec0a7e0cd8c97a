package queue

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// publishWake is a hook of the go-redis client that enqueues. It sends the wake-up in the same round trip as the task,
// after it. It recognizes asynq's command by its keys. If it did not, idle workers would start a task up to a second
// late.
type publishWake struct {
	client *redis.Client // without the hook
}

// ProcessHook sends a command that enqueues together with a wake-up.
func (a publishWake) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		queue := enqueued(cmd)
		if queue == "" {
			return next(ctx, cmd)
		}
		// Only the error of the task counts: an idle worker polls within a second even if nothing wakes it.
		_, _ = a.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			_ = pipe.Process(ctx, cmd) // only queues cmd, whose error comes later
			pipe.Publish(ctx, wakeChannel(queue), "")
			return nil
		})
		return cmd.Err()
	}
}

// DialHook returns next.
func (publishWake) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook returns next: asynq does not enqueue in pipelines.
func (publishWake) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
