package queue

import (
	"context"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const cleanInterval = time.Minute

// cleanQueues maintains what asynq keeps in Redis, until ctx ends. It deletes the archived tasks, of which asynq would
// keep 10,000 a queue for 90 days. Nothing needs them: the database has their rows, and the dispatcher enqueues
// the rows again under other task ids. It also registers the queues. An asynq client does that only once, so after
// Redis was emptied asynq's tools would not find the queues.
//
// It ignores errors: they mean that Redis is away, which others log, and the next round does the work.
func cleanQueues(ctx context.Context, client *redis.Client, queues []string) {
	inspector := asynq.NewInspectorFromRedisClient(client)
	tick := time.NewTicker(cleanInterval)
	defer tick.Stop()
	for {
		_ = client.SAdd(ctx, asynqQueues, queues).Err()
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
