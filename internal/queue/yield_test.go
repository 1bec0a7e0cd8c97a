package queue_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rescind/internal/queue"
	"rescind/internal/revocation"
)

func TestYield(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		client := queue.NewClient(r)
		yield := client.Yield(revocation.JobsTask)
		t.Run("no task is pending", func(t *testing.T) {
			enqueueAccountTasks(t, client, revocation.MailTask, "acme") // of another kind
			if yield(t.Context()) {
				t.Error("Yield returns true")
			}
		})
		t.Run("a task ends when it has used up its time", func(t *testing.T) {
			begun, release := make(chan context.Context, 4), make(chan struct{})
			defer close(release)
			start(t, queue.WorkerOptions{
				Redis: r, AccountTaskSlots: map[revocation.AccountTask]int{revocation.JobsTask: 4},
				AccountTasks: accountTaskHandlers{revocation.JobsTask: func(ctx context.Context, _ string) error {
					begun <- ctx
					<-release
					return nil
				}},
			})
			enqueueAccountTasks(t, client, revocation.JobsTask, "acme")
			for range 3 {
				await(t, begun)
			}
			ctx := await(t, begun)
			if yield(ctx) {
				t.Error("Yield returns true at the beginning")
			}
			deadline, _ := ctx.Deadline()
			late, cancel := context.WithDeadline(ctx, deadline.Add(-30*time.Second))
			defer cancel()
			if !yield(late) {
				t.Error("Yield returns false after the time")
			}
		})
	})
}

func TestAccountTaskEndsWhenWorkerStops(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		client := queue.NewClient(r)
		yield := client.Yield(revocation.JobsTask)
		begun, ended := make(chan struct{}, 100), make(chan error, 100)
		// The test would time out before the worker does.
		stop := start(t, queue.WorkerOptions{
			Redis: r, ShutdownTimeout: time.Hour, AccountTaskSlots: map[revocation.AccountTask]int{revocation.JobsTask: 4},
			AccountTasks: accountTaskHandlers{revocation.JobsTask: func(ctx context.Context, _ string) error {
				begun <- struct{}{}
				for !yield(ctx) {
					time.Sleep(time.Millisecond)
				}
				ended <- ctx.Err()
				return nil
			}},
		})
		enqueueAccountTasks(t, client, revocation.JobsTask, "acme")
		for range 4 {
			await(t, begun)
		}
		stop()
		for len(ended) > 0 {
			if err := await(t, ended); err != nil {
				t.Errorf("the last step was cut off: %v", err)
			}
		}
		if left := accountTaskKeys(t, r); len(left) > 0 {
			t.Errorf("tasks are left: %v", left)
		}
	})
}
