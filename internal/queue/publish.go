package queue

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"
)

// publishWake is a hook on the go-redis client of the enqueueing side: it sends the wake-up in the same round trip
// as the task, right behind it. Like wakeUp it knows asynq's script by its keys; were they to change, idle
// workers would see a task up to a second late, and the tests here would fail.
type publishWake struct {
	client *redis.Client // without the hook
}

// ProcessHook sends an enqueue together with its wake-up.
func (a publishWake) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		queue := enqueued(cmd)
		if queue == "" {
			return next(ctx, cmd)
		}
		// The task's own error is all that counts: an idle worker looks within a second also if nothing wakes it.
		_, _ = a.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			_ = pipe.Process(ctx, cmd) // queued: it fails later, if at all
			pipe.Publish(ctx, wakeChannel(queue), "")
			return nil
		})
		return cmd.Err()
	}
}

// DialHook changes nothing.
func (publishWake) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook changes nothing: asynq enqueues outside of pipelines.
func (publishWake) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// enqueued names the queue that cmd puts a task into; empty when cmd is something else. The command is EVALSHA
// or EVAL, the script, 2, and the keys asynq:{queue}:t:<task id> and asynq:{queue}:pending.
func enqueued(cmd redis.Cmder) string {
	args := cmd.Args()
	if len(args) < 5 || args[2] != 2 || cmd.Name() != "evalsha" && cmd.Name() != "eval" {
		return ""
	}
	task, _ := args[3].(string)
	pending, _ := args[4].(string)
	key, ok := strings.CutSuffix(pending, "pending")
	if !ok || !strings.HasPrefix(task, key+"t:") {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(key, "asynq:{"), "}:")
}
