package mail

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/testservers"
)

const (
	unreachable = revocation.VerdictUnreachable
	deferred    = revocation.VerdictDeferred
	refused     = revocation.VerdictRefused
	unknown     = revocation.VerdictUnknown
	serverFault = revocation.VerdictServer
)

func TestSMTP_Verdict(t *testing.T) {
	closed, stalled := testservers.Fault{Close: true}, testservers.Fault{Stall: true}
	answer := func(code int) testservers.Fault { return testservers.Fault{Code: code} }
	last := func(code int) testservers.Fault { return testservers.Fault{Code: code, Close: true} }
	const (
		connect = testservers.StepConnect
		mail    = testservers.StepMail
		rcpt    = testservers.StepRcpt
		data    = testservers.StepData
		dot     = testservers.StepDot
	)
	for _, tt := range []struct {
		step    testservers.Step
		fault   testservers.Fault
		verdict revocation.Verdict // empty: delivered
		code    int
		cause   revocation.Reason
	}{
		{connect, last(421), unreachable, 421, "closing"},
		{connect, last(554), unreachable, 554, "greeting"},
		{connect, closed, unreachable, 0, "connection"},
		{connect, stalled, unreachable, 0, "timeout"},

		{mail, answer(451), unreachable, 451, "sender"},
		{mail, last(421), unreachable, 421, "closing"},
		{mail, answer(550), unreachable, 550, "sender"},
		{mail, closed, unreachable, 0, "connection"},
		{mail, stalled, unreachable, 0, "timeout"},

		{rcpt, answer(450), deferred, 450, "recipient"},
		{rcpt, last(421), serverFault, 421, "closing"},
		{rcpt, answer(550), refused, 550, "recipient"},
		{rcpt, answer(530), serverFault, 530, "auth"},
		{rcpt, closed, serverFault, 0, "connection"},
		{rcpt, stalled, serverFault, 0, "timeout"},

		{data, answer(451), deferred, 451, "message"},
		{data, answer(554), refused, 554, "message"},
		{data, closed, serverFault, 0, "connection"},
		{data, stalled, serverFault, 0, "timeout"},

		{dot, answer(452), deferred, 452, "message"},
		{dot, last(421), serverFault, 421, "closing"},
		{dot, answer(554), refused, 554, "message"},
		{dot, closed, unknown, 0, "connection"},
		{dot, testservers.Fault{Close: true, Accept: true}, unknown, 0, "connection"},
		{dot, stalled, unknown, 0, "timeout"},
		{dot, last(250), "", 0, ""},
	} {
		t.Run(fmt.Sprintf("%s %+v", tt.step, tt.fault), func(t *testing.T) {
			t.Parallel()
			if testing.Short() && tt.fault.Stall && tt.step != connect && tt.step != dot {
				t.Skip("takes 2 s")
			}
			srv := testservers.SMTP(t)
			s := newSMTP(t, srv, srv.URL())
			switch {
			case tt.fault.Stall && tt.step == connect:
				s.timeouts.connect = 100 * time.Millisecond
			case tt.fault.Stall && tt.step == dot:
				s.timeouts.answer = 100 * time.Millisecond
			case tt.fault.Stall:
				s.timeouts.submit = 2 * time.Second // what comes before the stall must fit into it
			}
			srv.Script(only(tt.step, 1, tt.fault))
			commits := 0
			err := s.Deliver(t.Context(), testEmail(1), func(context.Context) error {
				commits++
				return nil
			})
			if tt.verdict != "" {
				wantFailure(t, err, tt.verdict, tt.code, tt.cause)
			} else if err != nil {
				t.Errorf("got %v, want it delivered", err)
			}
			if atDot := tt.step == dot; commits != 1 && atDot || commits != 0 && !atDot {
				t.Errorf("committed %d times", commits)
			}
			accepted := 0
			if tt.verdict == "" || tt.fault.Accept {
				accepted = 1
			}
			if n := len(srv.Messages()); n != accepted {
				t.Errorf("the server has %d messages, want %d", n, accepted)
			}
			kept := 0
			if tt.verdict == "" || tt.code != 0 && tt.code != 421 && (tt.step == rcpt || tt.step == data || tt.step == dot) {
				kept = 1
			}
			if n := s.kept(); n != kept {
				t.Errorf("%d connections are kept, want %d", n, kept)
			}
			s.timeouts = defaultTimeouts
			deliver(t, s, testEmail(2)) // the next message must not be affected
		})
	}
	t.Run("no server listens", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		srv.Close()
		wantFailure(t, s.Deliver(t.Context(), testEmail(1), committed), unreachable, 0, "connection_refused")
	})
}

