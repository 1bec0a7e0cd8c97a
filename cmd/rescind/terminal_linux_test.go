package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rescind/internal/client"
)

// openTerminal gives both sides of a terminal of 100 columns.
func openTerminal(t *testing.T) (outside, inside *os.File) {
	t.Helper()
	outside, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = outside.Close() })
	fd := int(outside.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 25, Col: 100}); err != nil {
		t.Fatal(err)
	}
	inside, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return outside, inside
}

func TestTerminal(t *testing.T) {
	const end = "END"
	s := startStandalone(t)
	list := file(t, "list.csv", csvOf(20_000))
	// onTerminal gives what a person sees of a job on a terminal, and what goes to standard output.
	onTerminal := func(t *testing.T, name string) (seen, stdout string) {
		t.Helper()
		outside, inside := openTerminal(t)
		defer func() { _ = inside.Close() }()
		shown := make(chan string)
		go func() {
			var all strings.Builder
			piece := make([]byte, 1024)
			for !strings.HasSuffix(all.String(), end) {
				n, err := outside.Read(piece)
				if err != nil {
					break
				}
				all.Write(piece[:n])
			}
			shown <- all.String()
		}()
		cmd := exec.CommandContext(t.Context(), programs.rescind, "bulk", list, "--follow")
		var out strings.Builder
		cmd.Env = []string{"RESCIND_URL=" + s.url, "RESCIND_API_KEY=demo", "TERM=" + name}
		cmd.Stdout, cmd.Stderr = &out, inside
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if exit := cmd.ProcessState.ExitCode(); exit != 1 {
			t.Errorf("exit %d: %s", exit, out.String())
		}
		if _, err := inside.WriteString(end); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(<-shown, end), out.String()
	}
	t.Run("a bar that is redrawn in place", func(t *testing.T) {
		seen, stdout := onTerminal(t, "xterm")
		contains(t, seen, "\rUploading 100% |", "\r 100% |", "| (20000/20000) ", "COMPLETED", "is accepted: 20000 items.\r\n")
		for line := range strings.SplitSeq(seen, "\n") {
			for drawn := range strings.SplitSeq(line, "\r") {
				if n := len([]rune(strings.TrimSuffix(drawn, "\x1b[0K"))); n > 100 {
					t.Errorf("%d columns are too many: %q", n, drawn)
				}
			}
		}
		if strings.Contains(seen, " done") || strings.ContainsAny(stdout, "\r\x1b") {
			t.Errorf("%q %q", seen, stdout)
		}
	})
	t.Run("lines where the terminal cannot move the cursor", func(t *testing.T) {
		seen, _ := onTerminal(t, "dumb")
		contains(t, seen, ": COMPLETED, 20000 of 20000 done\r\n")
		if strings.Contains(seen, "%") || strings.Contains(seen, "\x1b") {
			t.Errorf("%q", seen)
		}
	})
}

// unasked runs the client on a terminal on which nobody answers, and returns what a person sees.
func unasked(t *testing.T, environ []string, args ...string) (exit int, seen string) {
	t.Helper()
	outside, inside := openTerminal(t)
	defer func() { _ = inside.Close() }()
	const end = "END"
	shown := make(chan string)
	go func() {
		var all strings.Builder
		piece := make([]byte, 1024)
		for !strings.HasSuffix(all.String(), end) && !strings.Contains(all.String(), "[y/N]") {
			n, err := outside.Read(piece)
			if err != nil {
				break
			}
			all.Write(piece[:n])
		}
		shown <- all.String()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, programs.rescind, args...)
	cmd.Env = slices.Concat(environ, []string{"TERM=dumb", "PATH=/bin", "TMPDIR=" + os.TempDir()})
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inside, inside, inside
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // ProcessState has the exit status
	}()
	select {
	case <-ended:
		if _, err := inside.WriteString(end); err != nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), strings.TrimSuffix(<-shown, end)
	case seen = <-shown:
		cancel()
		<-ended
		t.Errorf("it asks: %s", seen)
		return -1, seen
	}
}

