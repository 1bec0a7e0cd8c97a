package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func zipped(t *testing.T, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOpenInput(t *testing.T) {
	const csv, lines, whole = "report_id\n1\n", `{"report_id": 1}`, `{"report_ids": [1]}`
	for _, c := range []struct {
		name, content, media string
		gzip                 bool
	}{
		{"a.csv", lines, mediaCSV, false},
		{"A.CSV.GZ", "", mediaCSV, true},
		{"a.ndjson", csv, mediaLines, false},
		{"a.jsonl.gz", csv, mediaLines, true},
		{"a.json", csv, mediaJSON, false},
		{"a.json.gz", "", mediaJSON, true},
		{"list", csv, mediaCSV, false},
		{"list.txt", "\ufeff" + csv, mediaCSV, false},
		{"list.gz", zipped(t, csv), mediaCSV, true},
		{"-", csv, mediaCSV, false},
		{"-", "", mediaCSV, false},
		{"-", "{", mediaLines, false},
		{"-", "1\n", mediaCSV, false},
		{"-", "\n\n " + lines + "\n{", mediaLines, false},
		{"-", "\ufeff" + lines, mediaLines, false},
		{"-", `{"notify_candidate": true, "report_id": 1}`, mediaLines, false},
		{"-", zipped(t, lines), mediaLines, true},
		{"-", whole, mediaJSON, false},
		{"-", "\n{\n \"notify_candidate\" : true,\n\"items\": [", mediaJSON, false},
		{"-", `{"label": "x", "report_ids": []}`, mediaJSON, false},
		{"-", `{"select": {"state": "PENDING"}}`, mediaJSON, false},
		{"-", zipped(t, whole), mediaJSON, true},
		{"-", `{"x": "` + strings.Repeat("x", 2*maxSniff) + `", "items": []}`, mediaLines, false},
	} {
		t.Run(c.name+" "+c.media, func(t *testing.T) {
			name := c.name
			if name != "-" {
				name = file(t, c.name, c.content)
			}
			in, err := openInput(t.Context(), name, strings.NewReader(c.content))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = in.Close() }()
			if in.media != c.media || in.gzip != c.gzip || in.size != int64(len(c.content)) {
				t.Errorf("%q: %s %v %d", c.content[:min(20, len(c.content))], in.media, in.gzip, in.size)
			}
			for range 2 { // as an upload that breaks
				got, err := io.ReadAll(io.NewSectionReader(in, 0, in.size))
				if err != nil || string(got) != c.content {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			}
		})
	}
	t.Run("a pipe by name is copied", func(t *testing.T) {
		pipe := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		go func() { _ = os.WriteFile(pipe, []byte(csv), 0) }()
		in, err := openInput(t.Context(), pipe, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = in.Close() }()
		if got, err := io.ReadAll(io.NewSectionReader(in, 0, in.size)); string(got) != csv || err != nil {
			t.Errorf("%q %v", got, err)
		}
	})
	t.Run("nothing is left of a copy", func(t *testing.T) {
		t.Setenv("TMPDIR", t.TempDir())
		in, err := openInput(t.Context(), "-", strings.NewReader(csv))
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(os.TempDir()); len(left) > 0 || err != nil {
			t.Errorf("%v %v", left, err)
		}
	})
	t.Run("an endless input can be interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		endless, writer := io.Pipe()
		defer func() { _ = writer.Close() }()
		go func() {
			_, _ = writer.Write([]byte(csv))
			cancel()
		}()
		if _, err := openInput(ctx, "-", endless); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
	t.Run("a file that cannot be read", func(t *testing.T) {
		for _, name := range []string{filepath.Join(t.TempDir(), "absent.csv"), t.TempDir()} {
			if _, err := openInput(t.Context(), name, nil); err == nil {
				t.Errorf("%s is opened", name)
			}
		}
	})
}
