// Command asynqrow is the service as it is mostly written with asynq: a request is a row and a task, and a task
// is a transaction. `asynqrow api` is at the same time the floor with one INSERT a request.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"rescind/internal/bench/contender"
)

const (
	// concurrency is a little over the connections: the next task is at hand when one is free.
	concurrency = 40
	// idlePause is how long the server waits when it has found nothing; its own default is a second.
	idlePause = 5 * time.Millisecond
)

func main() {
	redis, err := asynq.ParseRedisURI(os.Getenv("REDIS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	pool := contender.Connect(ctx)
	if len(os.Args) == 2 && os.Args[1] == "api" {
		client := asynq.NewClient(redis)
		contender.Serve(pool, func(ctx context.Context, r contender.Revocation) error {
			if err := contender.Submit(ctx, pool, r); err != nil {
				return err
			}
			_, err := client.EnqueueContext(ctx, asynq.NewTask("revoke", r.ID[:]))
			return err
		})
	}
	server := asynq.NewServer(redis, asynq.Config{Concurrency: concurrency, TaskCheckInterval: idlePause, LogLevel: asynq.WarnLevel})
	log.Fatal(server.Run(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		id, err := uuid.FromBytes(task.Payload())
		if err != nil {
			return err
		}
		return contender.CarryOut(ctx, pool, id)
	})))
}
