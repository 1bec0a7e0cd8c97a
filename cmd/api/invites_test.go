package main

import (
	"bytes"
	"compress/gzip"
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
	needPrograms(t)
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

func TestImport_formats(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	dir := t.TempDir()
	if exit := run(t.Context(), []string{"account", "set", "acme", "--data", dir}, nil, io.Discard, io.Discard); exit != exitOK {
		t.Fatalf("exit %d", exit)
	}
	gzipped := func(text string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, text)
		_ = z.Close()
		return b.String()
	}
	const object = `{"report_id":1,"candidate_name":"Ada","candidate_email":"ada@example.com","assessment_name":"Go","sent_at":"2026-01-01T00:00:00Z"}` + "\n"
	const imported = "invites are written, 0 rows could not be read.\n"
	csv := invitesCSV(2)
	for name, c := range map[string]struct {
		content string
		exit    int
		want    string
	}{
		"NDJSON":               {object + object, exitOK, "This is JSON, with an object on each line.\n2 " + imported},
		"NDJSON after a mark":  {"\ufeff\r\n " + object + object, exitOK, "2 " + imported},
		"NDJSON, packed":       {gzipped(object + object), exitOK, "2 " + imported},
		"NDJSON with a fault":  {"{\n" + object + object, exitFailed, "row 1: not valid JSON (line 1)\n2 invites are written, "},
		"one":                  {object, exitOK, "1 invite is written, 0 rows could not be read.\n"},
		"CSV, packed":          {gzipped(csv), exitOK, "2 " + imported},
		"CSV after a mark":     {"\ufeff" + csv, exitOK, "2 " + imported},
		"CSV, packed and torn": {gzipped(csv)[:60], exitFailed, "unpack the file: unexpected EOF"},
		"no gzip":              {"\x1f\x8b\x00", exitFailed, "unpack the file: "},
		"packed twice":         {gzipped(gzipped(csv)), exitFailed, "api: This is a file packed by gzip. It is packed twice: unpack it once and import that.\n"},
		"an array of JSON":     {"[" + object + "]", exitFailed, "api: This is JSON. Write one object on each line, in UTF-8, and import that.\n"},
		"Rich Text":            {`{\rtf1\ansi report_id\par}`, exitFailed, "api: This is a Rich Text document. Save the list as CSV or .xlsx and use that.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			exit, stderr := importing(t.Context(), t, dir, func(stdin io.Writer) {
				_, _ = io.WriteString(stdin, c.content)
				_ = stdin.(io.Closer).Close()
			})
			if exit != c.exit || !strings.Contains(stderr, c.want) {
				t.Errorf("exit %d: %s", exit, stderr)
			}
		})
	}
	t.Run("NDJSON with a sheet", func(t *testing.T) {
		var stderr bytes.Buffer
		exit := run(t.Context(), []string{"invites", "import", "--account", "acme", "--sheet", "List", "-", "--data", dir}, strings.NewReader(object), io.Discard, &stderr)
		if exit != exitFailed || stderr.String() != "api: --sheet: the file is text, which has no sheets\n" {
			t.Errorf("exit %d: %s", exit, &stderr)
		}
	})
}

func TestImport_upstream(t *testing.T) {
	t.Parallel()
	needPrograms(t)
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