// TestSMTP_Refusal shows that a refusal of the server, the sender or the connection does not count against the recipient.
func TestSMTP_Refusal(t *testing.T) {
	for answer, tt := range map[string]struct {
		verdict revocation.Verdict
		reason  revocation.Reason
	}{
		"504 5.5.2 <worker-7f9c>: Helo command rejected: need fully-qualified hostname":  {serverFault, "protocol"},
		"554 5.7.1 <ada@candidates.example>: Relay access denied":                        {serverFault, "policy"},
		"553 5.7.1 <no-reply@example.com>: Sender address rejected: not owned by user y": {serverFault, "policy"},
		"554 5.7.1 <unknown[10.0.0.1]>: Client host rejected: Access denied":             {serverFault, "policy"},
		"550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain":              {serverFault, "policy"},
		"451 4.7.1 Greylisting in action, please come back later":                        {serverFault, "policy"},
		"550 5.1.7 the sender's address is malformed":                                    {serverFault, "sender"},
		"550 5.1.8 the sender's domain does not exist":                                   {serverFault, "sender"},
		"450 4.1.8 <no-reply@example.com>: Sender address rejected: Domain not found":    {serverFault, "sender"},
		"452 4.3.1 Insufficient system storage":                                          {serverFault, "system"},
		"421 4.3.2 service shutting down":                                                {serverFault, "closing"},
		"501 syntax":                                                                     {serverFault, "protocol"},
		"502 what is that?":                                                              {serverFault, "protocol"},
		"503 say something else first":                                                   {serverFault, "protocol"},
		"504 not here":                                                                   {serverFault, "protocol"},
		"550-5.5.0 in\r\n550 5.5.0 two lines":                                            {serverFault, "protocol"},
		"550 5.1.1 <ada@candidates.example>: Recipient address rejected: User unknown":   {refused, "recipient"},
		"550 5.2.1 disabled":                                                             {refused, "recipient"},
		"551 moved to 5.7.1 High Street":                                                 {refused, "recipient"},
		"552 5.2.2 over quota":                                                           {refused, "recipient"},
		"452 4.2.2 over quota":                                                           {deferred, "recipient"},
		"450 4.2.0 busy":                                                                 {deferred, "recipient"},
		"451 later":                                                                      {deferred, "recipient"},
	} {
		t.Run(answer, func(t *testing.T) {
			raw := newRawServer(t, rawAnswers{rcpt: answer})
			s := newSMTP(t, testservers.SMTP(t), "smtp://"+raw.addr)
			err := s.Deliver(t.Context(), testEmail(1), func(context.Context) error {
				t.Error("committed")
				return nil
			})
			code, _ := strconv.Atoi(answer[:3])
			wantFailure(t, err, tt.verdict, code, tt.reason)
			failure, _ := errors.AsType[*revocation.DeliveryError](err)
			status, _, _ := strings.Cut(answer[4:], " ")
			if strings.Count(status, ".") != 2 {
				status = ""
			}
			if failure.Step != "rcpt" || failure.SMTPStatus != status {
				t.Errorf("at %q with the status %q", failure.Step, failure.SMTPStatus)
			}
		})
	}
}

func TestSMTP_Unreachable(t *testing.T) {
	t.Run("a name without an address", func(t *testing.T) {
		s := newSMTP(t, testservers.SMTP(t), "smtp://no-such-host.invalid")
		wantFailure(t, s.Deliver(t.Context(), testEmail(1), committed), unreachable, 0, "dns")
	})
	t.Run("something else than a mail server under TLS", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, "smtps://"+srv.Addr())
		wantFailure(t, s.Deliver(t.Context(), testEmail(1), committed), unreachable, 0, "tls")
	})
}

