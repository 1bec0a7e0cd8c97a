package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// State is how well Redis can carry the queue.
type State string

const (
	// StateOK: Redis answers and keeps what it stores.
	StateOK State = "ok"
	// StateEvicting: Redis answers, but may evict tasks when its memory is full.
	StateEvicting State = "evicting"
	// StateAway: Redis does not answer, or refuses writes now.
	StateAway State = "away"
)

// Health is the present state of Redis and the reason for it.
type Health struct {
	State State
	// Reason is a sentence for an operator; empty for StateOK. It names no address.
	Reason string
}

// Ready returns an error if nothing can be enqueued now. It returns within 3 seconds.
func (c *Client) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := c.write(ctx); err != nil {
		return fmt.Errorf("write to redis: %w", err)
	}
	return nil
}

const (
	healthKey = "rescind:health"
	// healthTTL removes the key when the checks stop.
	healthTTL = time.Minute
)

// write returns an error if Redis cannot store a task. That includes a Redis that answers but is a read-only replica, has
// no memory left or cannot write to its disk.
func (c *Client) write(ctx context.Context) error {
	return c.redis.Set(ctx, healthKey, "", healthTTL).Err()
}

// Health reports how well Redis can carry the queue. It returns within 3 seconds.
func (c *Client) Health(ctx context.Context) Health {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	err := c.write(ctx)
	var policy string
	if err == nil {
		policy, err = c.evictionPolicy(ctx)
	}
	switch {
	case redis.IsReadOnlyError(err):
		return Health{StateAway, "Redis is a read-only replica."}
	case redis.IsOOMError(err):
		return Health{StateAway, "Redis has no memory left."}
	case refused(err):
		return Health{StateAway, "Redis answers, but takes nothing now."}
	case err != nil:
		return Health{StateAway, "Redis does not answer."}
	case policy != "" && policy != "noeviction":
		return Health{StateEvicting, "Redis may throw tasks away: its maxmemory-policy is " + policy + " and should be noeviction."}
	default:
		return Health{State: StateOK}
	}
}

// evictionPolicy returns Redis's maxmemory-policy. A managed Redis often forbids CONFIG and has the policy in INFO. The
// embedded Redis has it in neither and never evicts: evictionPolicy returns "" then.
func (c *Client) evictionPolicy(ctx context.Context) (string, error) {
	config, err := c.redis.ConfigGet(ctx, "maxmemory-policy").Result()
	if err == nil && config["maxmemory-policy"] != "" {
		return config["maxmemory-policy"], nil
	}
	if err != nil && !refused(err) {
		return "", err
	}
	info, err := c.redis.Info(ctx, "memory").Result()
	if err != nil && !refused(err) {
		return "", err
	}
	for line := range strings.Lines(info) {
		if policy, ok := strings.CutPrefix(line, "maxmemory_policy:"); ok {
			return strings.TrimSpace(policy), nil
		}
	}
	return "", nil
}

// refused reports whether Redis answered, with an error.
func refused(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}
