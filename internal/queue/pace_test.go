package queue_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rescind/internal/queue"
	"rescind/internal/testservers"
)

func TestPace(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *redis.Client) {
		wantPaced(t, 50, 20, r, r)
	})
	t.Run("over two processes", func(t *testing.T) {
		url := testservers.Redis(t)
		wantPaced(t, 50, 20, connect(t, url), connect(t, url))
	})
	t.Run("slower than one a second", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes 3 s")
		}
		url := testservers.Redis(t)
		wantPaced(t, 0.7, 3, connect(t, url), connect(t, url))
	})
	t.Run("it ends with its context", func(t *testing.T) {
		r := connect(t, testservers.Redis(t))
		pace := queue.NewPace(r, 0.001)
		if err := pace(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if err := pace(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it fails without Redis", func(t *testing.T) {
		server := testservers.StartRedis(t)
		server.Kill()
		if queue.NewPace(connect(t, server.URL()), 1)(t.Context()) == nil {
			t.Error("the message may be sent")
		}
	})
}

// wantPaced sends messages from several clients at once, and checks that they took at least the time that rate allows.
// The first message does not wait.
func wantPaced(t *testing.T, rate float64, messages int, clients ...*redis.Client) {
	t.Helper()
	began := time.Now()
	var waiting sync.WaitGroup
	for i := range messages {
		pace := queue.NewPace(clients[i%len(clients)], rate)
		waiting.Go(func() {
			if err := pace(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	waiting.Wait()
	least := time.Duration(float64(messages-1) / rate * float64(time.Second))
	// Redis's clock may differ from this process's clock.
	if took := time.Since(began); took < least*95/100 {
		t.Errorf("%d messages took %s, want at least %s", messages, took, least)
	}
}
