package revocation

import (
	"context"
	"time"
)

// Email is a notification that a worker has claimed, with what its message says.
type Email struct {
	Account    string
	Revocation ID
	// Sender is the one for which it was claimed.
	Sender string
	// Claims fences the claim: nothing that this worker writes counts after another has claimed the email.
	Claims int
	// Attempts counts those that have ended at the mail server.
	Attempts int
	// Deferred is how long ago, at the time of the claim and by the database's clock, the mail server first refused
	// the email for now; 0: never.
	Deferred time.Duration
	// ServerCleared says that the server has accepted another message from Sender since its last answer to this email,
	// which seemed to be about the server. So that answer was about this email; Attempts and Deferred include it.
	ServerCleared bool

	// ToName and ToAddress are the candidate's; the address is empty when the invite is gone.
	ToName    string
	ToAddress string
	// Assessment is the name of what the candidate was invited to.
	Assessment string
	// Company and Contact are the account's.
	Company string
	Contact string
}

// Mailer gives emails to a mail server.
type Mailer interface {
	// Deliver hands over one message. Just before the step after which the server may own it, it calls
	// commit, and takes the message back if that fails, giving commit's error. A Mailer that can do the
	// same delivery again without a second message arriving has no such step and never calls commit. Every
	// other error is a *DeliveryError.
	Deliver(ctx context.Context, email Email, commit func(context.Context) error) error
	// Sender names the sender that all messages come from, and the server that they go to. What a server accepts
	// from one sender says nothing about another.
	Sender() string
}

// Verdict says what a failed delivery means.
type Verdict string

const (
	// VerdictUnreachable: no server was reached, or it takes no message from this sender. Every other email would meet
	// the same.
	VerdictUnreachable Verdict = "unreachable"
	// VerdictServer: when the server knew the recipient, it refused for a reason of its own, or because of the sender
	// or the connection, or it broke off. Other emails may meet the same or not.
	VerdictServer Verdict = "server"
	// VerdictDeferred: the recipient or the message was refused for now.
	VerdictDeferred Verdict = "deferred"
	// VerdictRefused: the recipient or the message was refused for good.
	VerdictRefused Verdict = "refused"
	// VerdictUnknown: the message was complete, and no answer came.
	VerdictUnknown Verdict = "unknown"
)

// Reason says in one word why a delivery failed.
type Reason string

const (
	// ReasonDNS: the mail server's name has no address, or it could not be asked for.
	ReasonDNS Reason = "dns"
	// ReasonConnectionRefused: nobody listens at the mail server's port.
	ReasonConnectionRefused Reason = "connection_refused"
	// ReasonNetwork: no way leads to the mail server.
	ReasonNetwork Reason = "network"
	// ReasonTimeout: the mail server did not answer in time.
	ReasonTimeout Reason = "timeout"
	// ReasonConnection: the connection broke.
	ReasonConnection Reason = "connection"
	// ReasonTLS: the mail server offers no encryption, or no common form of it was found.
	ReasonTLS Reason = "tls"
	// ReasonCertificate: the mail server could not prove its name.
	ReasonCertificate Reason = "certificate"
	// ReasonAuth: signing in failed, or is asked for.
	ReasonAuth Reason = "auth"
	// ReasonGreeting: the mail server takes no message on this connection.
	ReasonGreeting Reason = "greeting"
	// ReasonClosing: the mail server ends the connection (421).
	ReasonClosing Reason = "closing"
	// ReasonSender: the sender's address was refused.
	ReasonSender Reason = "sender"
	// ReasonPolicy: a rule of the mail server's refuses it, such as one about relaying or greylisting.
	ReasonPolicy Reason = "policy"
	// ReasonSystem: the mail server has a trouble of its own, such as a full disk.
	ReasonSystem Reason = "system"
	// ReasonProtocol: one side does not understand the other.
	ReasonProtocol Reason = "protocol"
	// ReasonRecipient: the recipient was refused.
	ReasonRecipient Reason = "recipient"
	// ReasonMessage: the message was refused.
	ReasonMessage Reason = "message"
	// ReasonAddress: the candidate's address is not one.
	ReasonAddress Reason = "address"
	// ReasonSMTPUTF8: the mail server cannot take an address that is not ASCII.
	ReasonSMTPUTF8 Reason = "smtputf8"
	// ReasonTemplate: a template failed with this email's details.
	ReasonTemplate Reason = "template"
	// ReasonFileMissing: the directory for emails does not exist.
	ReasonFileMissing Reason = "file_missing"
	// ReasonFileDenied: the directory for emails must not be written to.
	ReasonFileDenied Reason = "file_denied"
	// ReasonFileFull: the disk of the directory for emails is full.
	ReasonFileFull Reason = "file_full"
	// ReasonFile: a file could not be written for another reason.
	ReasonFile Reason = "file"
	// ReasonDatabase: the database did not answer just before the message would have been complete.
	ReasonDatabase Reason = "database"
	// ReasonCancelled: the worker was stopped.
	ReasonCancelled Reason = "cancelled"
)

// Reasons are all of them.
var Reasons = []Reason{
	ReasonDNS, ReasonConnectionRefused, ReasonNetwork, ReasonTimeout, ReasonConnection, ReasonTLS, ReasonCertificate,
	ReasonAuth, ReasonGreeting, ReasonClosing, ReasonSender, ReasonPolicy, ReasonSystem, ReasonProtocol, ReasonRecipient,
	ReasonMessage, ReasonAddress, ReasonSMTPUTF8, ReasonTemplate, ReasonFileMissing, ReasonFileDenied, ReasonFileFull,
	ReasonFile, ReasonDatabase, ReasonCancelled,
}

// DeliveryError is a failed delivery. It holds the server's codes and never its words, which can name the
// candidate.
type DeliveryError struct {
	Verdict Verdict
	Reason  Reason
	// Step is where in the conversation it failed, such as "rcpt"; empty without one.
	Step string
	// SMTPCode is the server's answer, 0 without one.
	SMTPCode int
	// SMTPStatus is the enhanced status code of the answer (RFC 3463), such as "5.7.1"; empty without one.
	SMTPStatus string
}

func (e *DeliveryError) Error() string {
	return "delivery " + string(e.Verdict) + ": " + string(e.Reason)
}
