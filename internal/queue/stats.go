package queue

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"rescind/internal/revocation"
)

// Stats is what Redis holds at one time.
type Stats struct {
	// Memory and MaxMemory are in bytes; MaxMemory is 0 if there is no limit. HasMemory is false if Redis does not
	// report them, as the embedded Redis does not.
	HasMemory         bool
	Memory, MaxMemory uint64
	// Evicts reports whether Redis may evict tasks.
	Evicts bool
	// Tasks has the number of tasks by queue and state.
	Tasks map[string]map[string]int64
}

// queueNames returns the names of all queues.
func queueNames() []string {
	names := []string{queueSingle, queueMail}
	for _, kind := range []revocation.AccountTask{revocation.JobsTask, revocation.UpstreamTask, revocation.MailTask} {
		names = append(names, taskClasses[kind].queue)
	}
	return names
}

// Stats reads from Redis what it holds, with a few commands of constant cost.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	counts := make(map[string]map[string]*redis.IntCmd)
	_, err := c.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, queue := range queueNames() {
			counts[queue] = make(map[string]*redis.IntCmd, len(asynqStates))
			for state, count := range asynqStates {
				counts[queue][state] = count(pipe, ctx, asynqKey(queue, state))
			}
		}
		return nil
	})
	if err != nil {
		return Stats{}, fmt.Errorf("count tasks: %w", err)
	}
	stats := Stats{Tasks: make(map[string]map[string]int64, len(counts))}
	for queue, states := range counts {
		stats.Tasks[queue] = make(map[string]int64, len(states))
		for state, count := range states {
			stats.Tasks[queue][state] = count.Val()
		}
	}
	policy, err := c.evictionPolicy(ctx)
	if err != nil {
		return Stats{}, fmt.Errorf("read maxmemory-policy: %w", err)
	}
	stats.Evicts = policy != "" && policy != "noeviction"
	info, err := c.redis.Info(ctx, "memory").Result()
	if err != nil && !refused(err) {
		return Stats{}, fmt.Errorf("read memory: %w", err)
	}
	var usedKnown, limitKnown bool
	stats.Memory, usedKnown = infoNumber(info, "used_memory")
	stats.MaxMemory, limitKnown = infoNumber(info, "maxmemory")
	stats.HasMemory = usedKnown && limitKnown
	return stats, nil
}

// infoNumber returns the number in the line of INFO with the given name.
func infoNumber(info, name string) (n uint64, ok bool) {
	for line := range strings.Lines(info) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
