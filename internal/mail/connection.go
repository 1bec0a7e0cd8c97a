package mail

import (
	"context"
	"errors"
	"io"
	"net"
	"net/textproto"
	"os"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"rescind/internal/failpoint"
	"rescind/internal/revocation"
)

// connection is a connection to a mail server, for one message at a time.
type connection struct {
	client *smtp.Client
	// raw is the TCP connection below any TLS.
	raw net.Conn
	// undone reports whether a message was begun and the server's answer is not known. No other message may follow.
	undone bool
	// messages is the number of messages that were begun.
	messages int
	// expiry closes the connection while it is idle.
	expiry *time.Timer
}

// open begins a message. Its error is a *revocation.DeliveryError, as in every step.
func (c *connection) open(ctx context.Context, msg message) error {
	c.messages++
	c.undone = true
	if extended, _ := c.client.Extension("SMTPUTF8"); msg.utf8 && !extended {
		return &revocation.DeliveryError{Verdict: revocation.VerdictRefused, Reason: revocation.ReasonSMTPUTF8}
	}
	// With the parameter, every server on the way must support SMTPUTF8, so only messages that need it get it.
	c.client.SkipSMTPUTF8(!msg.utf8)
	err := within(ctx, c.raw, func() error { return c.client.Mail(msg.from) })
	if err != nil {
		return unavailable(ctx, stepMail, err)
	}
	return nil
}

// reopen begins a message on a connection that carried one before.
func (c *connection) reopen(ctx context.Context, msg message) error {
	if err := within(ctx, c.raw, c.client.Reset); err != nil {
		return unavailable(ctx, stepMail, err)
	}
	return c.open(ctx, msg)
}

// submit sends the recipient and the text without the final dot.
func (c *connection) submit(ctx context.Context, msg message) (io.WriteCloser, error) {
	var text io.WriteCloser
	step := stepRcpt
	err := within(ctx, c.raw, func() (err error) {
		if err = c.client.Rcpt(msg.to); err != nil {
			return err
		}
		step = stepData
		if text, err = c.client.Data(); err != nil {
			return err
		}
		step = stepText
		if _, err = text.Write(msg.data); err != nil {
			return err
		}
		return c.client.Text.W.Flush()
	})
	if err != nil {
		return nil, c.failed(ctx, step, err)
	}
	return text, nil
}

// finish sends the final dot and reads the answer. After the dot, the server may have accepted the message. If the server
// answered or closed the connection before the dot, it does not have the message.
func (c *connection) finish(text io.Closer, t timeouts) error {
	if err := c.earlyAnswer(t.listen); err != nil {
		return c.failed(context.Background(), stepText, err)
	}
	failpoint.Reach(failpoint.BeforeDot, "email")
	_ = c.raw.SetDeadline(time.Now().Add(t.answer)) // an error means a closed connection, which Close returns too
	err := text.Close()
	_ = c.raw.SetDeadline(time.Time{})
	failpoint.Reach(failpoint.AfterDot, "email")
	if err != nil {
		return c.answered(err)
	}
	c.undone = false
	return nil
}

// earlyAnswer returns an error if the server answered or closed the connection during the commit. Such an answer is mostly
// 421, after a timeout of the server.
func (c *connection) earlyAnswer(listen time.Duration) error {
	_ = c.raw.SetReadDeadline(time.Now().Add(listen))
	_, err := c.client.Text.R.Peek(1)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err != nil {
		return err
	}
	code, text, err := c.client.Text.ReadResponse(0)
	if err != nil {
		return err
	}
	return &textproto.Error{Code: code, Msg: text}
}

// drop closes the connection without a command. There is no other way to withdraw a message: go-mail and net/textproto
// end an open text before any further command, and that would send it.
func (c *connection) drop() { _ = c.raw.Close() }

// quitTimeout bounds QUIT.
const quitTimeout = time.Second

// quit sends QUIT and closes the connection.
func (c *connection) quit() {
	_ = c.raw.SetDeadline(time.Now().Add(quitTimeout))
	_ = c.client.Quit() // the answer does not matter
	c.drop()
}

// within calls f, and closes raw if ctx ends before f returns. The closed connection makes f return an error.
func within(ctx context.Context, raw net.Conn, f func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	err := f()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	return err
}
