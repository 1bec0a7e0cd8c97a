package mail

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
)

func newDirectory(t *testing.T) (d *Directory, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data", "mail")
	d, err := NewDirectory(dir, newMessages(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	return d, dir
}

func neverCommit(t *testing.T) func(context.Context) error {
	return func(context.Context) error {
		t.Error("commit was called")
		return nil
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestDirectory_Delivers(t *testing.T) {
	d, dir := newDirectory(t)
	email := testEmail(1)
	path := filepath.Join(dir, email.Revocation.String()+".eml")

	t.Run("one file that only its owner reads", func(t *testing.T) {
		if err := d.Deliver(t.Context(), email, neverCommit(t)); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(compose(t, d.messages, email).data), string(content)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for path, want := range map[string]os.FileMode{path: 0o600, dir: 0o700 | os.ModeDir} {
			info, err := os.Stat(path)
			if err != nil || info.Mode() != want {
				t.Errorf("%s: mode %v, %v, want %v", path, info.Mode(), err, want)
			}
		}
	})
	t.Run("the same file when the delivery is repeated", func(t *testing.T) {
		d.messages.now = time.Now
		email.Claims++
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := d.Deliver(t.Context(), email, neverCommit(t)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if diff := cmp.Diff([]string{filepath.Base(path)}, files(t, dir)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := parse(t, content).address(t, "To").Address, email.ToAddress; got != want {
			t.Errorf("to %s, want %s", got, want)
		}
	})
	t.Run("nothing to an invalid address", func(t *testing.T) {
		email := testEmail(2)
		email.ToAddress = "ada"
		wantFailure(t, d.Deliver(t.Context(), email, neverCommit(t)), revocation.VerdictRefused, 0, "address")
	})
}

func TestDirectory_Fails(t *testing.T) {
	t.Run("if the directory is missing, and the email is retried", func(t *testing.T) {
		d, dir := newDirectory(t)
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		wantFailure(t, d.Deliver(t.Context(), testEmail(1), neverCommit(t)), revocation.VerdictUnreachable, 0, "file_missing")
	})
	t.Run("without temporary files left", func(t *testing.T) {
		d, dir := newDirectory(t)
		name := testEmail(1).Revocation.String() + ".eml"
		if err := os.MkdirAll(filepath.Join(dir, name, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		wantFailure(t, d.Deliver(t.Context(), testEmail(1), neverCommit(t)), revocation.VerdictUnreachable, 0, "file")
		if diff := cmp.Diff([]string{name}, files(t, dir)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("at the start if the directory cannot be made", func(t *testing.T) {
		if _, err := NewDirectory("", newMessages(t, "")); err == nil {
			t.Error("an empty directory was accepted")
		}
		file := filepath.Join(templateDir(t, "file", ""), "file")
		if _, err := NewDirectory(file, newMessages(t, "")); err == nil {
			t.Error("a file was accepted")
		}
	})
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for url, want := range map[string]string{
		"file:mail": "mail", "file:" + dir + "/a": dir + "/a", "file://" + dir + "/b": dir + "/b",
	} {
		mailer, err := Open(Options{URL: url, From: testSender})
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := mailer.(*Directory); !ok || d.dir != want {
			t.Errorf("%s: %+v, want the directory %s", url, mailer, want)
		}
		if err := mailer.Close(); err != nil {
			t.Error(err)
		}
	}
	mailer, err := Open(Options{URL: "smtps://mail.example.com", From: testSender})
	if _, ok := mailer.(*SMTP); !ok || err != nil {
		t.Errorf("smtps: %T, %v", mailer, err)
	}
	for _, url := range []string{"file:", "file://mail", "file", ""} {
		if mailer, err := Open(Options{URL: url, From: testSender}); err == nil || mailer != nil {
			t.Errorf("%q was accepted: %+v", url, mailer)
		}
	}
}
