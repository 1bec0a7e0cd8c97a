package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"rescind/internal/queue"
	"rescind/internal/revocation"
	"rescind/internal/testservers"
)

// maxWait bounds how long a test waits for what must happen. It is not a measure of speed.
const maxWait = time.Minute

var quiet = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) {
	queue.LogRedis(quiet)
	if url := os.Getenv(hangingWorkerRedis); url != "" {
		runHangingWorker(url)
	}
	os.Exit(m.Run())
}

// onBoth runs a test against a redis-server and against an embedded Redis.
func onBoth(t *testing.T, test func(t *testing.T, r *redis.Client)) {
	t.Run("redis-server", func(t *testing.T) { test(t, connect(t, testservers.Redis(t))) })
	t.Run("embedded", func(t *testing.T) { test(t, embed(t)) })
}

// embed runs a Redis in this process, as the standalone form does.
func embed(t testing.TB) *redis.Client {
	server := miniredis.NewMiniRedis()
	client := queue.NewInProcess(server.Dial)
	t.Cleanup(func() {
		_ = client.Close()
		server.Close()
	})
	return client
}

func connect(t testing.TB, url string) *redis.Client {
	t.Helper()
	client, err := queue.NewRedis(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// start runs a worker until the test ends or stop is called. stop returns after Run has returned.
func start(t testing.TB, o queue.WorkerOptions) (stop func()) {
	t.Helper()
	if o.CarryOut == nil {
		o.CarryOut = func(context.Context, []revocation.Ref) error { return nil }
	}
	if o.Send == nil {
		o.Send = func(context.Context, []revocation.NotificationRef) error { return nil }
	}
	if o.Log == nil {
		o.Log = quiet
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- queue.NewWorker(o).Run(ctx) }()
	var stopped atomic.Bool
	stop = func() {
		cancel()
		if stopped.Swap(true) {
			return
		}
		if err := await(t, ended); err != nil {
			t.Errorf("the worker ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func await[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(maxWait):
		t.Fatal("timed out")
		panic("unreachable")
	}
}

// until waits for a condition.
func until(t testing.TB, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(maxWait); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

func enqueue(t testing.TB, c *queue.Client, batch ...revocation.Ref) {
	t.Helper()
	if err := c.EnqueueRevocations(t.Context(), 0, batch); err != nil {
		t.Fatal(err)
	}
}

func ref(n byte) revocation.Ref {
	return revocation.Ref{Account: "acme", ID: revocation.ID{0x01, 15: n}}
}

// into returns a function that sends each batch to a channel.
func into[Ref any](ch chan<- []Ref) func(context.Context, []Ref) error {
	return func(_ context.Context, batch []Ref) error {
		ch <- batch
		return nil
	}
}

func TestTasks(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		client := queue.NewClient(r)
		batches := make(chan []revocation.Ref, 10)
		mails := make(chan []revocation.NotificationRef, 10)
		start(t, queue.WorkerOptions{Redis: r, CarryOut: into(batches), Send: into(mails)})

		t.Run("revocations arrive as they were sent, account by account", func(t *testing.T) {
			a, b, c := ref(1), ref(2), ref(3)
			b.Account, b.Attempt = "globex", 7
			enqueue(t, client, a, b, c)
			if diff := cmp.Diff([]revocation.Ref{a, c, b}, await(t, batches)); diff != "" {
				t.Error(diff)
			}
		})
		t.Run("emails arrive as they were sent", func(t *testing.T) {
			sent := []revocation.NotificationRef{
				{Account: "acme", Revocation: ref(1).ID},
				{Account: "acme", Revocation: ref(2).ID, Claims: 3, DispatchCount: 4},
			}
			if err := client.EnqueueNotifications(t.Context(), sent); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sent, await(t, mails)); diff != "" {
				t.Error(diff)
			}
		})
		t.Run("the worker continues after Redis was emptied", func(t *testing.T) {
			if err := r.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			enqueue(t, client, ref(4))
			if diff := cmp.Diff([]revocation.Ref{ref(4)}, await(t, batches)); diff != "" {
				t.Error(diff)
			}
		})
	})
}

func TestSameTaskTwice(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		client := queue.NewClient(r)
		enqueue(t, client, ref(1))
		enqueue(t, client, ref(1))
		mail := []revocation.NotificationRef{{Account: "acme", Revocation: ref(1).ID}}
		for range 2 {
			if err := client.EnqueueNotifications(t.Context(), mail); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.EnqueueRevocations(t.Context(), 1, []revocation.Ref{ref(1)}); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]int64{"single": 2, "mail": 1} {
			if n := r.LLen(t.Context(), queue.AsynqKey(name, "pending")).Val(); n != want {
				t.Errorf("%d tasks are pending in %s, want %d", n, name, want)
			}
		}
	})
}

