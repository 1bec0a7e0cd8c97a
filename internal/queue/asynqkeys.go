package queue

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// This file holds all that the package knows of asynq's keys in Redis and of the commands that use them. asynq does
// not document them. The tests of this package fail if another version of asynq changes them.

const (
	// asynqQueues is the set of the names of all queues.
	asynqQueues = "asynq:queues"
	// asynqLease is how long a task belongs to a worker after the worker's last heartbeat, which asynq sends every 5 s.
	asynqLease = 30 * time.Second
)

// asynqKey returns the key of one of a queue's keys, such as "pending" or, for the prefix of its tasks, "t:".
func asynqKey(queue, what string) string { return "asynq:{" + queue + "}:" + what }

// asynqStates are the states of tasks, which are also the keys that list them, each with the command that counts them.
// The states that are missing here do not occur: no task is scheduled, retained or grouped.
var asynqStates = map[string]func(redis.Pipeliner, context.Context, string) *redis.IntCmd{
	"pending":  redis.Pipeliner.LLen,
	"active":   redis.Pipeliner.LLen,
	"retry":    redis.Pipeliner.ZCard,
	"archived": redis.Pipeliner.ZCard,
}

// missingTasks returns the indexes of the task ids that can be enqueued. An id that exists is pending or active and
// cannot be, except for two kinds of tasks, which the script deletes because they would block their account:
//
//   - archived tasks, which exceeded their timeout or lost their lease.
//   - active tasks of a dead worker. asynq recovers them only after 60 to 120 s, and a worker that was killed may have
//     had all the tasks of an account. Ids that change with time would avoid this without the use of asynq's
//     keys, but would add tasks to Redis whenever the workers are behind.
//
// If the worker was only cut off from Redis, or its clock is far behind, its task continues beside the new one. That
// makes the sharing between accounts less fair and has no other effect.
var missingTasks = redis.NewScript(`
local active, lease, archived = KEYS[1], KEYS[2], KEYS[3]
local prefix, dead = ARGV[1], tonumber(ARGV[2])
local found = {}
for i = 3, #ARGV do
  local id = ARGV[i]
  local state = redis.call('HGET', prefix .. id, 'state')
  if state == 'active' then
    if tonumber(redis.call('ZSCORE', lease, id) or '0') < dead then
      redis.call('LREM', active, 0, id)
      redis.call('ZREM', lease, id)
      redis.call('DEL', prefix .. id)
      state = false
    end
  elseif state == 'archived' then
    redis.call('ZREM', archived, id)
    redis.call('DEL', prefix .. id)
    state = false
  end
  if not state then
    found[#found + 1] = i - 3
  end
end
return found
`)

// missingTasks runs the script. A worker counts as dead when its last heartbeat is older than silence.
func (c *Client) missingTasks(ctx context.Context, queue string, ids []string, silence time.Duration) ([]int64, error) {
	dead := time.Now().Add(asynqLease - silence).Unix()
	args := make([]any, 0, 2+len(ids))
	args = append(args, asynqKey(queue, "t:"), dead)
	for _, id := range ids {
		args = append(args, id)
	}
	keys := []string{asynqKey(queue, "active"), asynqKey(queue, "lease"), asynqKey(queue, "archived")}
	return missingTasks.Run(ctx, c.redis, keys, args...).Int64Slice()
}

// enqueued returns the queue that cmd adds a task to, or "" if cmd is another command. The arguments are EVALSHA or
// EVAL, the script, 2, and the keys asynq:{queue}:t:<task id> and asynq:{queue}:pending.
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
	return queueOf(key)
}

// dequeued returns the queue that cmd takes a task from, or "" if cmd is another command. The arguments are EVALSHA or
// EVAL, the script, 4, and the keys asynq:{queue}:pending, …:paused, …:active and …:lease.
func dequeued(cmd redis.Cmder) string {
	args := cmd.Args()
	if len(args) < 7 || args[2] != 4 || cmd.Name() != "evalsha" && cmd.Name() != "eval" {
		return ""
	}
	pending, _ := args[3].(string)
	paused, _ := args[4].(string)
	lease, _ := args[6].(string)
	key, ok := strings.CutSuffix(pending, "pending")
	if !ok || paused != key+"paused" || lease != key+"lease" {
		return ""
	}
	return queueOf(key)
}

// queueOf returns the name of the queue in the prefix of a queue's keys.
func queueOf(prefix string) string {
	return strings.TrimSuffix(strings.TrimPrefix(prefix, "asynq:{"), "}:")
}
