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
		t.Run("nobody waits", func(t *testing.T) {
			giveTurns(t, client, revocation.MailTask, "acme") // of another kind
			if yield(t.Context()) {
				t.Error("a turn ends for nobody")
			}
		})
		t.Run("a turn has its time, and ends when it is over", func(t *testing.T) {
			begun, release := make(chan context.Context, 4), make(chan struct{})
			defer close(release)
			start(t, queue.WorkerOptions{
				Redis: r, AccountTaskSlots: map[revocation.AccountTask]int{revocation.JobsTask: 4},
				AccountTasks: turns{revocation.JobsTask: func(ctx context.Context, _ string) error {
					begun <- ctx
					<-release
					return nil
				}},
			})
			giveTurns(t, client, revocation.JobsTask, "acme")
			for range 3 {
				await(t, begun)
			}
			ctx := await(t, begun)
			if yield(ctx) {
				t.Error("it ends at its beginning")
			}
			deadline, _ := ctx.Deadline()
			late, cancel := context.WithDeadline(ctx, deadline.Add(-30*time.Second))
			defer cancel()
			if !yield(late) {
				t.Error("it does not end after its time")
			}
		})
	})
}

func TestTurnEndsWhenItsWorkerStops(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		client := queue.NewClient(r)
		yield := client.Yield(revocation.JobsTask)
		begun, ended := make(chan struct{}, 100), make(chan error, 100)
		// The test would time out before the worker does.
		stop := start(t, queue.WorkerOptions{
			Redis: r, ShutdownTimeout: time.Hour, AccountTaskSlots: map[revocation.AccountTask]int{revocation.JobsTask: 4},
			AccountTasks: turns{revocation.JobsTask: func(ctx context.Context, _ string) error {
				begun <- struct{}{}
				for !yield(ctx) {
					time.Sleep(time.Millisecond)
				}
				ended <- ctx.Err()
				return nil
			}},
		})
		giveTurns(t, client, revocation.JobsTask, "acme")
		for range 4 {
			await(t, begun)
		}
		stop()
		for len(ended) > 0 {
			if err := await(t, ended); err != nil {
				t.Errorf("the last step was cut off: %v", err)
			}
		}
		if left := tokens(t, r); len(left) > 0 {
			t.Errorf("turns are left: %v", left)
		}
	})
}