func TestIdleWorkerIsWoken(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		client := queue.NewClient(r)
		batches := make(chan []revocation.Ref, 1)
		start(t, queue.WorkerOptions{Redis: r, CarryOut: into(batches)})
		enqueue(t, client, ref(0))
		await(t, batches)

		const tasks = 20
		var waited time.Duration
		for i := range tasks {
			// The worker should be idle. If it is not yet, the test is only weaker.
			time.Sleep(20 * time.Millisecond)
			began := time.Now()
			enqueue(t, client, ref(byte(i+1)))
			await(t, batches)
			waited += time.Since(began)
		}
		// Without a wake-up, each would wait until the worker polls, once a second.
		if limit := tasks * 500 * time.Millisecond; waited > limit {
			t.Errorf("%d tasks waited for %s in all, as if nothing woke the worker", tasks, waited)
		}
	})
}

func TestIdleWorkerDoesNotPoll(t *testing.T) {
	t.Parallel()
	r := connect(t, testservers.Redis(t))
	batches := make(chan []revocation.Ref, 1)
	nothing := func(context.Context, string) error { return nil }
	start(t, queue.WorkerOptions{Redis: r, CarryOut: into(batches), AccountTasks: accountTaskHandlers{
		revocation.JobsTask: nothing, revocation.UpstreamTask: nothing, revocation.MailTask: nothing,
	}})
	enqueue(t, queue.NewClient(r), ref(1))
	await(t, batches)

	before, began := scripts(t, r), time.Now()
	time.Sleep(2 * time.Second)
	rate := float64(scripts(t, r)-before) / time.Since(began).Seconds()
	// Each of five servers polls twice a second for tasks and once for retries; asynq alone would poll 1,000 times.
	if rate > 30 {
		t.Errorf("an idle worker runs %.0f scripts a second", rate)
	}
}

// scripts returns how many scripts Redis has run. asynq uses scripts for nearly everything.
func scripts(t *testing.T, r *redis.Client) (calls int) {
	t.Helper()
	stats, err := r.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(stats) {
		var n int
		if _, err := fmt.Sscanf(line, "cmdstat_evalsha:calls=%d", &n); err == nil {
			calls = n
		}
	}
	return calls
}

func TestFailedTask(t *testing.T) {
	for name, fail := range map[string]func() error{
		"an error":  func() error { return errors.New("jane@example.com is not welcome") },
		"a panic":   func() error { panic("jane@example.com is not welcome") },
		"an answer": func() error { return &revocation.Error{Code: revocation.CodeUnavailable} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, r *redis.Client) {
				var tries atomic.Int32
				batches := make(chan []revocation.Ref, 10)
				start(t, queue.WorkerOptions{Redis: r, CarryOut: func(_ context.Context, batch []revocation.Ref) error {
					if tries.Add(1) == 1 {
						return fail()
					}
					batches <- batch
					return nil
				}})
				enqueue(t, queue.NewClient(r), ref(1))
				if diff := cmp.Diff([]revocation.Ref{ref(1)}, await(t, batches)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestErrorTextIsNotStoredInRedis(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		start(t, queue.WorkerOptions{Redis: r, CarryOut: func(context.Context, []revocation.Ref) error {
			return errors.New("jane@example.com is not welcome")
		}})
		enqueue(t, queue.NewClient(r), ref(1))
		inspector := asynq.NewInspectorFromRedisClient(r)
		var stored string
		until(t, "the task has failed", func() bool {
			info, err := inspector.GetTaskInfo("single", ref(1).ID.String()+":0:0")
			if err == nil {
				stored = info.LastErr
			}
			return stored != ""
		})
		if want := "task failed: internal"; stored != want {
			t.Errorf("Redis holds %q, want %q", stored, want)
		}
	})
}

func TestUnreadableTaskIsDropped(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		for _, task := range []*asynq.Task{
			asynq.NewTask("revocations:v1", []byte("garbage")),
			asynq.NewTask("revocations:v1", []byte(`{"accounts":[{"account":"acme","items":[{"id":"318"}]}]}`)),
			asynq.NewTask("revocations:v1", []byte(`{}`)),
			asynq.NewTask("revocations:v9", []byte(`{}`), asynq.MaxRetry(0)),
		} {
			if _, err := asynq.NewClientFromRedisClient(r).EnqueueContext(t.Context(), task, asynq.Queue("single")); err != nil {
				t.Fatal(err)
			}
		}
		start(t, queue.WorkerOptions{Redis: r, CarryOut: func(context.Context, []revocation.Ref) error {
			t.Error("it was carried out")
			return nil
		}})
		until(t, "nothing is left of them", func() bool {
			return len(r.Keys(t.Context(), queue.AsynqKey("single", "t:*")).Val()) == 0
		})
	})
}

func TestArchivedTasksAreDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		enqueue(t, queue.NewClient(r), ref(1))
		if _, err := asynq.NewInspectorFromRedisClient(r).ArchiveAllPendingTasks("single"); err != nil {
			t.Fatal(err)
		}
		// A client that enqueued before Redis was emptied does not register its queues again.
		if err := r.Del(t.Context(), queue.AsynqQueues).Err(); err != nil {
			t.Fatal(err)
		}
		start(t, queue.WorkerOptions{Redis: r})
		until(t, "the archived task is gone", func() bool {
			return len(r.Keys(t.Context(), queue.AsynqKey("single", "t:*")).Val()) == 0
		})
	})
}

func TestStop(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		t.Run("it waits for running tasks", func(t *testing.T) {
			begun, release := make(chan struct{}), make(chan struct{})
			var ended atomic.Bool
			stop := start(t, queue.WorkerOptions{Redis: r, CarryOut: func(ctx context.Context, _ []revocation.Ref) error {
				close(begun)
				<-release
				ended.Store(ctx.Err() == nil)
				return nil
			}})
			enqueue(t, queue.NewClient(r), ref(1))
			await(t, begun)
			time.AfterFunc(100*time.Millisecond, func() { close(release) })
			stop()
			if !ended.Load() {
				t.Error("the worker did not wait for its task, or cancelled it")
			}
			if keys := r.Keys(t.Context(), queue.AsynqKey("single", "t:*")).Val(); len(keys) > 0 {
				t.Errorf("tasks are left: %v", keys)
			}
		})
		t.Run("a task that does not end is cancelled and put back", func(t *testing.T) {
			begun, cancelled := make(chan struct{}), make(chan struct{})
			stop := start(t, queue.WorkerOptions{
				Redis: r, ShutdownTimeout: time.Millisecond,
				CarryOut: func(ctx context.Context, _ []revocation.Ref) error {
					close(begun)
					<-ctx.Done()
					close(cancelled)
					return ctx.Err()
				},
			})
			enqueue(t, queue.NewClient(r), ref(2))
			await(t, begun)
			stop()
			await(t, cancelled)
			if n := r.LLen(t.Context(), queue.AsynqKey("single", "pending")).Val(); n != 1 {
				t.Errorf("%d tasks are pending, want 1", n)
			}
		})
		t.Run("a stopped worker takes nothing", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			err := queue.NewWorker(queue.WorkerOptions{
				Redis: r, Log: quiet,
				CarryOut: func(context.Context, []revocation.Ref) error {
					t.Error("it took a task")
					return nil
				},
			}).Run(ctx)
			if err != nil {
				t.Error(err)
			}
		})
	})
}

func TestStopLeavesNoGoroutines(t *testing.T) {
	// Not an embedded Redis, whose connections have goroutines in this process.
	r := connect(t, testservers.Redis(t))
	before := goleak.IgnoreCurrent()
	batches := make(chan []revocation.Ref, 1)
	stop := start(t, queue.WorkerOptions{Redis: r, CarryOut: into(batches)})
	enqueue(t, queue.NewClient(r), ref(1))
	await(t, batches)
	stop()
	goleak.VerifyNone(t, before)
}

func TestOutcomes(t *testing.T) {
	onBoth(t, func(t *testing.T, r *redis.Client) {
		client := queue.NewClient(r)
		woken := make(chan []revocation.ID, 1000)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			client.Listen(ctx, func(ids []revocation.ID) { woken <- ids })
		}()
		want := []revocation.ID{ref(1).ID, ref(2).ID}
		until(t, "an outcome arrives", func() bool {
			for _, malformed := range []string{"", "short", "longer than an id"} {
				r.Publish(t.Context(), "rescind:outcomes", malformed)
			}
			if err := client.Publish(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			return len(woken) > 0
		})
		if diff := cmp.Diff(want, await(t, woken)); diff != "" {
			t.Error(diff)
		}
		cancel()
		await(t, ended)
	})
}
