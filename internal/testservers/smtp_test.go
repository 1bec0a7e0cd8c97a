package testservers_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/google/go-cmp/cmp"

	"rescind/internal/testservers"
)

const sender = "from@example.com"

const body = "Subject: hello\r\n\r\n.a line that begins with a dot\r\n"

// dial connects and sends EHLO. With encrypt it uses TLS from the first byte.
func dial(t *testing.T, srv *testservers.SMTPServer, encrypt bool) *smtp.Client {
	t.Helper()
	client, err := tryDial(t, srv, encrypt)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func tryDial(t *testing.T, srv *testservers.SMTPServer, encrypt bool) (*smtp.Client, error) {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Addr())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	if encrypt {
		conn = tls.Client(conn, clientTLS(srv))
	}
	return smtp.NewClient(conn, "localhost")
}

func clientTLS(srv *testservers.SMTPServer) *tls.Config {
	return &tls.Config{RootCAs: srv.RootCAs(), ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

// send sends one message. It returns the step at which it failed.
func send(client *smtp.Client, to ...string) (testservers.Step, error) {
	if err := client.Mail(sender); err != nil {
		return testservers.StepMail, err
	}
	for _, rcpt := range to {
		if err := client.Rcpt(rcpt); err != nil {
			return testservers.StepRcpt, err
		}
	}
	w, err := client.Data()
	if err != nil {
		return testservers.StepData, err
	}
	if _, err := io.WriteString(w, body); err != nil {
		return testservers.StepDot, err
	}
	if err := w.Close(); err != nil {
		return testservers.StepDot, err
	}
	return "", nil
}

func mustSend(t *testing.T, client *smtp.Client, to ...string) {
	t.Helper()
	if step, err := send(client, to...); err != nil {
		t.Fatalf("at %s: %v", step, err)
	}
}

func TestSMTP_Records(t *testing.T) {
	srv := testservers.SMTP(t)
	client := dial(t, srv, false)
	mustSend(t, client, "one@example.com", "two@example.com")
	mustSend(t, client, "three@example.com")

	want := []testservers.Message{
		{From: sender, To: []string{"one@example.com", "two@example.com"}, Data: []byte(body)},
		{From: sender, To: []string{"three@example.com"}, Data: []byte(body)},
	}
	if diff := cmp.Diff(want, srv.Messages()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if got := srv.Connections(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
	if got, want := srv.URL(), "smtp://"+srv.Addr(); got != want {
		t.Errorf("URL is %s, want %s", got, want)
	}
}

func TestSMTP_Encrypts(t *testing.T) {
	t.Run("from the first byte", func(t *testing.T) {
		srv := testservers.SMTP(t, testservers.WithTLS())
		mustSend(t, dial(t, srv, true), "to@example.com")
		if messages := srv.Messages(); len(messages) != 1 || !messages[0].TLS {
			t.Errorf("got %+v, want one encrypted message", messages)
		}
		if got, want := srv.URL(), "smtps://"+srv.Addr(); got != want {
			t.Errorf("URL is %s, want %s", got, want)
		}
	})
	t.Run("by STARTTLS", func(t *testing.T) {
		srv := testservers.SMTP(t, testservers.WithSTARTTLS())
		client := dial(t, srv, false)
		if err := client.StartTLS(clientTLS(srv)); err != nil {
			t.Fatal(err)
		}
		mustSend(t, client, "to@example.com")
		if messages := srv.Messages(); len(messages) != 1 || !messages[0].TLS {
			t.Errorf("got %+v, want one encrypted message", messages)
		}
	})
	t.Run("refused by a client that does not trust the certificate", func(t *testing.T) {
		srv := testservers.SMTP(t, testservers.WithSTARTTLS())
		if err := dial(t, srv, false).StartTLS(&tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS12}); err == nil {
			t.Error("a stranger's certificate was trusted")
		}
	})
}

// login is the client side of AUTH LOGIN. It sends the name with AUTH or, unlike go-sasl's, only after the challenge.
type login struct {
	early          bool
	user, password string
}

func (l *login) Start(*smtp.ServerInfo) (string, []byte, error) {
	if l.early {
		return sasl.Login, []byte(l.user), nil
	}
	return sasl.Login, nil, nil
}

func (l *login) Next(question []byte, more bool) ([]byte, error) {
	switch {
	case !more:
		return nil, nil
	case string(question) == "Username:":
		return []byte(l.user), nil
	case string(question) == "Password:":
		return []byte(l.password), nil
	}
	return nil, errors.New("unknown question")
}

func TestSMTP_AsksToSignIn(t *testing.T) {
	tests := map[string]struct {
		auth smtp.Auth
		ok   bool
	}{
		"PLAIN":               {smtp.PlainAuth("", "user", "pass word", "localhost"), true},
		"PLAIN, wrong":        {smtp.PlainAuth("", "user", "password", "localhost"), false},
		"LOGIN":               {&login{user: "user", password: "pass word"}, true},
		"LOGIN, name at once": {&login{early: true, user: "user", password: "pass word"}, true},
		"LOGIN, wrong":        {&login{user: "other", password: "pass word"}, false},
		"nothing":             {nil, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			srv := testservers.SMTP(t, testservers.WithAuth("user", "pass word"))
			client := dial(t, srv, false)
			var err error
			if tt.auth != nil {
				err = client.Auth(tt.auth)
			}
			if err == nil {
				_, err = send(client, "to@example.com")
			}
			if (err == nil) != tt.ok {
				t.Fatalf("got %v, want success: %t", err, tt.ok)
			}
			if tt.ok && srv.Messages()[0].User != "user" {
				t.Errorf("sent by %q", srv.Messages()[0].User)
			}
			if got, want := srv.URL(), "smtp://user:pass%20word@"+srv.Addr(); got != want {
				t.Errorf("URL is %s, want %s", got, want)
			}
		})
	}
}

func TestSMTP_AnswersAsScripted(t *testing.T) {
	for _, step := range []testservers.Step{
		testservers.StepMail, testservers.StepRcpt, testservers.StepData, testservers.StepDot,
	} {
		for name, encrypt := range map[string]bool{"plain": false, "TLS": true} {
			t.Run(string(step)+" "+name, func(t *testing.T) {
				var opts []testservers.SMTPOption
				if encrypt {
					opts = append(opts, testservers.WithTLS())
				}
				srv := testservers.SMTP(t, opts...)
				srv.Script(func(at testservers.Step, n int) testservers.Fault {
					if at == step && n == 1 {
						return testservers.Fault{Code: 451}
					}
					return testservers.Fault{}
				})
				client := dial(t, srv, encrypt)
				failed, err := send(client, "to@example.com")
				var answer *textproto.Error
				if failed != step || !errors.As(err, &answer) || answer.Code != 451 {
					t.Fatalf("at %q: %v, want 451 at %q", failed, err, step)
				}
				if messages := srv.Messages(); len(messages) != 0 {
					t.Fatalf("accepted %+v", messages)
				}
				// The session continues.
				if err := client.Reset(); err != nil {
					t.Fatal(err)
				}
				mustSend(t, client, "to@example.com")
				if got := len(srv.Messages()); got != 1 {
					t.Errorf("%d messages, want the second alone", got)
				}
			})
		}
	}
	t.Run("connect", func(t *testing.T) {
		srv := testservers.SMTP(t)
		srv.Script(func(testservers.Step, int) testservers.Fault { return testservers.Fault{Code: 554} })
		_, err := tryDial(t, srv, false)
		var answer *textproto.Error
		if !errors.As(err, &answer) || answer.Code != 554 {
			t.Errorf("got %v, want 554", err)
		}
	})
}

func TestSMTP_ClosesAsScripted(t *testing.T) {
	for _, step := range []testservers.Step{
		testservers.StepConnect, testservers.StepMail, testservers.StepRcpt, testservers.StepData, testservers.StepDot,
	} {
		t.Run(string(step), func(t *testing.T) {
			srv := testservers.SMTP(t)
			srv.Script(only(step, testservers.Fault{Close: true}))
			client, err := tryDial(t, srv, false)
			failed := testservers.StepConnect
			if err == nil {
				failed, err = send(client, "to@example.com")
			}
			var answer *textproto.Error
			if failed != step || err == nil || errors.As(err, &answer) {
				t.Errorf("at %q: %v, want a broken connection at %q", failed, err, step)
			}
			if messages := srv.Messages(); len(messages) != 0 {
				t.Errorf("accepted %+v", messages)
			}
		})
	}
	t.Run("after accepting, without an answer", func(t *testing.T) {
		srv := testservers.SMTP(t)
		srv.Script(only(testservers.StepDot, testservers.Fault{Close: true, Accept: true}))
		failed, err := send(dial(t, srv, false), "to@example.com")
		if failed != testservers.StepDot || err == nil {
			t.Errorf("at %q: %v, want a broken connection", failed, err)
		}
		if got := len(srv.Messages()); got != 1 {
			t.Errorf("%d messages, want 1", got)
		}
	})
	for name, encrypt := range map[string]bool{"plain": false, "STARTTLS": true} {
		t.Run("after accepting, with an answer, "+name, func(t *testing.T) {
			srv := testservers.SMTP(t, testservers.WithSTARTTLS())
			srv.Script(only(testservers.StepDot, testservers.Fault{Code: 250, Close: true}))
			client := dial(t, srv, false)
			if encrypt {
				if err := client.StartTLS(clientTLS(srv)); err != nil {
					t.Fatal(err)
				}
			}
			mustSend(t, client, "to@example.com")
			if err := client.Noop(); err == nil {
				t.Error("the connection is still open")
			}
			if got := len(srv.Messages()); got != 1 {
				t.Errorf("%d messages, want 1", got)
			}
		})
	}
}

func TestSMTP_StallsAsScripted(t *testing.T) {
	for _, step := range []testservers.Step{
		testservers.StepConnect, testservers.StepMail, testservers.StepRcpt, testservers.StepData, testservers.StepDot,
	} {
		t.Run(string(step), func(t *testing.T) {
			srv := testservers.SMTP(t)
			reached := make(chan struct{})
			fault := only(step, testservers.Fault{Stall: true})
			srv.Script(func(at testservers.Step, n int) testservers.Fault {
				if at == step {
					close(reached)
				}
				return fault(at, n)
			})
			answered := make(chan error)
			go func() {
				client, err := tryDial(t, srv, false)
				if err == nil {
					_, err = send(client, "to@example.com")
				}
				answered <- err
			}()
			<-reached
			select {
			case err := <-answered:
				t.Fatalf("answered: %v", err)
			default:
			}
			srv.Close()
			if err := <-answered; err == nil || strings.Contains(err.Error(), "timeout") {
				t.Errorf("got %v, want a broken connection", err)
			}
		})
	}
}

func TestSMTP_RefusesWhenClosed(t *testing.T) {
	srv := testservers.SMTP(t)
	client := dial(t, srv, false)
	srv.Close()
	srv.Close()
	if err := client.Noop(); err == nil {
		t.Error("an open connection survived")
	}
	if conn, err := net.Dial("tcp", srv.Addr()); err == nil {
		_ = conn.Close()
		t.Error("a new connection was accepted")
	}
}

func only(step testservers.Step, fault testservers.Fault) func(testservers.Step, int) testservers.Fault {
	return func(at testservers.Step, _ int) testservers.Fault {
		if at == step {
			return fault
		}
		return testservers.Fault{}
	}
}
