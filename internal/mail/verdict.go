package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/textproto"

	"rescind/internal/revocation"
)

const (
	causeCancelled = "cancelled"
	causeTimeout   = "timeout"
	causeProtocol  = "protocol"
	causeLost      = "connection"
	// causeCertificate: the server could not prove its name.
	causeCertificate = "certificate"
)

// unavailable is the verdict on a server that no message could be offered to: whatever it said, it was
// about us, and every other email meets the same.
func unavailable(ctx context.Context, cause string, err error) error {
	e := &revocation.DeliveryError{Verdict: revocation.VerdictUnreachable, Cause: cause}
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		e.SMTPCode = reply.Code
	} else if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.Cause = causeCertificate
	} else if broken := causeOf(ctx, err); broken == causeCancelled || broken == causeTimeout {
		e.Cause = broken
	}
	return e
}

// failed is the verdict on a message that never had its final dot.
func (c *connection) failed(ctx context.Context, step string, err error) error {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		c.undone = step == stepText || closing(reply.Code)
		return replied(step, reply.Code, revocation.VerdictDeferred)
	}
	e := &revocation.DeliveryError{Verdict: revocation.VerdictDeferred, Cause: causeOf(ctx, err)}
	if e.Cause == causeCancelled {
		// It was our wish, and no attempt of the message's.
		e.Verdict = revocation.VerdictUnreachable
	}
	return e
}

// answered is the verdict on a message with its final dot. Without a clear answer nobody knows.
func (c *connection) answered(err error) error {
	reply, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		cause := causeOf(context.Background(), err)
		return &revocation.DeliveryError{Verdict: revocation.VerdictUnknown, Cause: cause}
	}
	c.undone = closing(reply.Code)
	if reply.Code/100 == 2 {
		return nil // RFC 5321, section 4.3.2: the first digit decides
	}
	return replied(stepDot, reply.Code, revocation.VerdictUnknown)
}

// replied is the verdict on a server's answer; senseless is the one for an answer that is no refusal where
// only a refusal was left.
//
// A refusal for good at MAIL is about the sender's address or about this service, as are the codes that ask
// to sign in or to encrypt, wherever they come: the operator has to mend that, and the candidate must not
// lose the email over it. So they count as a server that cannot be reached.
func replied(step string, code int, senseless revocation.Verdict) error {
	e := &revocation.DeliveryError{SMTPCode: code, Cause: step}
	switch code / 100 {
	case 4:
		e.Verdict = revocation.VerdictDeferred
	case 5:
		e.Verdict = revocation.VerdictRefused
		if step == stepMail || aboutUs(code) {
			e.Verdict = revocation.VerdictUnreachable
		}
	default:
		e.Verdict, e.Cause = senseless, causeProtocol
	}
	return e
}

// aboutUs tells the codes of RFC 4954 for a client that has not signed in well enough.
func aboutUs(code int) bool {
	switch code {
	case 530, 534, 535, 538:
		return true
	default:
		return false
	}
}

// closing tells the answers after which the connection is of no use: the server ends it, or is not
// understood.
func closing(code int) bool { return code == 421 || code/100 < 2 || code/100 == 3 || code/100 > 5 }

func causeOf(ctx context.Context, err error) string {
	if errors.Is(ctx.Err(), context.Canceled) {
		return causeCancelled
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || ctx.Err() != nil {
		return causeTimeout
	}
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		return causeProtocol
	}
	return causeLost
}
