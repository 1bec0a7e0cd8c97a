package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/textproto"
	"regexp"
	"strings"
	"syscall"

	"rescind/internal/revocation"
)

// The steps of a delivery, as in revocation.DeliveryError.
const (
	stepConnect = "connect"
	stepHello   = "hello"
	stepTLS     = "tls"
	stepAuth    = "auth"
	stepMail    = "mail"
	stepRcpt    = "rcpt"
	stepData    = "data"
	stepText    = "text"
	stepDot     = "dot"
)

// unavailable returns the error if the server cannot be used for any message now.
func unavailable(ctx context.Context, step string, err error) error {
	reply, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		return &revocation.DeliveryError{Verdict: revocation.VerdictUnreachable, Reason: reasonOf(ctx, step, err), Step: step}
	}
	e := refusal(step, reply)
	e.Verdict = revocation.VerdictUnreachable
	if reason, ok := aboutServer(step, reply.Code, e.SMTPStatus); ok {
		e.Reason = reason
	}
	return e
}

// failed returns the error for a message whose sender was accepted and whose final dot was not sent.
func (c *connection) failed(ctx context.Context, step string, err error) error {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		c.undone = step == stepText || closing(reply.Code)
		return replied(step, reply, revocation.VerdictServer)
	}
	e := &revocation.DeliveryError{Verdict: revocation.VerdictServer, Reason: reasonOf(ctx, step, err), Step: step}
	if e.Reason == revocation.ReasonCancelled {
		// The caller cancelled it; that says nothing about the server.
		e.Verdict = revocation.VerdictUnreachable
	}
	return e
}

// answered returns the error for a message whose final dot was sent. Without a clear answer the verdict is unknown.
func (c *connection) answered(err error) error {
	reply, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		return &revocation.DeliveryError{
			Verdict: revocation.VerdictUnknown, Reason: reasonOf(context.Background(), stepDot, err), Step: stepDot,
		}
	}
	c.undone = closing(reply.Code)
	if reply.Code/100 == 2 {
		return nil // RFC 5321, section 4.3.2: the first digit decides
	}
	return replied(stepDot, reply, revocation.VerdictUnknown)
}

// replied returns the error for a server's answer after it knew the recipient. unexpected is the verdict if the answer is
// not a refusal.
//
// Servers often refuse the sender or the connection only at this point, because they delay all refusals until they know
// the recipient. The operator has to correct that, and the candidate must not lose the email because of it.
func replied(step string, reply *textproto.Error, unexpected revocation.Verdict) error {
	e := refusal(step, reply)
	class := reply.Code / 100
	reason, server := aboutServer(step, reply.Code, e.SMTPStatus)
	switch {
	case class != 4 && class != 5:
		e.Verdict = unexpected
	case server:
		e.Verdict, e.Reason = revocation.VerdictServer, reason
	case class == 4:
		e.Verdict = revocation.VerdictDeferred
	default:
		e.Verdict = revocation.VerdictRefused
	}
	return e
}

// refusal returns an error with an answer's codes, its step and, derived from them, a reason.
func refusal(step string, reply *textproto.Error) *revocation.DeliveryError {
	e := &revocation.DeliveryError{Step: step, SMTPCode: reply.Code, SMTPStatus: enhancedStatus.FindString(reply.Msg)}
	switch {
	case reply.Code/100 != 4 && reply.Code/100 != 5:
		e.Reason = revocation.ReasonProtocol
	case step == stepRcpt:
		e.Reason = revocation.ReasonRecipient
	case step == stepData, step == stepText, step == stepDot:
		e.Reason = revocation.ReasonMessage
	case step == stepMail:
		e.Reason = revocation.ReasonSender
	case step == stepAuth:
		e.Reason = revocation.ReasonAuth
	case step == stepTLS:
		e.Reason = revocation.ReasonTLS
	default:
		e.Reason = revocation.ReasonGreeting
	}
	return e
}

// enhancedStatus matches the status at the beginning of an answer's text (RFC 2034).
var enhancedStatus = regexp.MustCompile(`^[45]\.\d{1,3}\.\d{1,3}\b`)

// aboutServer reports whether a refusal is about the server itself, the sender or the connection, and returns its reason.
func aboutServer(step string, code int, status string) (reason revocation.Reason, ok bool) {
	class, detail, _ := strings.Cut(status, ".")
	subject, detail, _ := strings.Cut(detail, ".")
	switch {
	case code == 421:
		return revocation.ReasonClosing, true
	case code == 530, code == 534, code == 535, code == 538: // RFC 4954
		return revocation.ReasonAuth, true
	case subject == "1" && (detail == "7" || detail == "8"):
		return revocation.ReasonSender, true
	case class == "4" && subject == "3":
		return revocation.ReasonSystem, true
	case subject == "7":
		return revocation.ReasonPolicy, true
	case class == "5" && subject == "5", code >= 501 && code <= 504:
		return revocation.ReasonProtocol, true
	case step == stepMail:
		return revocation.ReasonSender, true
	default:
		return "", false
	}
}

// closing reports whether the connection cannot be used after an answer: the server closes it, or the answer is invalid.
func closing(code int) bool { return code == 421 || code/100 < 2 || code/100 == 3 || code/100 > 5 }

// reasonOf returns why there was no answer at a step.
func reasonOf(ctx context.Context, step string, err error) revocation.Reason {
	if errors.Is(ctx.Err(), context.Canceled) {
		return revocation.ReasonCancelled
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return revocation.ReasonDNS
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || ctx.Err() != nil {
		return revocation.ReasonTimeout
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return revocation.ReasonCertificate
	}
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		return revocation.ReasonProtocol
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return revocation.ReasonConnectionRefused
	case step == stepConnect && !errors.Is(err, syscall.ECONNRESET):
		return revocation.ReasonNetwork
	case step == stepTLS:
		return revocation.ReasonTLS
	case step == stepAuth:
		return revocation.ReasonAuth
	default:
		return revocation.ReasonConnection
	}
}
