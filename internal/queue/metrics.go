package queue

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"rescind/internal/revocation"
)

// Look is what Redis holds at a moment.
type Look struct {
	// Memory and MaxMemory are in bytes; MaxMemory is 0 without a limit. HasMemory is false for a Redis that does
	// not tell, as the embedded one.
	HasMemory         bool
	Memory, MaxMemory uint64
	// Evicts tells that it may throw tasks away.
	Evicts bool
	// Tasks are counted by queue and state.
	Tasks map[string]map[string]int64
}

// taskStates are where asynq keeps tasks, and how they are counted. None is ever scheduled, retained or grouped here.
var taskStates = map[string]func(redis.Pipeliner, context.Context, string) *redis.IntCmd{
	"pending":  redis.Pipeliner.LLen,
	"active":   redis.Pipeliner.LLen,
	"retry":    redis.Pipeliner.ZCard,
	"archived": redis.Pipeliner.ZCard,
}

// queueNames are the queues of all classes.
func queueNames() []string {
	names := []string{queueSingle, queueMail}
	for _, kind := range []revocation.AccountTask{revocation.JobsTask, revocation.UpstreamTask, revocation.MailTask} {
		names = append(names, taskClasses[kind].queue)
	}
	return names
}

// Look asks Redis what it holds, in a few commands of constant cost.
func (c *Client) Look(ctx context.Context) (Look, error) {
	counts := make(map[string]map[string]*redis.IntCmd)
	_, err := c.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, queue := range queueNames() {
			counts[queue] = make(map[string]*redis.IntCmd, len(taskStates))
			for state, count := range taskStates {
				counts[queue][state] = count(pipe, ctx, asynqKey(queue, state))
			}
		}
		return nil
	})
	if err != nil {
		return Look{}, fmt.Errorf("count tasks: %w", err)
	}
	look := Look{Tasks: make(map[string]map[string]int64, len(counts))}
	for queue, states := range counts {
		look.Tasks[queue] = make(map[string]int64, len(states))
		for state, count := range states {
			look.Tasks[queue][state] = count.Val()
		}
	}
	policy, err := c.evictionPolicy(ctx)
	if err != nil {
		return Look{}, fmt.Errorf("read maxmemory-policy: %w", err)
	}
	look.Evicts = policy != "" && policy != "noeviction"
	info, err := c.redis.Info(ctx, "memory").Result()
	if err != nil && !refused(err) {
		return Look{}, fmt.Errorf("read memory: %w", err)
	}
	var usedKnown, limitKnown bool
	look.Memory, usedKnown = infoNumber(info, "used_memory")
	look.MaxMemory, limitKnown = infoNumber(info, "maxmemory")
	look.HasMemory = usedKnown && limitKnown
	return look, nil
}

// infoNumber reads a line of INFO.
func infoNumber(info, name string) (n uint64, ok bool) {
	for line := range strings.Lines(info) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
