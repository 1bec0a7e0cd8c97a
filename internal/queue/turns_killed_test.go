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

// victimRedis, in the environment, makes of the test's program a worker on the Redis that it names. Its turns tell
// that they begin and never end.
const victimRedis = "RESCIND_TEST_VICTIM_REDIS"

func hang(redisURL string) {
	go func() { // it does not outlive the test
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	client, err := queue.NewRedis(redisURL)
	if err != nil {
		panic(err)
	}
	err = queue.NewWorker(queue.WorkerOptions{
		Redis: client, Log: quiet, AccountTaskSlots: map[revocation.AccountTask]int{revocation.JobsTask: 4},
		AccountTasks: turns{revocation.JobsTask: func(context.Context, string) error {
			fmt.Println("begun")
			select {}
		}},
	}).Run(context.Background())
	panic(err)
}

// startVictim starts such a worker. begun gets what it tells; kill ends it as kill -9 does.
func startVictim(t *testing.T, redisURL string) (begun <-chan string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimRedis+"="+redisURL)
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

func TestTurnsOfAKilledWorker(t *testing.T) {
	t.Parallel()
	redisURL := testservers.Redis(t)
	r := connect(t, redisURL)
	client := queue.NewClient(r)
	begun, kill := startVictim(t, redisURL)
	giveTurns(t, client, revocation.JobsTask, "acme")
	for range 4 {
		await(t, begun)
	}
	kill()
	killed := time.Now()

	went := make(chan string, 100)
	start(t, queue.WorkerOptions{Redis: r, AccountTasks: turns{
		revocation.JobsTask: func(_ context.Context, account string) error {
			went <- account
			return nil
		},
	}})
	until(t, "another worker gets a turn", func() bool {
		giveTurns(t, client, revocation.JobsTask, "acme")
		return len(went) > 0
	})
	took := time.Since(killed)
	t.Logf("another worker got a turn after %s", took.Round(10*time.Millisecond))
	// It should come after 12 s at most. By itself, asynq needs 55 s at the least.
	if took > 40*time.Second {
		t.Errorf("another worker got a turn after %s only", took)
	}
}

func TestTurnOfALivingWorkerIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := connect(t, testservers.Redis(t))
	client := queue.NewClient(r)
	begun, release := make(chan struct{}, 100), make(chan struct{})
	start(t, queue.WorkerOptions{
		Redis: r, AccountTaskSlots: map[revocation.AccountTask]int{revocation.JobsTask: 8},
		AccountTasks: turns{revocation.JobsTask: func(context.Context, string) error {
			begun <- struct{}{}
			<-release
			return nil
		}},
	})
	defer close(release)
	giveTurns(t, client, revocation.JobsTask, "acme")
	for range 4 {
		await(t, begun)
	}
	lease := func() float64 { return r.ZScore(t.Context(), "asynq:{bulk}:lease", "jobs:acme:0").Val() }
	// Longer than what counts as silence.
	first := lease()
	until(t, "the worker has given three signs of life", func() bool {
		giveTurns(t, client, revocation.JobsTask, "acme")
		return lease() >= first+14
	})
	if len(begun) > 0 {
		t.Errorf("%d turns were given twice", len(begun))
	}
}
