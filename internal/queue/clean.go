package queue

import (
	"context"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const (
	cleanInterval = time.Minute
	// knownQueues is asynq's set of the queues that exist.
	knownQueues = "asynq:queues"
)

// cleanQueueList keeps in order, until ctx ends, what asynq leaves behind in Redis. It deletes the archived tasks, of
// which asynq would keep 10,000 a queue for 90 days: their rows say all there is to say, and the dispatcher
// sends them again under other names. And it registers the queues, which a client does only once in its life,
// so that they would remain unknown to asynq's tools after Redis was emptied.
//
// It fails only when Redis is away, which others tell; the next round makes up for it.
func cleanQueueList(ctx context.Context, client *redis.Client, queues []string) {
	inspector := asynq.NewInspectorFromRedisClient(client)
	tick := time.NewTicker(cleanInterval)
	defer tick.Stop()
	for {
		_ = client.SAdd(ctx, knownQueues, queues).Err()
		for _, queue := range queues {
			_, _ = inspector.DeleteAllArchivedTasks(queue)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
