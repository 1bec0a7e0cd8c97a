package mail

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rescind/internal/revocation"
	"rescind/internal/testservers"
)

// newSMTP returns an SMTP that trusts the certificates of srv.
func newSMTP(t *testing.T, srv *testservers.SMTPServer, url string) *SMTP {
	t.Helper()
	s, err := NewSMTP(url, "", newMessages(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	s.server.tls.RootCAs = srv.RootCAs()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func committed(context.Context) error { return nil }

func deliver(t *testing.T, s *SMTP, email revocation.Email) {
	t.Helper()
	if err := s.Deliver(t.Context(), email, committed); err != nil {
		t.Fatalf("deliver: %v", err)
	}
}

func TestSMTP_Delivers(t *testing.T) {
	t.Run("byte for byte, dots at the beginning of lines included", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		s.messages = newMessages(t, templateDir(t, "revoked.txt", ".\n..\n.{{.Name}}\n\n.\n"))
		email := testEmail(1)
		deliver(t, s, email)
		want := []testservers.Message{{
			From: "no-reply@example.com", To: []string{email.ToAddress}, Data: compose(t, s.messages, email).data,
		}}
		if diff := cmp.Diff(want, srv.Messages()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("to an address that is not ASCII, when the server can", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		email := testEmail(1)
		email.ToAddress = "jörg@bücher.example"
		deliver(t, s, email)
		if to := srv.Messages()[0].To[0]; to != "jörg@xn--bcher-kva.example" {
			t.Errorf("to %s", to)
		}
	})
	t.Run("an address that is invalid is refused without a connection", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		email := testEmail(1)
		email.ToAddress = "ada"
		wantFailure(t, s.Deliver(t.Context(), email, committed), revocation.VerdictRefused, 0, "address")
		if n := srv.Connections(); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestSMTP_Encrypts(t *testing.T) {
	auth := testservers.WithAuth("mailer", "p@ss/word?")
	for name, tt := range map[string]struct {
		options []testservers.SMTPOption
		query   string
		user    string
		tls     bool
	}{
		"plain":                       {},
		"STARTTLS when offered":       {options: []testservers.SMTPOption{testservers.WithSTARTTLS()}, tls: true},
		"STARTTLS when required":      {options: []testservers.SMTPOption{testservers.WithSTARTTLS()}, query: "?tls=required", tls: true},
		"no STARTTLS when not wanted": {options: []testservers.SMTPOption{testservers.WithSTARTTLS()}, query: "?tls=none"},
		"STARTTLS with a password":    {options: []testservers.SMTPOption{testservers.WithSTARTTLS(), auth}, user: "mailer", tls: true},
		"TLS":                         {options: []testservers.SMTPOption{testservers.WithTLS()}, tls: true},
		"TLS with a password":         {options: []testservers.SMTPOption{testservers.WithTLS(), auth}, user: "mailer", tls: true},
		"a password to the same host": {options: []testservers.SMTPOption{auth}, query: "?tls=none", user: "mailer"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := testservers.SMTP(t, tt.options...)
			s := newSMTP(t, srv, srv.URL()+tt.query)
			deliver(t, s, testEmail(1))
			deliver(t, s, testEmail(2))
			got := srv.Messages()
			if len(got) != 2 || got[0].TLS != tt.tls || got[1].TLS != tt.tls || got[0].User != tt.user {
				t.Errorf("got %+v", got)
			}
		})
	}
	t.Run("LOGIN, when the server has nothing better", func(t *testing.T) {
		// A proxy hides from the client that the server offers PLAIN.
		srv := testservers.SMTP(t, auth)
		s := newSMTP(t, srv, "smtp://mailer:p%40ss%2Fword%3F@"+hidePlain(t, srv.Addr())+"?tls=none")
		deliver(t, s, testEmail(1))
		if got := srv.Messages(); len(got) != 1 || got[0].User != "mailer" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestSMTP_TriesMechanisms(t *testing.T) {
	auth, broken := testservers.WithAuth("mailer", "secret"), testservers.WithBrokenAuth("SCRAM-SHA-256", "CRAM-MD5")
	for name, tt := range map[string]struct {
		options  []testservers.SMTPOption
		password string
		query    string
		want     []string
	}{
		"the next under STARTTLS when one fails, and that one first from then on": {
			[]testservers.SMTPOption{testservers.WithSTARTTLS(), broken}, "secret", "", []string{"SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "PLAIN"},
		},
		"the next under TLS": {
			[]testservers.SMTPOption{testservers.WithTLS(), broken}, "secret", "", []string{"SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "PLAIN"},
		},
		"each once when all fail": {
			[]testservers.SMTPOption{testservers.WithTLS(), broken}, "guess", "", []string{"SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN"},
		},
		"no other without TLS, which would send the password": {
			[]testservers.SMTPOption{testservers.WithBrokenAuth("CRAM-MD5")}, "secret", "?tls=none", []string{"CRAM-MD5"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := testservers.SMTP(t, append(tt.options, auth)...)
			scheme, _, _ := strings.Cut(srv.URL(), "://")
			s := newSMTP(t, srv, scheme+"://mailer:"+tt.password+"@"+srv.Addr()+tt.query)
			err := s.Deliver(t.Context(), testEmail(1), committed)
			if slices.Contains(tt.want[1:], "PLAIN") && tt.password == "secret" {
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil { // the next email needs a new connection
					t.Fatal(err)
				}
				deliver(t, s, testEmail(2))
			} else {
				wantFailure(t, err, revocation.VerdictUnreachable, 535, "auth")
			}
			if diff := cmp.Diff(tt.want, srv.SignIns()); diff != "" {
				t.Errorf("mechanisms (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSMTP_Introduces(t *testing.T) {
	for name, tt := range map[string]struct{ options, want []string }{
		"by the sender's domain and address": {[]string{"", ""}, []string{"EHLO example.com\r\n", "MAIL FROM:<no-reply@example.com>\r\n"}},
		"as configured":                      {[]string{"mailer.bücher.example", "bounces@bücher.example"}, []string{"EHLO mailer.xn--bcher-kva.example\r\n", "MAIL FROM:<bounces@xn--bcher-kva.example>\r\n"}},
		"by an address literal":              {[]string{"[192.0.2.1]", ""}, []string{"EHLO [192.0.2.1]\r\n", "MAIL FROM:<no-reply@example.com>\r\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			raw := newRawServer(t, rawAnswers{answer: "250 ok"})
			mailer, err := Open(Options{URL: "smtp://" + raw.addr, From: testSender, Hello: tt.options[0], Bounce: tt.options[1]})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = mailer.Close() }()
			if err := mailer.Deliver(t.Context(), testEmail(1), committed); err != nil {
				t.Fatal(err)
			}
			received := <-raw.received
			for _, want := range append(tt.want, "From: \"Example Ltd\" <no-reply@example.com>\r\n") {
				if !strings.Contains(received, want) {
					t.Errorf("%q is missing in:\n%s", want, received)
				}
			}
		})
	}
	for _, o := range []Options{{Hello: "mail\r\nQUIT"}, {Hello: "a b"}, {Bounce: "Bounces <bounces@example.com>"}, {Bounce: "jörg@example.com"}} {
		o.URL, o.From = "smtp://mail.example.com", testSender
		if _, err := Open(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestSMTP_RefusesToTrust(t *testing.T) {
	for name, option := range map[string]testservers.SMTPOption{
		"STARTTLS": testservers.WithSTARTTLS(), "TLS": testservers.WithTLS(),
	} {
		t.Run(name+" with a certificate for another name", func(t *testing.T) {
			srv := testservers.SMTP(t, option)
			s := newSMTP(t, srv, srv.URL())
			s.server.tls.ServerName = "mail.example.com"
			wantFailure(t, s.Deliver(t.Context(), testEmail(1), committed), revocation.VerdictUnreachable, 0, "certificate")
		})
		t.Run(name+" with a certificate of an unknown authority", func(t *testing.T) {
			srv := testservers.SMTP(t, option)
			s := newSMTP(t, srv, srv.URL())
			s.server.tls.RootCAs = nil
			wantFailure(t, s.Deliver(t.Context(), testEmail(1), committed), revocation.VerdictUnreachable, 0, "certificate")
		})
	}
	t.Run("a server without STARTTLS with a password", func(t *testing.T) {
		srv := testservers.SMTP(t, testservers.WithAuth("mailer", "secret"))
		s := newSMTP(t, srv, srv.URL())
		wantFailure(t, s.Deliver(t.Context(), testEmail(1), committed), revocation.VerdictUnreachable, 0, "tls")
	})
	t.Run("a wrong password, without a fault of the message", func(t *testing.T) {
		srv := testservers.SMTP(t, testservers.WithAuth("mailer", "secret"), testservers.WithSTARTTLS())
		s := newSMTP(t, srv, "smtp://mailer:guess@"+srv.Addr())
		wantFailure(t, s.Deliver(t.Context(), testEmail(1), committed), revocation.VerdictUnreachable, 535, "auth")
	})
	t.Run("a server that has no way to sign in", func(t *testing.T) {
		srv := testservers.SMTP(t, testservers.WithSTARTTLS())
		s := newSMTP(t, srv, "smtp://mailer:secret@"+srv.Addr())
		wantFailure(t, s.Deliver(t.Context(), testEmail(1), committed), revocation.VerdictUnreachable, 0, "auth")
	})
	t.Run("a server that asks to sign in", func(t *testing.T) {
		srv := testservers.SMTP(t, testservers.WithAuth("mailer", "secret"))
		s := newSMTP(t, srv, "smtp://"+srv.Addr())
		wantFailure(t, s.Deliver(t.Context(), testEmail(1), committed), revocation.VerdictUnreachable, 502, "policy")
	})
}

func TestSMTP_Reuses(t *testing.T) {
	t.Run("one connection for many messages", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		for n := range byte(10) {
			deliver(t, s, testEmail(n))
		}
		if n, c := len(srv.Messages()), srv.Connections(); n != 10 || c != 1 {
			t.Errorf("%d messages over %d connections", n, c)
		}
	})
	t.Run("a connection on which a message was refused", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		srv.Script(only(testservers.StepRcpt, 1, testservers.Fault{Code: 550}))
		wantFailure(t, s.Deliver(t.Context(), testEmail(1), committed), revocation.VerdictRefused, 550, "recipient")
		deliver(t, s, testEmail(2))
		if n, c := len(srv.Messages()), srv.Connections(); n != 1 || c != 1 {
			t.Errorf("%d messages over %d connections", n, c)
		}
	})
	for name, script := range map[string]func(testservers.Step, int) testservers.Fault{
		"closed by the server":        only(testservers.StepDot, 1, testservers.Fault{Code: 250, Close: true}),
		"ended at the next message":   only(testservers.StepMail, 2, testservers.Fault{Code: 421, Close: true}),
		"refused one message more":    only(testservers.StepMail, 2, testservers.Fault{Code: 554}),
		"broken at the next message":  only(testservers.StepMail, 2, testservers.Fault{Close: true}),
		"ended at the next recipient": only(testservers.StepRcpt, 2, testservers.Fault{Code: 421, Close: true}),
		"broken at the next text":     only(testservers.StepData, 2, testservers.Fault{Close: true}),
	} {
		t.Run("not one "+name+", and the message is delivered", func(t *testing.T) {
			srv := testservers.SMTP(t)
			s := newSMTP(t, srv, srv.URL())
			srv.Script(script)
			deliver(t, s, testEmail(1))
			deliver(t, s, testEmail(2))
			if n, c := len(srv.Messages()), srv.Connections(); n != 2 || c != 2 {
				t.Errorf("%d messages over %d connections", n, c)
			}
		})
	}
	t.Run("not one that has stalled", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		s.timeouts.prove = 50 * time.Millisecond
		srv.Script(func(step testservers.Step, n int) testservers.Fault {
			return testservers.Fault{Stall: step == testservers.StepMail && n > 1 && srv.Connections() == 1}
		})
		deliver(t, s, testEmail(1))
		deliver(t, s, testEmail(2))
		if n, c := len(srv.Messages()), srv.Connections(); n != 2 || c != 2 {
			t.Errorf("%d messages over %d connections", n, c)
		}
	})
	t.Run("with no time limit left from the message before", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		s.timeouts.answer = time.Second
		srv.Script(func(step testservers.Step, n int) testservers.Fault {
			if step == testservers.StepRcpt && n == 2 {
				time.Sleep(s.timeouts.answer + 100*time.Millisecond) // the old limit must have passed
			}
			return testservers.Fault{}
		})
		deliver(t, s, testEmail(1))
		deliver(t, s, testEmail(2))
	})
	t.Run("a new one after enough messages", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		for n := range byte(keepMessages + 1) {
			deliver(t, s, testEmail(n))
		}
		if n, c := len(srv.Messages()), srv.Connections(); n != keepMessages+1 || c != 2 {
			t.Errorf("%d messages over %d connections", n, c)
		}
	})
	t.Run("none that has waited too long", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		s.idle.keepFor = time.Millisecond
		deliver(t, s, testEmail(1))
		for deadline := time.Now().Add(10 * time.Second); s.kept() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it is still kept")
			}
		}
	})
	t.Run("none after Close", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		deliver(t, s, testEmail(1))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		deliver(t, s, testEmail(2))
		if n, c := s.kept(), srv.Connections(); n != 0 || c != 2 {
			t.Errorf("%d of %d connections kept", n, c)
		}
	})
}

func (s *SMTP) kept() int {
	s.idle.mu.Lock()
	defer s.idle.mu.Unlock()
	return len(s.idle.idle)
}

func TestSMTP_Concurrent(t *testing.T) {
	const workers, each = 8, 10
	srv := testservers.SMTP(t, testservers.WithSTARTTLS())
	s := newSMTP(t, srv, srv.URL())
	srv.Script(func(step testservers.Step, n int) testservers.Fault {
		if step == testservers.StepDot && n%7 == 0 {
			return testservers.Fault{Code: 250, Close: true}
		}
		return testservers.Fault{}
	})
	var wg sync.WaitGroup
	for w := range byte(workers) {
		wg.Go(func() {
			for n := range byte(each) {
				if err := s.Deliver(t.Context(), testEmail(w*each+n), committed); err != nil {
					t.Errorf("deliver: %v", err)
				}
			}
		})
	}
	wg.Wait()
	ids := make(map[string]bool)
	for _, m := range srv.Messages() {
		ids[parse(t, m.Data).header.Get("Message-ID")] = true
	}
	if n := len(srv.Messages()); n != workers*each || len(ids) != n {
		t.Errorf("%d messages, %d different ones", n, len(ids))
	}
	if s.kept() > workers {
		t.Errorf("%d connections kept", s.kept())
	}
}

func TestNewSMTP(t *testing.T) {
	for url, want := range map[string]server{
		"smtp://mail.example.com":            {host: "mail.example.com", port: "587", encryption: encryptionOffered},
		"smtp://mail.example.com:25/":        {host: "mail.example.com", port: "25", encryption: encryptionOffered},
		"smtp://[::1]?tls=required":          {host: "::1", port: "587", encryption: encryptionRequired},
		"smtp://u:p%40s@mail.example.com":    {host: "mail.example.com", port: "587", user: "u", password: "p@s", encryption: encryptionRequired},
		"smtp://u:p@localhost:1025?tls=none": {host: "localhost", port: "1025", user: "u", password: "p", encryption: encryptionNone},
		"smtps://u:p@mail.example.com":       {host: "mail.example.com", port: "465", user: "u", password: "p", encryption: encryptionImplicit},
		"SMTPS://mail.example.com:10465":     {host: "mail.example.com", port: "10465", encryption: encryptionImplicit},
	} {
		t.Run(url, func(t *testing.T) {
			s, err := NewSMTP(url, "", newMessages(t, ""))
			if err != nil {
				t.Fatal(err)
			}
			got := server{
				host: s.server.host, port: s.server.port, user: s.server.user, password: s.server.password,
				encryption: s.server.encryption,
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(server{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if s.server.tls.ServerName != want.host || s.server.tls.InsecureSkipVerify {
				t.Errorf("the certificate is not held to %s", want.host)
			}
		})
	}
	for _, url := range []string{
		"", "mail.example.com:587", "http://u:hunter2@mail.example.com", "smtp://u:hunter2@", "smtp://u:hunter2@host:0",
		"smtp://u:hunter2@host:99999", "smtp://u:hunter2@host/path", "smtp://u:hunter2@host#x", "smtp://u:hunter2@host?tls=maybe",
		"smtp://u:hunter2@host?tls=none", "smtp://u:hunter2@host?tls=required&tls=none", "smtp://u:hunter2@host?insecure=1",
		"smtps://u:hunter2@host?tls=none", "smtp://u@host", "smtp://:hunter2@host", "smtp://u:hun/ter2@host",
		"smtp://u:hunter2 @host", "smtp://u:hunter2%@host", "smtp:u:hunter2@host", "smtp://u:hun?ter2@host", "smtp://u:1/hunter2@host",
	} {
		t.Run("refuses "+url, func(t *testing.T) {
			_, err := NewSMTP(url, "", newMessages(t, ""))
			if err == nil {
				t.Fatal("it was accepted")
			}
			if strings.Contains(err.Error(), "hun") || strings.Contains(err.Error(), "ter2") {
				t.Errorf("the error contains the password: %v", err)
			}
		})
	}
}

// only returns a script with one fault: when step is reached for the n-th time, or each time if n is 0.
func only(step testservers.Step, n int, fault testservers.Fault) func(testservers.Step, int) testservers.Fault {
	return func(at testservers.Step, reached int) testservers.Fault {
		if at == step && (n == 0 || n == reached) {
			return fault
		}
		return testservers.Fault{}
	}
}

func wantFailure(t *testing.T, err error, verdict revocation.Verdict, code int, reason revocation.Reason) {
	t.Helper()
	got, ok := errors.AsType[*revocation.DeliveryError](err)
	if !ok {
		t.Fatalf("got %v, want a DeliveryError", err)
	}
	want := &revocation.DeliveryError{Verdict: verdict, SMTPCode: code, Reason: reason}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(*want, "Step", "SMTPStatus")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
