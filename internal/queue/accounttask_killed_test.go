package queue_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"rescind/internal/queue"
	"rescind/internal/revocation"
	"rescind/internal/testservers"
)

// hangingWorkerRedis is an environment variable. If it is set, the test program is a worker that uses the Redis at this
// URL. Its account tasks print a line when they begin and never end.
const hangingWorkerRedis = "RESCIND_TEST_HANGING_WORKER_REDIS"

func runHangingWorker(redisURL string) {
	go func() { // exits when the test does
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	client, err := queue.NewRedis(redisURL)
	if err != nil {
		panic(err)
	}
	err = queue.NewWorker(queue.WorkerOptions{
		Redis: client, Log: quiet, AccountTaskSlots: map[revocation.AccountTask]int{revocation.JobsTask: 4},
		AccountTasks: accountTaskHandlers{revocation.JobsTask: func(context.Context, string) error {
			fmt.Println("begun")
			select {}
		}},
	}).Run(context.Background())
	panic(err)
}

// startHangingWorker starts such a worker as a process. begun receives the lines that it prints. kill kills it.
func startHangingWorker(t *testing.T, redisURL string) (begun <-chan string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), hangingWorkerRedis+"="+redisURL)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() { _ = cmd.Process.Kill() }
	lines := make(chan string, 100)
	go func() {
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		kill()
		_ = cmd.Wait()
	})
	return lines, kill
}

func TestAccountTasksOfKilledWorker(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 12 s")
	}
	redisURL := testservers.Redis(t)
	r := connect(t, redisURL)
	client := queue.NewClient(r)
	begun, kill := startHangingWorker(t, redisURL)
	enqueueAccountTasks(t, client, revocation.JobsTask, "acme")
	for range 4 {
		await(t, begun)
	}
	kill()
	killed := time.Now()

	went := make(chan string, 100)
	start(t, queue.WorkerOptions{Redis: r, AccountTasks: accountTaskHandlers{
		revocation.JobsTask: func(_ context.Context, account string) error {
			went <- account
			return nil
		},
	}})
	until(t, "another worker runs a task", func() bool {
		enqueueAccountTasks(t, client, revocation.JobsTask, "acme")
		return len(went) > 0
	})
	took := time.Since(killed)
	t.Logf("another worker ran a task after %s", took.Round(10*time.Millisecond))
	// It should take 12 s at most. asynq by itself takes at least 55 s.
	if took > 40*time.Second {
		t.Errorf("another worker ran a task only after %s", took)
	}
}

func TestAccountTaskOfLivingWorkerIsNotEnqueuedAgain(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 15 s")
	}
	r := connect(t, testservers.Redis(t))
	client := queue.NewClient(r)
	begun, release := make(chan struct{}, 100), make(chan struct{})
	start(t, queue.WorkerOptions{
		Redis: r, AccountTaskSlots: map[revocation.AccountTask]int{revocation.JobsTask: 8},
		AccountTasks: accountTaskHandlers{revocation.JobsTask: func(context.Context, string) error {
			begun <- struct{}{}
			<-release
			return nil
		}},
	})
	defer close(release)
	enqueueAccountTasks(t, client, revocation.JobsTask, "acme")
	for range 4 {
		await(t, begun)
	}
	lease := func() float64 { return r.ZScore(t.Context(), queue.AsynqKey("bulk", "lease"), "jobs:acme:0").Val() }
	// Longer than the silence after which a worker counts as dead.
	first := lease()
	until(t, "the worker has sent three heartbeats", func() bool {
		enqueueAccountTasks(t, client, revocation.JobsTask, "acme")
		return lease() >= first+14
	})
	if len(begun) > 0 {
		t.Errorf("%d tasks were enqueued twice", len(begun))
	}
}
