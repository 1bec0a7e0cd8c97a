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

// connection is a conversation with a mail server, for one message at a time.
type connection struct {
	client *smtp.Client
	// raw is the TCP connection below any TLS.
	raw net.Conn
	// undone tells that a message is under way, or that nobody knows: no other may follow.
	undone bool
	// messages counts those that were begun.
	messages int
	// expiry ends the connection while it is kept.
	expiry *time.Timer
}

// open begins a message. Its error, as that of every step, is a *revocation.DeliveryError.
func (c *connection) open(ctx context.Context, msg message) error {
	c.messages++
	c.undone = true
	if extended, _ := c.client.Extension("SMTPUTF8"); msg.utf8 && !extended {
		return &revocation.DeliveryError{Verdict: revocation.VerdictRefused, Reason: revocation.ReasonSMTPUTF8}
	}
	// The parameter would oblige every server on the way, so it is for those who cannot do without.
	c.client.SkipSMTPUTF8(!msg.utf8)
	err := within(ctx, c.raw, func() error { return c.client.Mail(msg.from) })
	if err != nil {
		return unavailable(ctx, stepMail, err)
	}
	return nil
}

// reopen begins a message on a connection that has had one before.
func (c *connection) reopen(ctx context.Context, msg message) error {
	if err := within(ctx, c.raw, c.client.Reset); err != nil {
		return unavailable(ctx, stepMail, err)
	}
	return c.open(ctx, msg)
}

// submit gives the recipient and the text, all but the final dot.
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

// finish ends the text with its final dot, after which the message may be the server's, and reads the
// answer. What the server has said or done before the dot is not about this message: it never had it.
func (c *connection) finish(text io.Closer, t timeouts) error {
	if err := c.overheard(t.listen); err != nil {
		return c.failed(context.Background(), stepText, err)
	}
	failpoint.Reach(failpoint.BeforeDot, "email")
	_ = c.raw.SetDeadline(time.Now().Add(t.answer)) // fails on a closed connection, as does what follows
	err := text.Close()
	_ = c.raw.SetDeadline(time.Time{})
	failpoint.Reach(failpoint.AfterDot, "email")
	if err != nil {
		return c.answered(err)
	}
	c.undone = false
	return nil
}

// overheard tells what came from the server unasked while the commit was made: an answer, mostly 421 for
// having waited too long, or the end of the connection.
func (c *connection) overheard(listen time.Duration) error {
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

// drop closes the connection without another word. That alone takes a message back: go-mail and
// net/textproto end a text that is under way before any further command, which would send it.
func (c *connection) drop() { _ = c.raw.Close() }

// partTime bounds the farewell.
const partTime = time.Second

// part takes leave of the server.
func (c *connection) part() {
	_ = c.raw.SetDeadline(time.Now().Add(partTime))
	_ = c.client.Quit() // the connection has served, whatever the server answers
	c.drop()
}

// within closes raw when ctx ends before f does: that ends what f waits for, with an error.
func within(ctx context.Context, raw net.Conn, f func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	err := f()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	return err
}
