package standalone_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"rescind/internal/queue"
	"rescind/internal/revocation"
	"rescind/internal/standalone"
)

func TestRedis(t *testing.T) {
	before := goleak.IgnoreCurrent()
	r := standalone.StartRedis()
	client := r.Client()
	ctx := t.Context()

	t.Run("has no port", func(t *testing.T) {
		if err := client.Ping(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		if ports := listening(t); len(ports) > 0 {
			t.Errorf("this process listens: %v", ports)
		}
	})
	t.Run("keys expire by themselves", func(t *testing.T) {
		if err := client.Set(ctx, "short", 1, time.Second).Err(); err != nil {
			t.Fatal(err)
		}
		if err := client.Set(ctx, "long", 1, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); client.Exists(ctx, "short").Val() == 1; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the key still exists")
			}
		}
		if client.Exists(ctx, "long").Val() != 1 {
			t.Error("a key expired too early")
		}
	})
	t.Run("runs the queue", func(t *testing.T) {
		carried := make(chan []revocation.Ref, 1)
		working, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		worker := queue.NewWorker(queue.WorkerOptions{
			Redis: client, Log: slog.New(slog.DiscardHandler),
			CarryOut: func(_ context.Context, batch []revocation.Ref) error {
				carried <- batch
				return nil
			},
			Send: func(context.Context, []revocation.NotificationRef) error { return nil },
		})
		go func() { ended <- worker.Run(working) }()
		sent := []revocation.Ref{{Account: "acme", ID: revocation.ID{1}, Attempt: 2}}
		if err := queue.NewClient(client).EnqueueRevocations(ctx, 0, sent); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sent, <-carried); diff != "" {
			t.Error(diff)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Run("does not answer and leaves no goroutine after Close", func(t *testing.T) {
		sub := client.Subscribe(ctx, "channel")
		defer func() { _ = sub.Close() }()
		if _, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if client.Ping(ctx).Err() == nil {
			t.Error("it answers after Close")
		}
		goleak.VerifyNone(t, before)
	})
}

// listening returns the TCP sockets of this process that accept connections, as Linux lists them.
func listening(t *testing.T) (ports []string) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	own := make(map[string]bool)
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil {
			own[target] = true
		}
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			field := strings.Fields(string(line))
			if len(field) > 9 && field[3] == "0A" && own[fmt.Sprintf("socket:[%s]", field[9])] {
				ports = append(ports, field[1])
			}
		}
	}
	return ports
}
