package mail

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"rescind/internal/revocation"
)

// SMTP delivers emails to a mail server. It keeps an idle connection for 15 seconds for the next email.
type SMTP struct {
	messages *Messages
	server   *server
	idle     *pool
	checker  *checker
	timeouts timeouts
}

var _ Mailer = (*SMTP)(nil)

// timeouts bound a delivery.
type timeouts struct {
	// connect bounds a new connection, until after the sign-in.
	connect time.Duration
	// prove bounds the test of whether an idle connection still works.
	prove time.Duration
	// submit bounds everything before the commit, including connect and prove.
	submit time.Duration
	// listen is how long an answer is awaited that the server may have sent before the final dot.
	listen time.Duration
	// answer bounds the time from the commit to the server's answer. It is less than revocation.CommitLease.
	answer time.Duration
}

var defaultTimeouts = timeouts{
	connect: 15 * time.Second,
	prove:   5 * time.Second,
	submit:  35 * time.Second,
	listen:  time.Millisecond,
	answer:  60 * time.Second,
}

// NewSMTP returns a Mailer for the server at url:
//
//	smtp://[user:password@]host[:587]   STARTTLS: required with a password, otherwise used when offered
//	smtps://[user:password@]host[:465]  TLS from the first byte
//
// A URL with smtp:// may have ?tls=required or ?tls=none; with a password, tls=none is allowed only for a server on this
// machine. The server's certificate must be valid for host. Special characters in user and password must be
// percent-encoded. hello is the name in EHLO; if it is empty, it is the domain of the messages' sender. NewSMTP does not
// connect, and its error contains no part of url.
func NewSMTP(url, hello string, messages *Messages) (*SMTP, error) {
	server, err := parseServer(url)
	if err != nil {
		return nil, err
	}
	if server.hello, err = helloName(hello); err != nil {
		return nil, err
	}
	if server.hello == "" && messages != nil { // without messages, Open reports why
		server.hello = messages.domain
	}
	return &SMTP{messages: messages, server: server, idle: newPool(), checker: newChecker(), timeouts: defaultTimeouts}, nil
}

// Deliver sends one email; see revocation.Mailer. It takes less than 40 seconds before the commit, and less than
// revocation.CommitLease after it. The end of ctx cancels the delivery only before the commit.
func (s *SMTP) Deliver(ctx context.Context, email revocation.Email, commit func(context.Context) error) error {
	msg, err := s.messages.compose(email)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, s.timeouts.submit)
	defer cancel()
	c, text, err := s.submit(bounded, msg)
	if err != nil {
		return err
	}
	defer s.release(c)
	if err := commit(ctx); err != nil {
		return err
	}
	return c.finish(text, s.timeouts)
}

// Sender implements revocation.Mailer.
func (s *SMTP) Sender() string {
	return s.messages.envelope + " by " + net.JoinHostPort(s.server.host, s.server.port)
}

// submit sends the message without its final dot. The server may have closed an idle connection, or may accept no further
// message on it. So if a reused connection ends, submit tries again on another.
func (s *SMTP) submit(ctx context.Context, msg message) (*connection, io.WriteCloser, error) {
	for {
		c, kept, err := s.begin(ctx, msg)
		if err != nil {
			return nil, nil, err
		}
		text, err := c.submit(ctx, msg)
		if err == nil {
			return c, text, nil
		}
		ended := c.undone
		s.release(c)
		if !kept || !ended || ctx.Err() != nil {
			return nil, nil, err
		}
	}
}

// begin opens the message on an idle connection, or on a new one if there is none or it fails. kept reports whether the
// connection was idle.
func (s *SMTP) begin(ctx context.Context, msg message) (c *connection, kept bool, err error) {
	if c := s.idle.take(); c != nil {
		proving, cancel := context.WithTimeout(ctx, s.timeouts.prove)
		err := c.reopen(proving, msg)
		cancel()
		if err == nil {
			s.checker.found(nil)
			return c, true, nil
		}
		c.drop()
	}
	connecting, cancel := context.WithTimeout(ctx, s.timeouts.connect)
	defer cancel()
	c, err = s.server.connect(connecting)
	if err == nil {
		if err = c.open(ctx, msg); err != nil {
			c.drop()
		}
	}
	failure, _ := errors.AsType[*revocation.DeliveryError](err)
	switch {
	case err == nil:
		s.checker.found(nil)
	case failure.Verdict == revocation.VerdictUnreachable && failure.Reason != revocation.ReasonCancelled:
		s.checker.found(err)
	}
	return c, false, err
}

// Check implements Mailer. It connects and signs in, and sends no message.
func (s *SMTP) Check(ctx context.Context) error {
	return s.checker.check(ctx, s.timeouts.connect, func(ctx context.Context) error {
		c, err := s.server.connect(ctx)
		if err == nil {
			s.idle.put(c)
		}
		return err
	})
}

// Local implements Mailer.
func (s *SMTP) Local() bool { return false }

// release keeps a connection for the next message, or closes it if a message on it is undone.
func (s *SMTP) release(c *connection) {
	if c.undone {
		c.drop()
		return
	}
	s.idle.put(c)
}

// Close closes the idle connections. Deliveries in progress continue, and close theirs at the end.
func (s *SMTP) Close() error {
	s.checker.close()
	s.idle.close()
	return nil
}
