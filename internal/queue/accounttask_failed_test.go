package queue_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rescind/internal/queue"
	"rescind/internal/revocation"
)

func TestAccountTaskThatFails(t *testing.T) {
	for name, fail := range map[string]func() error{
		"an error": func() error { return errors.New("no such table") },
		"a panic":  func() error { panic("no such table") },
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, r *redis.Client) {
				client := queue.NewClient(r)
				var failing atomic.Bool
				failing.Store(true)
				went := make(chan string, 100)
				log := &buffer{}
				start(t, queue.WorkerOptions{
					Redis: r, Log: slog.New(slog.NewTextHandler(log, nil)),
					AccountTasks: accountTaskHandlers{revocation.JobsTask: func(_ context.Context, account string) error {
						if failing.Load() {
							return fail()
						}
						went <- account
						return nil
					}},
				})
				enqueueAccountTasks(t, client, revocation.JobsTask, "acme")
				until(t, "nothing is left of them", func() bool { return len(accountTaskKeys(t, r)) == 0 })
				enqueueAccountTasks(t, client, revocation.JobsTask, "globex")
				until(t, "nothing is left of the others", func() bool { return len(accountTaskKeys(t, r)) == 0 })
				for _, account := range []string{"acme", "globex"} { // each had four tasks that failed
					if n := log.count("task failed", "task=account-jobs:v1", "task_id=jobs:"+account+":", "no such table"); n != 1 {
						t.Errorf("the failure was logged %d times", n)
					}
				}
				failing.Store(false)
				enqueueAccountTasks(t, client, revocation.JobsTask, "acme")
				for range 4 {
					await(t, went)
				}
			})
		})
	}
}

// buffer is a log that can be read and written at the same time.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// count returns the number of lines that contain all words.
func (b *buffer) count(words ...string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.text.String()) {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			n++
		}
	}
	return n
}

func TestAccountTasksAreEnqueuedAgain(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, r *redis.Client){
		"after Redis was emptied": func(t *testing.T, r *redis.Client) {
			if err := r.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		},
		"after asynq archived them": func(t *testing.T, r *redis.Client) {
			if n, err := asynq.NewInspectorFromRedisClient(r).ArchiveAllPendingTasks("bulk"); err != nil || n != 4 {
				t.Fatalf("archived %d: %v", n, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, r *redis.Client) {
				client := queue.NewClient(r)
				enqueueAccountTasks(t, client, revocation.JobsTask, "acme")
				lose(t, r)
				enqueueAccountTasks(t, client, revocation.JobsTask, "acme")
				if n := pending(t, r, "bulk"); n != 4 {
					t.Errorf("%d tasks are pending, want 4", n)
				}
				if n := r.ZCard(t.Context(), queue.AsynqKey("bulk", "archived")).Val(); n != 0 {
					t.Errorf("%d tasks are archived", n)
				}
				went := make(chan string, 100)
				start(t, queue.WorkerOptions{Redis: r, AccountTasks: accountTaskHandlers{
					revocation.JobsTask: func(_ context.Context, account string) error {
						went <- account
						return nil
					},
				}})
				for range 4 {
					await(t, went)
				}
			})
		})
	}
}
