package queue_test

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rescind/internal/queue"
	"rescind/internal/revocation"
	"rescind/internal/testservers"
)

// BenchmarkPickUp measures the time from the call of EnqueueRevocations to the call of an idle worker's handler.
func BenchmarkPickUp(b *testing.B) {
	benchmarkBoth(b, func(b *testing.B, r *redis.Client) { pickUp(b, r, nil) })
}

// BenchmarkPickUpBesideAccountTasks is BenchmarkPickUp while account tasks of ten accounts run, in steps of 20 ms.
func BenchmarkPickUpBesideAccountTasks(b *testing.B) {
	benchmarkBoth(b, func(b *testing.B, r *redis.Client) {
		client := queue.NewClient(r)
		yield := client.Yield(revocation.JobsTask)
		go func() {
			for b.Context().Err() == nil {
				_ = client.EnqueueAccountTasks(b.Context(), revocation.JobsTask, accounts(10))
				time.Sleep(250 * time.Millisecond)
			}
		}()
		pickUp(b, r, accountTaskHandlers{revocation.JobsTask: func(ctx context.Context, _ string) error {
			for {
				time.Sleep(20 * time.Millisecond)
				if yield(ctx) {
					return nil
				}
			}
		}})
	})
}

func pickUp(b *testing.B, r *redis.Client, handlers accountTaskHandlers) {
	begun := make(chan time.Time, 1)
	start(b, queue.WorkerOptions{Redis: r, AccountTasks: handlers, CarryOut: func(context.Context, []revocation.Ref) error {
		begun <- time.Now()
		return nil
	}})
	client := queue.NewClient(r)
	var took []time.Duration
	id := revocation.ID{}
	for b.Loop() {
		b.StopTimer()
		time.Sleep(10 * time.Millisecond) // lets the worker become idle
		for i := len(id) - 1; ; i-- {
			if id[i]++; id[i] != 0 {
				break
			}
		}
		b.StartTimer()
		sent := time.Now()
		enqueue(b, client, revocation.Ref{Account: "acme", ID: id})
		took = append(took, await(b, begun).Sub(sent))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkEnqueueAccountTasks measures two cases: most tasks exist, which a dispatcher does four times a second for each
// kind while accounts have work; and no task exists, which happens once after Redis was emptied.
func BenchmarkEnqueueAccountTasks(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("accounts=%d", n), func(b *testing.B) {
			benchmarkBoth(b, func(b *testing.B, r *redis.Client) {
				client := queue.NewClient(r)
				for name, empty := range map[string]bool{"exist": false, "missing": true} {
					b.Run(name, func(b *testing.B) {
						enqueueAccountTasks(b, client, revocation.JobsTask, accounts(n)...)
						for b.Loop() {
							if empty {
								b.StopTimer()
								r.FlushAll(b.Context())
								b.StartTimer()
							}
							enqueueAccountTasks(b, client, revocation.JobsTask, accounts(n)...)
						}
					})
				}
			})
		})
	}
}

func accounts(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("account-%d", i)
	}
	return ids
}

// BenchmarkIdle measures what a worker without work costs this process, in hundredths of a core.
func BenchmarkIdle(b *testing.B) {
	benchmarkBoth(b, func(b *testing.B, r *redis.Client) {
		nothing := func(context.Context, string) error { return nil }
		start(b, queue.WorkerOptions{Redis: r, AccountTasks: accountTaskHandlers{
			revocation.JobsTask: nothing, revocation.UpstreamTask: nothing, revocation.MailTask: nothing,
		}})
		time.Sleep(time.Second) // lets the worker start
		var spent, passed time.Duration
		for b.Loop() {
			before, began := cpu(b), time.Now()
			time.Sleep(10 * time.Second)
			spent += cpu(b) - before
			passed += time.Since(began)
		}
		b.ReportMetric(100*float64(spent)/float64(passed), "cpu-%")
	})
}

func benchmarkBoth(b *testing.B, bench func(b *testing.B, r *redis.Client)) {
	b.Run("redis-server", func(b *testing.B) { bench(b, connect(b, testservers.Redis(b))) })
	b.Run("embedded", func(b *testing.B) { bench(b, embed(b)) })
}

func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