func TestSMTP_Commit(t *testing.T) {
	t.Run("that fails withdraws the message", func(t *testing.T) {
		raw := newRawServer(t, rawAnswers{answer: "250 ok"})
		s := newSMTP(t, testservers.SMTP(t), "smtp://"+raw.addr)
		want := errors.New("no database")
		err := s.Deliver(t.Context(), testEmail(1), func(context.Context) error { return want })
		if err != want { //nolint:errorlint // as it is
			t.Errorf("got %v, want %v", err, want)
		}
		received := <-raw.received
		if !strings.Contains(received, "Hello Ada Lovelace") || strings.Contains(received, "\r\n.\r\n") {
			t.Errorf("the server received:\n%s", received)
		}
	})
	t.Run("has no time limit of its own", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		err := s.Deliver(t.Context(), testEmail(1), func(ctx context.Context) error {
			if limit, ok := ctx.Deadline(); ok {
				t.Errorf("it has to end at %v", limit)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("comes before the final dot", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		err := s.Deliver(t.Context(), testEmail(1), func(context.Context) error {
			if n := len(srv.Messages()); n != 0 {
				t.Errorf("the server has %d messages", n)
			}
			return nil
		})
		if err != nil || len(srv.Messages()) != 1 {
			t.Errorf("%v, %d messages", err, len(srv.Messages()))
		}
	})
	t.Run("is not followed by the dot if the server has closed the connection", func(t *testing.T) {
		for name, option := range map[string][]testservers.SMTPOption{"plain": nil, "TLS": {testservers.WithTLS()}} {
			srv := testservers.SMTP(t, option...)
			s := newSMTP(t, srv, srv.URL())
			s.timeouts.listen = 10 * time.Second
			err := s.Deliver(t.Context(), testEmail(1), func(context.Context) error {
				srv.Close()
				return nil
			})
			t.Log(name)
			wantFailure(t, err, serverFault, 0, "connection")
		}
	})
}

func TestSMTP_Cancel(t *testing.T) {
	for _, step := range []testservers.Step{
		testservers.StepConnect, testservers.StepMail, testservers.StepRcpt, testservers.StepData,
	} {
		t.Run("at "+string(step)+" is no attempt", func(t *testing.T) {
			srv := testservers.SMTP(t)
			s := newSMTP(t, srv, srv.URL())
			ctx, cancel := context.WithCancel(t.Context())
			srv.Script(func(at testservers.Step, _ int) testservers.Fault {
				if at == step {
					cancel()
				}
				return testservers.Fault{Stall: at == step}
			})
			wantFailure(t, s.Deliver(ctx, testEmail(1), committed), unreachable, 0, "cancelled")
		})
	}
	t.Run("after the commit changes nothing", func(t *testing.T) {
		srv := testservers.SMTP(t)
		s := newSMTP(t, srv, srv.URL())
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Deliver(ctx, testEmail(1), func(context.Context) error {
			cancel()
			return nil
		})
		if n := len(srv.Messages()); err != nil || n != 1 {
			t.Errorf("%v, %d messages", err, n)
		}
	})
}

func TestSMTP_OddServers(t *testing.T) {
	for name, tt := range map[string]struct {
		early, answer string
		verdict       revocation.Verdict
		code          int
		cause         revocation.Reason
	}{
		"times out before the dot":      {early: "421 too slow", verdict: serverFault, code: 421, cause: "closing"},
		"refuses before the dot":        {early: "552 too large", verdict: refused, code: 552, cause: "message"},
		"accepts before the dot":        {early: "250 ok", answer: "250 ok", verdict: serverFault, code: 250, cause: "protocol"},
		"sends garbage before the dot":  {early: "what?", verdict: serverFault, cause: "protocol"},
		"accepts with another code":     {answer: "251 ok"},
		"accepts in several lines":      {answer: "250-one\r\n250 two"},
		"sends garbage after the dot":   {answer: "what?", verdict: unknown, cause: "protocol"},
		"asks for more after the dot":   {answer: "354 more", verdict: unknown, code: 354, cause: "protocol"},
		"breaks off in the answer":      {answer: "250-one", verdict: unknown, cause: "connection"},
		"wants a sign-in after the dot": {answer: "530 sign in", verdict: serverFault, code: 530, cause: "auth"},
		"names the candidate after it":  {answer: "550 ada@candidates.example is unknown", verdict: refused, code: 550, cause: "message"},
	} {
		t.Run(name, func(t *testing.T) {
			raw := newRawServer(t, rawAnswers{early: tt.early, answer: tt.answer})
			s := newSMTP(t, testservers.SMTP(t), "smtp://"+raw.addr)
			s.timeouts.listen = 10 * time.Second
			if tt.early == "" {
				s.timeouts.listen = time.Millisecond
			}
			err := s.Deliver(t.Context(), testEmail(1), committed)
			if tt.verdict == "" {
				if err != nil {
					t.Errorf("got %v, want it delivered", err)
				}
				return
			}
			wantFailure(t, err, tt.verdict, tt.code, tt.cause)
			if tt.early != "" {
				if n := s.kept(); n != 0 {
					t.Fatalf("%d connections are kept in the middle of a text", n)
				}
				if received := <-raw.received; strings.Contains(received, "\r\n.\r\n") {
					t.Errorf("the dot was sent:\n%s", received)
				}
			}
			if strings.Contains(err.Error(), "candidates.example") {
				t.Errorf("the error has the server's words: %v", err)
			}
		})
	}
	t.Run("without SMTPUTF8 cannot take an address that is not ASCII", func(t *testing.T) {
		raw := newRawServer(t, rawAnswers{answer: "250 ok"})
		s := newSMTP(t, testservers.SMTP(t), "smtp://"+raw.addr)
		email := testEmail(1)
		email.ToAddress = "jörg@bücher.example"
		wantFailure(t, s.Deliver(t.Context(), email, committed), refused, 0, "smtputf8")
	})
}

func TestSMTP_UTF8(t *testing.T) {
	for to, want := range map[string]bool{
		"ada@candidates.example": false, "ada@bücher.example": false, "jörg@bücher.example": true,
	} {
		raw := newRawServer(t, rawAnswers{extension: "SMTPUTF8", answer: "250 ok"})
		s := newSMTP(t, testservers.SMTP(t), "smtp://"+raw.addr)
		email := testEmail(1)
		email.ToAddress = to
		deliver(t, s, email)
		if received := <-raw.received; strings.Contains(received, "<no-reply@example.com> SMTPUTF8\r\n") != want {
			t.Errorf("%s: asks for SMTPUTF8 %v, want %v:\n%s", to, !want, want, received)
		}
	}
}

// rawServer is a mail server that sends unusual answers.
type rawServer struct {
	addr string
	// received gives all that came over the first connection, when that has ended.
	received chan string
}

// rawAnswers are the answers of a rawServer. It sends nothing for an empty one.
type rawAnswers struct {
	// extension is offered in answer to EHLO.
	extension string
	// rcpt is said in answer to RCPT.
	rcpt string
	// early is said in the middle of a message's text.
	early string
	// answer is said after the final dot.
	answer string
}

// newRawServer starts a rawServer. It accepts one connection and one message, and then closes the connection.
func newRawServer(t *testing.T, m rawAnswers) *rawServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	raw := &rawServer{addr: listener.Addr().String(), received: make(chan string, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		raw.received <- m.converse(conn)
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return raw
}

func (m rawAnswers) converse(conn net.Conn) (received string) {
	var all strings.Builder
	lines := bufio.NewScanner(io.TeeReader(conn, &all))
	say := func(line string) { _, _ = io.WriteString(conn, line+"\r\n") }
	say("220 odd")
	text := false
	for lines.Scan() {
		verb, _, _ := strings.Cut(lines.Text(), " ")
		switch {
		case text && verb == ".":
			if m.answer != "" {
				say(m.answer)
			}
			return all.String()
		case text:
		case verb == "DATA":
			text = true
			say("354 continue")
			if m.early != "" {
				say(m.early)
			}
		case verb == "RCPT" && m.rcpt != "":
			say(m.rcpt)
		case verb == "EHLO" && m.extension != "":
			say("250-odd\r\n250 " + m.extension)
		default:
			say("250 ok")
		}
	}
	return all.String()
}

// hidePlain starts a proxy for one connection to the server at addr. The proxy hides that the server offers AUTH PLAIN.
func hidePlain(t *testing.T, addr string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		client, err := listener.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		server, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(server, client)
			_ = server.Close()
		}()
		for lines := bufio.NewReader(server); err == nil; {
			var line string
			line, err = lines.ReadString('\n')
			_, _ = io.WriteString(client, strings.Replace(line, "AUTH PLAIN ", "AUTH ", 1))
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}
