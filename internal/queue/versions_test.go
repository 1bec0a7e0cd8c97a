package queue_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rescind/internal/queue"
	"rescind/internal/revocation"
)

// TestVersions shows that workers of two versions can use the same Redis, as during an upgrade.
func TestVersions(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 13 s")
	}
	send := func(t *testing.T, r *redis.Client, task *asynq.Task, opts ...asynq.Option) {
		t.Helper()
		if _, err := asynq.NewClientFromRedisClient(r).EnqueueContext(t.Context(), task, opts...); err != nil {
			t.Fatal(err)
		}
	}
	onBoth(t, func(t *testing.T, r *redis.Client) {
		t.Run("a task of another version is put back, and a worker of that version carries it out", func(t *testing.T) {
			send(t, r, asynq.NewTask("revocations:v9", []byte("of the future")), asynq.Queue("single"), asynq.MaxRetry(5))
			stop := start(t, queue.WorkerOptions{Redis: r, CarryOut: func(context.Context, []revocation.Ref) error {
				t.Error("the old worker carried it out")
				return nil
			}})
			inspector := asynq.NewInspectorFromRedisClient(r)
			until(t, "the old worker has put it back", func() bool {
				tasks, err := inspector.ListRetryTasks("single")
				return err == nil && len(tasks) == 1
			})
			stop()

			carriedOut := make(chan string, 1)
			future := asynq.NewServerFromRedisClient(r, asynq.Config{Queues: map[string]int{"single": 1}, LogLevel: asynq.FatalLevel})
			if err := future.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
				carriedOut <- string(task.Payload())
				return nil
			})); err != nil {
				t.Fatal(err)
			}
			defer future.Shutdown()
			if got := await(t, carriedOut); got != "of the future" {
				t.Errorf("the payload is %q", got)
			}
		})
		t.Run("a worker ignores unknown fields", func(t *testing.T) {
			send(t, r, asynq.NewTask("revocations:v1", []byte(`{"tomorrow": 1, "accounts": [{"account": "acme", "region": "eu",
				"items": [{"id": "`+ref(1).ID.String()+`", "priority": 7}]}]}`)), asynq.Queue("single"))
			batches := make(chan []revocation.Ref, 1)
			start(t, queue.WorkerOptions{Redis: r, CarryOut: into(batches)})
			if diff := cmp.Diff([]revocation.Ref{ref(1)}, await(t, batches)); diff != "" {
				t.Error(diff)
			}
		})
		t.Run("an account task of another version is replaced", func(t *testing.T) {
			// With the id that the task would have in this version.
			send(t, r, asynq.NewTask("account-jobs:v9", []byte("acme")), asynq.Queue("bulk"), asynq.MaxRetry(0), asynq.TaskID("jobs:acme:0"))
			var ran atomic.Int32
			start(t, queue.WorkerOptions{Redis: r, AccountTasks: map[revocation.AccountTask]func(context.Context, string) error{
				revocation.JobsTask: func(context.Context, string) error { ran.Add(1); return nil },
			}})
			c := queue.NewClient(r)
			until(t, "the old task is gone", func() bool { return r.Exists(t.Context(), queue.AsynqKey("bulk", "t:jobs:acme:0")).Val() == 0 })
			if err := c.EnqueueAccountTasks(t.Context(), revocation.JobsTask, []string{"acme"}); err != nil {
				t.Fatal(err)
			}
			until(t, "all tasks of the account have run", func() bool { return ran.Load() == 4 })
		})
	})
}
