package chaos_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// drainTime is the time after the last fault within which all work must be finished.
const drainTime = 3 * time.Minute

// drain waits until all work is finished.
func (c *cluster) drain() { c.drainWithin(drainTime) }

func (c *cluster) drainWithin(limit time.Duration) {
	last := time.Now()
	var unfinished string
	for time.Since(last) < limit {
		unfinished = c.unfinished()
		if unfinished == "" {
			c.t.Logf("%s: all work is finished, %s after the last fault", c.now().Round(time.Millisecond), time.Since(last).Round(time.Second))
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	c.violate(finished, "%s after the last fault, unfinished are: %s", limit, unfinished)
}

// unfinished describes the unfinished work in the tables and in Redis. It returns an empty string if there is none.
func (c *cluster) unfinished() string {
	var found []string
	err := c.database(func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `
			SELECT 'work item of ' || account_id, revocation_id::text || ' ' || to_jsonb(work_items)::text FROM work_items
			UNION ALL SELECT 'chunk of ' || account_id, job_id::text FROM chunks
			UNION ALL SELECT 'job ' || state || ' of ' || account_id, id::text FROM jobs WHERE state NOT IN ('COMPLETED', 'CANCELLED', 'EXPIRED')
			UNION ALL SELECT 'item of an expired job of ' || account_id, id::text FROM jobs WHERE state = 'EXPIRED' AND NOT items_deleted
			UNION ALL SELECT 'email ' || status || ' of ' || account_id, revocation_id::text || ' ' || to_jsonb(notifications)::text FROM notifications
				WHERE status IN ('PENDING', 'CLAIMED', 'COMMITTED')
			UNION ALL SELECT 'revocation ' || status || ' of ' || account_id, id::text FROM revocations WHERE status = 'PENDING'`)
		if err != nil {
			return err
		}
		counts, examples := make(map[string]int), make(map[string]string)
		var what, id string
		if _, err := pgx.ForEachRow(rows, []any{&what, &id}, func() error {
			counts[what]++
			examples[what] = id
			return nil
		}); err != nil {
			return err
		}
		for what, n := range counts {
			found = append(found, fmt.Sprintf("%d × %s (%s)", n, what, examples[what]))
		}
		return nil
	})
	if err != nil {
		found = append(found, err.Error())
	}
	err = c.inRedis(func(ctx context.Context, client *redis.Client) error {
		queues, err := client.SMembers(ctx, "asynq:queues").Result()
		if err != nil {
			return err
		}
		if len(queues) == 0 {
			found = append(found, "Redis knows of no queue")
		}
		for _, queue := range queues {
			for _, state := range []string{"pending", "active", "scheduled", "retry"} {
				key := "asynq:{" + queue + "}:" + state
				n, err := client.ZCard(ctx, key).Result()
				if err != nil { // a list
					n, err = client.LLen(ctx, key).Result()
				}
				if err != nil {
					return err
				}
				if n > 0 {
					found = append(found, fmt.Sprintf("%d tasks %s of %s", n, state, queue))
				}
			}
		}
		return nil
	})
	if err != nil {
		found = append(found, err.Error())
	}
	return strings.Join(found, "; ")
}
