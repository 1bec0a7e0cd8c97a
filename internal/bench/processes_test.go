package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// program is the path of one that was built.
func (b *bench) program(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) run(env []string, program string, args ...string) string {
	b.Helper()
	return b.feed(nil, env, program, args...)
}

// feed runs a program with an input.
func (b *bench) feed(input io.Reader, env []string, program string, args ...string) string {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = input
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%s %v: %v: %s", program, args, err, errs.String())
	}
	return string(out)
}

// begin starts a program that runs until it is told to stop, or the end; its log goes to a file, as it would.
func (b *bench) begin(env, command []string) *exec.Cmd {
	b.Helper()
	log, err := os.OpenFile(filepath.Join(b.dir, filepath.Base(command[0])+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	b.must(err)
	defer func() { _ = log.Close() }() // the program has its own
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	b.must(cmd.Start())
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // or it has ended
	return cmd
}

func (b *bench) await(url string) {
	b.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
		b.must(err)
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = res.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			b.Fatal(err)
		}
	}
}

// call asks an API for something, waits for as long as it can be waited for, and reads the answer.
func (b *bench) call(t target, method, path string, csv io.Reader, answer any) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, "http://"+t.addr+path, csv)
	b.must(err)
	req.Header.Set("apiKey", t.key)
	req.Header.Set("Prefer", "wait=30")
	if csv != nil {
		req.Header.Set("Content-Type", "text/csv")
	}
	res, err := http.DefaultClient.Do(req)
	b.must(err)
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode > 299 {
		b.Fatalf("%s %s: %d", method, path, res.StatusCode)
	}
	b.must(json.NewDecoder(res.Body).Decode(answer))
}

func (b *bench) query(database string, do func(*pgx.Conn) error) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), database)
	b.must(err)
	defer func() { _ = conn.Close(context.WithoutCancel(b.Context())) }()
	b.must(do(conn))
}

func (b *bench) redisClient(env []string) *redis.Client {
	b.Helper()
	var address string
	for _, setting := range env {
		if value, found := strings.CutPrefix(setting, "REDIS_URL="); found {
			address = value
		}
	}
	options, err := redis.ParseURL(address)
	b.must(err)
	return redis.NewClient(options)
}

// redisInfo returns a field of Redis's INFO.
func (b *bench) redisInfo(section, field string) string {
	b.Helper()
	client := b.redisClient([]string{"REDIS_URL=" + b.redis + "/0"})
	defer func() { _ = client.Close() }()
	info, err := client.Info(b.Context(), section).Result()
	b.must(err)
	for line := range strings.Lines(info) {
		if value, found := strings.CutPrefix(line, field+":"); found {
			return strings.TrimSpace(value)
		}
	}
	b.Fatalf("Redis reports no %s", field)
	return ""
}

func (b *bench) nodeVersion() (version string, found bool) {
	out, err := exec.CommandContext(b.Context(), "node", "--version").Output()
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "v"), err == nil
}

func (b *bench) goVersion() string { return "Go " + strings.TrimPrefix(runtime.Version(), "go") }

// processor is how many cores there are, and of what.
func (b *bench) processor() string {
	model := runtime.GOARCH
	info, err := os.ReadFile("/proc/cpuinfo")
	b.must(err)
	for line := range strings.Lines(string(info)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
		}
	}
	return fmt.Sprintf("%d cores (%s)", runtime.NumCPU(), model)
}
