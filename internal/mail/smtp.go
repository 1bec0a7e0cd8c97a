package mail

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"rescind/internal/revocation"
)

// SMTP delivers emails to a mail server. Connections are kept for the next email for a short while.
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
	// connect is for a new connection, until the server would take a message.
	connect time.Duration
	// prove is for finding out whether a connection that was kept is still good.
	prove time.Duration
	// submit is for everything up to the commit, connect and prove included.
	submit time.Duration
	// listen is how long the server is listened to before the final dot.
	listen time.Duration
	// answer is from the commit to the server's answer, less than revocation.CommitLease.
	answer time.Duration
}

var defaultTimeouts = timeouts{
	connect: 15 * time.Second,
	prove:   5 * time.Second,
	submit:  35 * time.Second,
	listen:  time.Millisecond,
	answer:  60 * time.Second,
}

// NewSMTP makes a Mailer for the server that url names:
//
//	smtp://[user:password@]host[:587]   STARTTLS: required with a password, otherwise used when offered
//	smtps://[user:password@]host[:465]  TLS from the first byte on
//
// smtp:// can be followed by ?tls=required or ?tls=none; none with a password is for a server on this
// machine alone. The server's certificate must be valid for host. Special characters in user and password
// are percent-encoded. hello is the name in EHLO; empty: the domain of the messages' sender. NewSMTP does not connect,
// and its error tells nothing of url.
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

// Deliver hands one email over; see revocation.Mailer. It takes less than 40 seconds up to the commit, and
// less than revocation.CommitLease from there. What ends ctx ends it before the commit only.
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

// submit hands over the message but for its final dot. A connection that was kept may have been closed by the server,
// or have carried one message too many for it: when it ends, that is no answer yet, and a new one decides.
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

// begin finds a connection and opens the message on it. Whatever fails on one that was kept is no answer yet.
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

// Check implements Mailer. It signs in as for a message, and sends none.
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

// release keeps a connection on which nothing is left undone, and drops any other.
func (s *SMTP) release(c *connection) {
	if c.undone {
		c.drop()
		return
	}
	s.idle.put(c)
}

// Close ends the connections that are kept. Deliveries under way go on, and end theirs.
func (s *SMTP) Close() error {
	s.checker.close()
	s.idle.close()
	return nil
}