func TestTerminal_nothingToRevoke(t *testing.T) {
	list := file(t, "list.csv", "report_id\n1\n")
	for name, test := range map[string]struct {
		predicted string
		exit      int
	}{
		"other outcomes":     {`{"ALREADY_REVOKED":1,"NOT_ALLOWED":3}`, 1},
		"all revoked before": {`{"ALREADY_REVOKED":4}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var d decisions
			job := `{"id":"j1","state":"PREVIEWED","total":4,"pending":4,"counts":{},"notifications":{},"preview":{"predicted":` + test.predicted + `,"emails":0}}`
			exit, seen := unasked(t, d.start(t, job, ""), "bulk", list)
			if exit != test.exit {
				t.Errorf("exit %d: %s", exit, seen)
			}
			contains(t, seen, "ALREADY_REVOKED", "Nothing would be revoked. The job is cancelled.")
			equal(t, []string{" preview=truereport_id\n1\n", "/j1/cancel "}, d.made)
		})
	}
	t.Run("the question about a job that waits", func(t *testing.T) {
		if got := question(client.Job{Preview: &client.Preview{}}); got != "Nothing would be revoked. End the items like this?" {
			t.Errorf("%q", got)
		}
	})
}

func TestTerminal_asks(t *testing.T) {
	list := file(t, "list.csv", "report_id\n1\n")
	job := file(t, "job.json", `{"report_ids": [1]}`)
	for name, test := range map[string]struct {
		args   []string
		answer string
		exit   int
		made   []string
		seen   string
	}{
		"yes": {[]string{"bulk", list}, "y\n", 0, []string{" preview=truereport_id\n1\n", `/j1/confirm {"count":2}`}, "[y/N] "},
		"a job in JSON": {
			[]string{"bulk", job},
			"yes\n", 0,
			[]string{` {"preview":true,"report_ids": [1]}`, `/j1/confirm {"count":2}`},
			"Revoke 2 invites and send up to 1 email? [y/N] ",
		},
		"no": {[]string{"bulk", list}, "\n", 1, []string{" preview=truereport_id\n1\n", "/j1/cancel "}, "Nothing is revoked."},
		"the invites of a candidate": {
			[]string{"revoke", "--email", "ada@example.com", "--wait", "0s"},
			"y\n", 1,
			[]string{selectedAda, `/j1/confirm {"count":2}`},
			"  318  REVOKED\r\n",
		},
		"not the invites of a candidate": {
			[]string{"revoke", "--email", "ada@example.com"},
			"\n", 1,
			[]string{selectedAda, "/j1/cancel "},
			"Nothing is revoked. The job is cancelled.",
		},
		"no approval":  {[]string{"job", "confirm", "j1"}, "n\n", 1, nil, "Nothing is changed."},
		"confirmation": {[]string{"job", "confirm", "j1"}, "y\n", 0, []string{`/j1/confirm {"count":2}`}, "2  REVOKED"},
	} {
		t.Run(name, func(t *testing.T) {
			var d decisions
			outside, inside := openTerminal(t)
			defer func() { _ = inside.Close() }()
			cmd := exec.CommandContext(t.Context(), programs.rescind, test.args...)
			var out strings.Builder
			cmd.Env = append(d.start(t, previewingJob, queued), "TERM=dumb", "PATH=/bin", "TMPDIR="+os.TempDir())
			cmd.Stdin, cmd.Stdout, cmd.Stderr = inside, &out, inside
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var seen strings.Builder
			piece := make([]byte, 1024)
			for !strings.Contains(seen.String(), "[y/N] ") {
				n, err := outside.Read(piece)
				if err != nil {
					t.Fatal(err)
				}
				seen.Write(piece[:n])
			}
			if _, err := outside.WriteString(test.answer); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // its exit status follows
			if exit := cmd.ProcessState.ExitCode(); exit != test.exit {
				t.Errorf("exit %d: %s", exit, out.String())
			}
			const end = "END"
			if _, err := inside.WriteString(end); err != nil {
				t.Fatal(err)
			}
			for !strings.HasSuffix(seen.String(), end) {
				n, err := outside.Read(piece)
				if err != nil {
					t.Fatal(err)
				}
				seen.Write(piece[:n])
			}
			contains(t, seen.String(), test.seen)
			equal(t, test.made, d.made)
		})
	}
}
