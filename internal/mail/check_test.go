package mail

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"rescind/internal/revocation"
	"rescind/internal/testservers"
)

func TestSMTP_Check(t *testing.T) {
	check := func(t *testing.T, s *SMTP) error {
		t.Helper()
		return s.Check(t.Context())
	}
	t.Run("probes the server seldom, and keeps the connection for the next message", func(t *testing.T) {
		srv := testservers.SMTP(t, testservers.WithAuth("mailer", "secret"), testservers.WithSTARTTLS())
		s := newSMTP(t, srv, srv.URL())
		for range 3 {
			if err := check(t, s); err != nil {
				t.Error(err)
			}
		}
		deliver(t, s, testEmail(1))
		if n, c := len(srv.Messages()), srv.Connections(); n != 1 || c != 1 {
			t.Errorf("%d messages over %d connections", n, c)
		}
	})
	t.Run("returns why no message can be delivered", func(t *testing.T) {
		srv := testservers.SMTP(t, testservers.WithAuth("mailer", "secret"), testservers.WithSTARTTLS())
		wantFailure(t, check(t, newSMTP(t, srv, "smtp://mailer:guess@"+srv.Addr())), unreachable, 535, "auth")
		srv.Close()
		wantFailure(t, check(t, newSMTP(t, srv, srv.URL())), unreachable, 0, "connection_refused")
	})
	t.Run("uses the results of deliveries", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		srv.Script(only(testservers.StepMail, 1, testservers.Fault{Code: 550}))
		wantFailure(t, s.Deliver(t.Context(), testEmail(1), committed), unreachable, 550, "sender")
		wantFailure(t, check(t, s), unreachable, 550, "sender")
		deliver(t, s, testEmail(1))
		if err := check(t, s); err != nil {
			t.Error(err)
		}
		srv.Script(only(testservers.StepRcpt, 0, testservers.Fault{Code: 550}))
		wantFailure(t, s.Deliver(t.Context(), testEmail(1), committed), refused, 550, "recipient")
		if err := check(t, s); err != nil {
			t.Errorf("a refused recipient counts as an outage: %v", err)
		}
		if n := srv.Connections(); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
	t.Run("does not wait for a server that is slow to greet, and ends with the mailer", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		reached := make(chan struct{})
		srv.Script(func(testservers.Step, int) testservers.Fault {
			close(reached)
			return testservers.Fault{Stall: true}
		})
		if err := check(t, s); err != nil {
			t.Error(err)
		}
		<-reached
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		wantFailure(t, check(t, s), unreachable, 0, "cancelled")
	})
}

func TestDirectory_Check(t *testing.T) {
	d, dir := newDirectory(t)
	if err := d.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, d.Check(t.Context()), unreachable, 0, "file_missing")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, d.Check(t.Context()), unreachable, 0, "file")
}

func TestReasonOfFile(t *testing.T) {
	for cause, want := range map[error]revocation.Reason{
		syscall.EACCES: "file_denied", syscall.EPERM: "file_denied", syscall.EROFS: "file_denied",
		syscall.ENOSPC: "file_full", syscall.EDQUOT: "file_full", syscall.ENOENT: "file_missing", syscall.EIO: "file",
		context.Canceled: "file",
	} {
		if got := reasonOfFile(errors.Join(&fs.PathError{Op: "open", Path: "mail", Err: cause})); got != want {
			t.Errorf("%v: %s, want %s", cause, got, want)
		}
	}
}
