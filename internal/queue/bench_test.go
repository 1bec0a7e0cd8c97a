package queue_test

import (
	"context"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rescind/internal/queue"
	"rescind/internal/revocation"
	"rescind/internal/testservers"
)

// BenchmarkPickUp measures from the call of EnqueueRevocations on an idle worker to the call of its handler.
func BenchmarkPickUp(b *testing.B) {
	benchmarkBoth(b, func(b *testing.B, r *redis.Client) {
		begun := make(chan time.Time, 1)
		start(b, queue.WorkerOptions{Redis: r, CarryOut: func(context.Context, []revocation.Ref) error {
			begun <- time.Now()
			return nil
		}})
		client := queue.NewClient(r)
		var took []time.Duration
		id := revocation.ID{}
		for b.Loop() {
			b.StopTimer()
			time.Sleep(10 * time.Millisecond) // it becomes idle
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
	})
}

// BenchmarkIdle measures what a worker without work costs this process, in hundredths of a core.
func BenchmarkIdle(b *testing.B) {
	benchmarkBoth(b, func(b *testing.B, r *redis.Client) {
		start(b, queue.WorkerOptions{Redis: r})
		time.Sleep(time.Second) // it has started
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
