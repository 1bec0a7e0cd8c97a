package queue_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rescind/internal/queue"
	"rescind/internal/revocation"
)

// accountTaskHandlers has the function of a worker for each kind of account task.
type accountTaskHandlers = map[revocation.AccountTask]func(context.Context, string) error

func enqueueAccountTasks(t testing.TB, c *queue.Client, kind revocation.AccountTask, accounts ...string) {
	t.Helper()
	if err := c.EnqueueAccountTasks(t.Context(), kind, accounts); err != nil {
		t.Fatal(err)
	}
}

// accountTaskKeys returns the keys of the jobs' account tasks in Redis, in all states.
func accountTaskKeys(t testing.TB, r *redis.Client) []string {
	t.Helper()
	keys, err := r.Keys(t.Context(), queue.AsynqKey("bulk", "t:*")).Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}

func pending(t testing.TB, r *redis.Client, name string) int64 {
	t.Helper()
	n, err := r.LLen(t.Context(), queue.AsynqKey(name, "pending")).Result()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAccountTasksAreBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		var callers sync.WaitGroup
		for range 4 {
			client := queue.NewClient(r)
			callers.Go(func() {
				for range 250 {
					if err := client.EnqueueAccountTasks(t.Context(), revocation.JobsTask, []string{"acme", "globex", "acme"}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		callers.Wait()
		if n := pending(t, r, "bulk"); n != 8 {
			t.Errorf("%d tasks are pending, want 4 of each account", n)
		}
		keys := accountTaskKeys(t, r)
		bytes := 0
		for _, key := range keys {
			bytes += len(key)
			for field, value := range r.HGetAll(t.Context(), key).Val() {
				bytes += len(field) + len(value)
			}
		}
		if len(keys) != 8 || bytes > 8*300 {
			t.Errorf("Redis holds %d tasks in %d bytes", len(keys), bytes)
		}

		begun, release := make(chan struct{}, 8), make(chan struct{})
		start(t, queue.WorkerOptions{
			Redis: r, AccountTaskSlots: map[revocation.AccountTask]int{revocation.JobsTask: 8},
			AccountTasks: accountTaskHandlers{revocation.JobsTask: func(context.Context, string) error {
				begun <- struct{}{}
				<-release
				return nil
			}},
		})
		defer close(release)
		for range 8 {
			await(t, begun)
		}
		enqueueAccountTasks(t, queue.NewClient(r), revocation.JobsTask, "acme", "globex")
		if n := pending(t, r, "bulk"); n != 0 {
			t.Errorf("%d tasks were added to the active ones", n)
		}
	})
}

func TestAccountTasksOfManyAccounts(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		accounts := accounts(300)
		client := queue.NewClient(r)
		for range 2 {
			until(t, "all tasks were enqueued in time", func() bool {
				return client.EnqueueAccountTasks(t.Context(), revocation.MailTask, accounts) == nil
			})
		}
		tasks, err := asynq.NewInspectorFromRedisClient(r).ListPendingTasks("bulkmail", asynq.PageSize(10_000))
		if err != nil {
			t.Fatal(err)
		}
		byAccount := make(map[string]int)
		for _, task := range tasks {
			account := string(task.Payload)
			byAccount[account]++
			if !strings.HasPrefix(task.ID, "mails:"+account+":") {
				t.Errorf("the task %s is for %s", task.ID, account)
			}
		}
		for _, account := range accounts {
			if byAccount[account] != 4 {
				t.Fatalf("an account has %d tasks, want 4", byAccount[account])
			}
		}
		if len(tasks) != 1200 {
			t.Errorf("%d tasks are pending, want 1200", len(tasks))
		}
	})
}

func TestAccountsAlternate(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		client := queue.NewClient(r)
		yield := client.Yield(revocation.JobsTask)
		enqueueAccountTasks(t, client, revocation.JobsTask, "acme", "globex")
		// One slot runs the steps of both accounts, and each account has work until the end.
		stepsLeft := map[string]int{"acme": 4, "globex": 4}
		steps := make(chan string, 8)
		start(t, queue.WorkerOptions{
			Redis: r, AccountTaskSlots: map[revocation.AccountTask]int{revocation.JobsTask: 1},
			AccountTasks: accountTaskHandlers{revocation.JobsTask: func(ctx context.Context, account string) error {
				for stepsLeft[account] > 0 {
					stepsLeft[account]--
					steps <- account
					if yield(ctx) {
						break
					}
				}
				return nil
			}},
		})
		for i := range 4 {
			round := []string{await(t, steps), await(t, steps)}
			slices.Sort(round)
			if diff := cmp.Diff([]string{"acme", "globex"}, round); diff != "" {
				t.Errorf("round %d: %s", i, diff)
			}
		}
	})
}

func TestAccountTaskYieldsToOthers(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		client := queue.NewClient(r)
		yield := client.Yield(revocation.MailTask)
		begun := make(chan string, 100)
		enqueueAccountTasks(t, client, revocation.MailTask, "acme")
		start(t, queue.WorkerOptions{
			Redis: r, AccountTaskSlots: map[revocation.AccountTask]int{revocation.MailTask: 1},
			AccountTasks: accountTaskHandlers{revocation.MailTask: func(ctx context.Context, account string) error {
				begun <- account
				for !yield(ctx) {
					if err := ctx.Err(); err != nil {
						return err
					}
				}
				return nil
			}},
		})
		for range 4 {
			await(t, begun)
		}
		// No other task is pending while the fourth runs.
		enqueueAccountTasks(t, client, revocation.MailTask, "globex")
		if got := await(t, begun); got != "globex" {
			t.Errorf("the next task is of %s", got)
		}
	})
}

func TestAccountTasksDoNotDelayOtherQueues(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		client := queue.NewClient(r)
		begun, release := make(chan struct{}, 100), make(chan struct{})
		mails := make(chan string, 1)
		batches := make(chan []revocation.Ref, 1)
		start(t, queue.WorkerOptions{Redis: r, CarryOut: into(batches), AccountTasks: accountTaskHandlers{
			revocation.JobsTask: func(context.Context, string) error {
				begun <- struct{}{}
				<-release
				return nil
			},
			revocation.MailTask: func(_ context.Context, account string) error {
				select {
				case mails <- account:
				default:
				}
				return nil
			},
		}})
		defer close(release)
		enqueueAccountTasks(t, client, revocation.JobsTask, "acme", "globex")
		await(t, begun)
		await(t, begun) // all slots of the class
		enqueueAccountTasks(t, client, revocation.MailTask, "acme")
		await(t, mails)
		enqueue(t, client, ref(1))
		await(t, batches)
	})
}

func TestAccountTaskOfUnknownKind(t *testing.T) {
	if err := queue.NewClient(embed(t)).EnqueueAccountTasks(t.Context(), "breakfast", []string{"acme"}); err == nil {
		t.Error("it was enqueued")
	}
}
