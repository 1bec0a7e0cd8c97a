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
	// StateOK: it answers and keeps what it is given.
	StateOK State = "ok"
	// StateEvicting: it answers, but may throw tasks away when its memory is full.
	StateEvicting State = "evicting"
	// StateAway: it does not answer, or takes nothing now.
	StateAway State = "away"
)

// Health is what Redis can do at the moment, and why not more.
type Health struct {
	State State
	// Reason is a sentence for an operator, empty when all is well. It names no address.
	Reason string
}

// Ready tells why nothing can be enqueued now; nil when it can.
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
	// healthTTL keeps the key no longer than somebody asks.
	healthTTL = time.Minute
)

// write fails when Redis cannot be given a task: also when it answers, but is a read-only replica, has no memory left or
// cannot save what it has.
func (c *Client) write(ctx context.Context) error {
	return c.redis.Set(ctx, healthKey, "", healthTTL).Err()
}

// Health reports how well Redis can carry the queue. It returns within sendTimeout.
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

// evictionPolicy is Redis's maxmemory-policy. A managed Redis often forbids CONFIG and tells it in INFO. One
// that tells it in neither place, as the embedded one does, knows no eviction: the policy is empty then.
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

// refused tells that Redis answered with an error, as against not at all.
func refused(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}
