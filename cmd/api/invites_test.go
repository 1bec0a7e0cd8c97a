package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// importing runs invites import inside the test. Its standard input is written by write.
func importing(ctx context.Context, t *testing.T, dir string, write func(stdin io.Writer)) (exit int, stderr string) {
	t.Helper()
	stdin, in := io.Pipe()
	defer func() { _ = stdin.Close() }()
	go write(in)
	var errs bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"invites", "import", "--account", "acme", "-", "--data", dir}, stdin, io.Discard, &errs)
	}()
	select {
	case exit = <-ended:
		return exit, errs.String()
	case <-time.After(30 * time.Second):
		t.Fatal("the import does not end")
		return 0, ""
	}
}

func TestImport_stopped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if exit := run(t.Context(), []string{"account", "set", "acme", "--data", dir}, nil, io.Discard, io.Discard); exit != exitOK {
		t.Fatalf("exit %d", exit)
	}
	t.Run("while it waits for input", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		exit, stderr := importing(ctx, t, dir, func(stdin io.Writer) {
			_, _ = stdin.Write([]byte("report_id")) // it returns when the command reads
			stop()
		})
		if exit != exitFailed || stderr != "api: stopped before the end of the list\n" {
			t.Errorf("exit %d: %s", exit, stderr)
		}
	})
	t.Run("after invites were written", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		exit, stderr := importing(ctx, t, dir, func(stdin io.Writer) {
			_, _ = io.WriteString(stdin, invitesCSV(12_000)) // the command ends first, or else reads all of it
			stop()
		})
		if exit != exitFailed || !strings.Contains(stderr, "api: stopped before the end of the list\n") ||
			!strings.Contains(stderr, " invites were written before that; the same file can be imported again\n") {
			t.Errorf("exit %d: %s", exit, stderr)
		}
	})
}

func TestImport_upstream(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := t.TempDir() + "/key"
	if err := os.WriteFile(key, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"account", "set", "acme", "--upstream-url", "https://upstream.example", "--upstream-key-file", key, "--data", dir}
	if exit := run(t.Context(), args, nil, io.Discard, io.Discard); exit != exitOK {
		t.Fatalf("exit %d", exit)
	}
	exit, stderr := importing(t.Context(), t, dir, func(io.Writer) {})
	if exit != exitFailed || stderr != "api: the account's invites are at its upstream: they cannot be imported here\n" {
		t.Errorf("exit %d: %s", exit, stderr)
	}
}
