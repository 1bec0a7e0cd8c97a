package queue_test

import (
	"context"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/queue"
	"rescind/internal/revocation"
	"rescind/internal/testservers"
)

func TestRedisAway(t *testing.T) {
	type server = *testservers.RedisServer
	for name, outage := range map[string]struct{ begin, end func(server) }{
		"killed":     {server.Kill, server.Start},
		"black hole": {server.Pause, server.Resume},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && name == "black hole" {
				t.Skip("takes 7 s")
			}
			redis := testservers.StartRedis(t)
			client := queue.NewClient(connect(t, redis.URL()))
			batches := make(chan []revocation.Ref, 100)
			start(t, queue.WorkerOptions{Redis: connect(t, redis.URL()), CarryOut: into(batches)})
			woken := make(chan []revocation.ID, 1000)
			listening, stopListening := context.WithCancel(t.Context())
			defer stopListening()
			go client.Listen(listening, func(ids []revocation.ID) {
				select {
				case woken <- ids:
				default:
				}
			})
			enqueue(t, client, ref(1))
			await(t, batches)

			outage.begin(redis)
			// Without timeouts, or with the defaults of the libraries, a call takes at least 20 s.
			const bound = 15 * time.Second
			for what, call := range map[string]func(context.Context) error{
				"EnqueueRevocations": func(ctx context.Context) error {
					return client.EnqueueRevocations(ctx, 0, []revocation.Ref{ref(2)})
				},
				"EnqueueNotifications": func(ctx context.Context) error {
					return client.EnqueueNotifications(ctx, []revocation.NotificationRef{{Account: "acme", Revocation: ref(2).ID}})
				},
				"EnqueueAccountTasks": func(ctx context.Context) error {
					return client.EnqueueAccountTasks(ctx, revocation.JobsTask, []string{"acme"})
				},
				"Ready": client.Ready,
			} {
				began := time.Now()
				if err := call(t.Context()); err == nil {
					t.Errorf("%s succeeds", what)
				}
				if took := time.Since(began); took > bound {
					t.Errorf("%s took %s to fail", what, took)
				}
			}
			if client.Yield(revocation.JobsTask)(t.Context()) {
				t.Error("Yield returns true although Redis does not answer")
			}
			if got := client.Health(t.Context()).State; got != queue.StateAway {
				t.Errorf("the state is %s", got)
			}

			outage.end(redis)
			until(t, "Redis is ready", func() bool { return client.Ready(t.Context()) == nil })
			enqueue(t, client, ref(3))
			until(t, "the worker continues", func() bool {
				return cmp.Equal([]revocation.Ref{ref(3)}, await(t, batches))
			})
			until(t, "outcomes arrive", func() bool {
				_ = client.Publish(t.Context(), []revocation.ID{ref(3).ID})
				return len(woken) > 0
			})
		})
	}
}

func TestWorkerStartsAndStopsWithoutRedis(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 4 s")
	}
	redis := testservers.StartRedis(t)
	redis.Kill()
	r := connect(t, redis.URL())
	batches := make(chan []revocation.Ref, 1)
	stop := start(t, queue.WorkerOptions{Redis: r, CarryOut: into(batches)})
	idle := start(t, queue.WorkerOptions{Redis: connect(t, redis.URL())})
	idle()

	redis.Start()
	client := queue.NewClient(r)
	until(t, "Redis is ready", func() bool { return client.Ready(t.Context()) == nil })
	enqueue(t, client, ref(1))
	await(t, batches)
	redis.Pause()
	defer redis.Resume()
	stop()
}

func TestListenReplacesSilentConnection(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	redisURL := testservers.Redis(t)
	through, silence := proxy(t, redisURL)
	listener, publisher := queue.NewClient(connect(t, through)), queue.NewClient(connect(t, redisURL))
	woken := make(chan struct{}, 1)
	go listener.Listen(t.Context(), func([]revocation.ID) {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	received := func() bool {
		if err := publisher.Publish(t.Context(), []revocation.ID{ref(1).ID}); err != nil {
			t.Fatal(err)
		}
		return len(woken) > 0
	}
	until(t, "an outcome arrives", received)
	silence()
	// Drop what was sent before the silence.
	time.Sleep(100 * time.Millisecond)
	for len(woken) > 0 {
		<-woken
	}
	until(t, "an outcome arrives over another connection", received)
}

// proxy starts a proxy for the Redis at redisURL. After silence is called, its existing connections stay open and carry
// nothing any more, as behind a firewall that has dropped their state. New connections work.
func proxy(t *testing.T, redisURL string) (throughURL string, silence func()) {
	t.Helper()
	u, err := url.Parse(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	target := u.Host
	u.Host = listener.Addr().String()
	var generation atomic.Int64
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				_ = in.Close()
				continue
			}
			born := generation.Load()
			forward := func(to, from net.Conn) {
				defer to.Close()
				buffer := make([]byte, 4096)
				for {
					n, err := from.Read(buffer)
					if err != nil {
						return
					}
					if generation.Load() == born {
						_, _ = to.Write(buffer[:n])
					}
				}
			}
			go forward(out, in)
			go forward(in, out)
		}
	}()
	return u.String(), func() { generation.Add(1) }
}
