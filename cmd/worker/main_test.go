package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestHelp(t *testing.T) {
	for _, test := range []struct {
		args   string
		exit   int
		stdout string // part of it
		stderr string
	}{
		{"--help", exitOK, "\n  healthcheck\n", ""},
		{"-h", exitOK, "deploy/docs/settings.md", ""},
		{"healthcheck --help", exitOK, "Usage: worker healthcheck", ""},
		{"nonsense", exitUsage, "", "worker: unexpected argument nonsense\nSee: worker --help\n"},
		{"--nonsense", exitUsage, "", "worker: unknown flag --nonsense\nSee: worker --help\n"},
	} {
		t.Run(test.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			exit := run(t.Context(), strings.Fields(test.args), &stdout, &stderr)
			if exit != test.exit {
				t.Errorf("exit status %d, want %d", exit, test.exit)
			}
			if !strings.Contains(stdout.String(), test.stdout) || (stdout.Len() > 0) != (test.stdout != "") {
				t.Errorf("standard output: %q", &stdout)
			}
			if stderr.String() != test.stderr {
				t.Errorf("standard error: %q, want %q", &stderr, test.stderr)
			}
		})
	}
}
