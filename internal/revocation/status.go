package revocation

import "slices"

// Status is the state of a revocation, as callers see it.
type Status string

const (
	// StatusPending is set at submission: the request is accepted, and no attempt has ended yet. Any status but INVALID
	// can follow.
	StatusPending Status = "PENDING"
	// StatusRevoked is set by the attempt that revoked the invite. Final.
	StatusRevoked Status = "REVOKED"
	// StatusNotAllowed is set by an attempt on an invite older than its account's latest plan change. Final.
	StatusNotAllowed Status = "NOT_ALLOWED"
	// StatusAlreadyRevoked is set by an attempt that found the invite revoked. Final.
	StatusAlreadyRevoked Status = "ALREADY_REVOKED"
	// StatusErrorRevoking is set by an attempt that failed. While attempts are left, any outcome can follow. After the
	// last attempt it is final.
	StatusErrorRevoking Status = "ERROR_REVOKING"
	// StatusAlreadyStarted is set by an attempt on an invite whose candidate has started, in an account that spares
	// started candidates. Final.
	StatusAlreadyStarted Status = "ALREADY_STARTED"
	// StatusNotFound is set by an attempt that found no such invite in the account. Final.
	StatusNotFound Status = "NOT_FOUND"
	// StatusCancelled is set on a revocation that was cancelled, or whose job was, before it was carried out. Final.
	StatusCancelled Status = "CANCELLED"
	// StatusInvalid is set at the upload of a job on a row that cannot be read. Final.
	StatusInvalid Status = "INVALID"
)

// Statuses lists every Status, the ones that need not be final first.
var Statuses = []Status{
	StatusPending, StatusErrorRevoking, StatusRevoked, StatusNotAllowed,
	StatusAlreadyRevoked, StatusAlreadyStarted, StatusNotFound, StatusCancelled, StatusInvalid,
}

// messages contains the message of each status. The first four are those of the documented endpoint, unchanged. Its
// documentation has no example for ALREADY_REVOKED, so its description of that status is used.
var messages = map[Status]string{
	StatusRevoked:        "Invite Revoked successfully.",
	StatusNotAllowed:     "Invite was sent before the latest plan change",
	StatusAlreadyRevoked: "The invite has already been revoked.",
	StatusErrorRevoking:  "Unable to Revoke invite now, Please try again later.",
	StatusPending:        "The revocation is queued.",
	StatusNotFound:       "No such invite in this account.",
	StatusAlreadyStarted: "The candidate has already started the assessment.",
	StatusCancelled:      "The job was cancelled first.",
}

// The messages that depend on more than the status.
const (
	messageUnconfirmed     = "Not confirmed yet."
	messageSingleCancelled = "The revocation was cancelled first."
)

// Message returns the sentence that describes the status of a job's item in a response. It is empty for INVALID, whose
// message depends on the row.
func (s Status) Message() string { return messages[s] }

// NotificationStatus is the state of the email about a revocation.
type NotificationStatus string

const (
	// NotificationNotRequested: no email was requested.
	NotificationNotRequested NotificationStatus = "NOT_REQUESTED"
	// NotificationPending: the email was requested. The revocation is not final, or the email waits to be sent.
	NotificationPending NotificationStatus = "PENDING"
	// NotificationClaimed: a worker is about to send it. Callers see PENDING.
	NotificationClaimed NotificationStatus = "CLAIMED"
	// NotificationCommitted: the worker is about to complete the message, after which the mail server owns it. Callers
	// see PENDING.
	NotificationCommitted NotificationStatus = "COMMITTED"
	// NotificationSent: the mail server accepted it. Final.
	NotificationSent NotificationStatus = "SENT"
	// NotificationFailed: the mail server refused it permanently or for too long, or there was no address. Final.
	NotificationFailed NotificationStatus = "FAILED"
	// NotificationUnknown: the mail server, or the upstream that the account had before, may or may not have sent it.
	// Final: sending it again could mail the candidate twice.
	NotificationUnknown NotificationStatus = "UNKNOWN"
	// NotificationSkipped: the email was requested, but the outcome was not REVOKED. Final.
	NotificationSkipped NotificationStatus = "SKIPPED"
	// NotificationDelegated: the upstream platform sends it. Final.
	NotificationDelegated NotificationStatus = "DELEGATED"
	// NotificationBounced is reserved for an email that was SENT and came back. No email has it yet.
	NotificationBounced NotificationStatus = "BOUNCED"
	// NotificationSuppressed is reserved for an email that is not sent because its address is known to refuse mail. No email
	// has it yet.
	NotificationSuppressed NotificationStatus = "SUPPRESSED"
)

// ShownNotifications lists the statuses that callers can see, and can filter by. It has the reserved ones too, so that a
// caller who is prepared for them need not know whether this version has them.
var ShownNotifications = []NotificationStatus{
	NotificationNotRequested, NotificationPending, NotificationSent, NotificationFailed, NotificationUnknown,
	NotificationSkipped, NotificationDelegated, NotificationBounced, NotificationSuppressed,
}

// StatusFilter selects revocations by their status. An empty StatusFilter selects all.
type StatusFilter []Status

// Includes reports whether the filter selects revocations with the status.
func (f StatusFilter) Includes(status Status) bool { return len(f) == 0 || slices.Contains(f, status) }
