package revocation

import (
	"context"
	"time"
)

// Email is a notification that a worker has claimed, with the facts that its message contains.
type Email struct {
	Account    string
	Revocation ID
	// Sender is the Mailer's Sender for which the email was claimed.
	Sender string
	// Claims counts the claims of this email, this one included. It fences the claim: after another worker has claimed the
	// email, the store ignores what this worker writes.
	Claims int
	// Attempts counts the ended attempts, excluding failures of the server and of the connection.
	Attempts int
	// Deferred is the time from the mail server's first temporary refusal of the email to the claim, by the database's
	// clock; 0 if there was no such refusal.
	Deferred time.Duration
	// ServerCleared reports that the server has accepted another message from Sender since its last answer to this email,
	// and that this answer seemed to be about the server. So the answer was about this email; Attempts and Deferred
	// include it.
	ServerCleared bool

	// Forgotten reports that the candidate's name and address were erased. The email must not be sent.
	Forgotten bool
	// ToName and ToAddress are the candidate's. ToAddress is empty if the invite does not exist any more.
	ToName    string
	ToAddress string
	// Assessment is the name of the assessment that the candidate was invited to.
	Assessment string
	// Company and Contact are the account's.
	Company string
	Contact string
	// Message is what the caller wrote to the candidate, in one or more lines: that of the revocation, or of its job; empty
	// if there is none.
	Message string
}

// EmailText is what a candidate reads of an email.
type EmailText struct {
	Subject string
	Text    string
	HTML    string
}

// Mailer delivers emails to a mail server.
type Mailer interface {
	// Deliver delivers one message. It calls commit just before the step after which the server may own the message. If
	// commit fails, Deliver withdraws the message and returns commit's error. A Mailer that can repeat a delivery without
	// a second message arriving has no such step and never calls commit. Every other error is a *DeliveryError.
	Deliver(ctx context.Context, email Email, commit func(context.Context) error) error
	// Sender identifies the sender of all messages together with the server that receives them. A server that accepts
	// messages from one sender may still refuse those from another.
	Sender() string
}

// Verdict is what a failed delivery means for the email and for others.
type Verdict string

const (
	// VerdictUnreachable: no server was reached, or it accepts no message from this sender. Every other email would fail
	// too.
	VerdictUnreachable Verdict = "unreachable"
	// VerdictServer: after the server was given the recipient, it refused for a reason of its own, or because of the
	// sender or the connection, or it closed the connection. Other emails may fail too.
	VerdictServer Verdict = "server"
	// VerdictDeferred: the recipient or the message was refused temporarily.
	VerdictDeferred Verdict = "deferred"
	// VerdictRefused: the recipient or the message was refused permanently.
	VerdictRefused Verdict = "refused"
	// VerdictUnknown: the message was sent completely, and no answer came.
	VerdictUnknown Verdict = "unknown"
)

// Reason is why a delivery failed.
type Reason string

const (
	// ReasonDNS: the mail server's name has no address, or the look-up failed.
	ReasonDNS Reason = "dns"
	// ReasonConnectionRefused: no program listens on the mail server's port.
	ReasonConnectionRefused Reason = "connection_refused"
	// ReasonNetwork: there is no route to the mail server.
	ReasonNetwork Reason = "network"
	// ReasonTimeout: the mail server did not answer in time.
	ReasonTimeout Reason = "timeout"
	// ReasonConnection: the connection broke.
	ReasonConnection Reason = "connection"
	// ReasonTLS: the mail server offers no encryption, or the handshake failed.
	ReasonTLS Reason = "tls"
	// ReasonCertificate: the mail server could not prove its name.
	ReasonCertificate Reason = "certificate"
	// ReasonAuth: authentication failed, or is required.
	ReasonAuth Reason = "auth"
	// ReasonGreeting: the mail server accepts no message on this connection.
	ReasonGreeting Reason = "greeting"
	// ReasonClosing: the mail server closed the connection (421).
	ReasonClosing Reason = "closing"
	// ReasonSender: the sender's address was refused.
	ReasonSender Reason = "sender"
	// ReasonPolicy: a policy of the mail server refused it, such as one about relaying or greylisting.
	ReasonPolicy Reason = "policy"
	// ReasonSystem: the mail server has a problem of its own, such as a full disk.
	ReasonSystem Reason = "system"
	// ReasonProtocol: one side did not understand the other.
	ReasonProtocol Reason = "protocol"
	// ReasonRecipient: the recipient was refused.
	ReasonRecipient Reason = "recipient"
	// ReasonMessage: the message was refused.
	ReasonMessage Reason = "message"
	// ReasonAddress: the candidate's address is not valid.
	ReasonAddress Reason = "address"
	// ReasonSMTPUTF8: the mail server does not support addresses that are not ASCII.
	ReasonSMTPUTF8 Reason = "smtputf8"
	// ReasonTemplate: a template could not be executed for this email.
	ReasonTemplate Reason = "template"
	// ReasonFileMissing: the directory for emails does not exist.
	ReasonFileMissing Reason = "file_missing"
	// ReasonFileDenied: the process has no permission to write to the directory for emails.
	ReasonFileDenied Reason = "file_denied"
	// ReasonFileFull: the disk of the directory for emails is full.
	ReasonFileFull Reason = "file_full"
	// ReasonFile: a file could not be written for another reason.
	ReasonFile Reason = "file"
	// ReasonDatabase: the database failed just before the message would have been complete.
	ReasonDatabase Reason = "database"
	// ReasonCancelled: the worker was stopped.
	ReasonCancelled Reason = "cancelled"
)

// Reasons lists every Reason.
var Reasons = []Reason{
	ReasonDNS, ReasonConnectionRefused, ReasonNetwork, ReasonTimeout, ReasonConnection, ReasonTLS, ReasonCertificate,
	ReasonAuth, ReasonGreeting, ReasonClosing, ReasonSender, ReasonPolicy, ReasonSystem, ReasonProtocol, ReasonRecipient,
	ReasonMessage, ReasonAddress, ReasonSMTPUTF8, ReasonTemplate, ReasonFileMissing, ReasonFileDenied, ReasonFileFull,
	ReasonFile, ReasonDatabase, ReasonCancelled,
}

// DeliveryError is a failed delivery. It holds the server's codes and never its texts, which can contain the candidate's
// name.
type DeliveryError struct {
	Verdict Verdict
	Reason  Reason
	// Step is the step of the conversation that failed, such as "rcpt"; empty if there is none.
	Step string
	// SMTPCode is the code of the server's answer; 0 if there was no answer.
	SMTPCode int
	// SMTPStatus is the enhanced status code of the answer (RFC 3463), such as "5.7.1"; empty if it had none.
	SMTPStatus string
}

func (e *DeliveryError) Error() string {
	return "delivery " + string(e.Verdict) + ": " + string(e.Reason)
}
