package revocation

import "slices"

// Status is how far a revocation has come. Its values are the ones that callers see.
type Status string

const (
	// StatusPending is set at submission: accepted, and no attempt has ended yet. Any other may follow.
	StatusPending Status = "PENDING"
	// StatusRevoked is set by the attempt that took the invite back. Final.
	StatusRevoked Status = "REVOKED"
	// StatusNotAllowed is set by an attempt on an invite older than its account's latest plan change. Final.
	StatusNotAllowed Status = "NOT_ALLOWED"
	// StatusAlreadyRevoked is set by an attempt that found the invite revoked by another. Final.
	StatusAlreadyRevoked Status = "ALREADY_REVOKED"
	// StatusErrorRevoking is set by an attempt that failed for a passing reason. Any outcome may follow
	// while attempts are left; after the last one it is final.
	StatusErrorRevoking Status = "ERROR_REVOKING"
	// StatusNotFound is set by an attempt that found no such invite in the account. Final.
	StatusNotFound Status = "NOT_FOUND"
	// StatusCancelled is set on an item whose job was cancelled before it was carried out. Final.
	StatusCancelled Status = "CANCELLED"
	// StatusInvalid is set at intake on a job's row that cannot be read. Final.
	StatusInvalid Status = "INVALID"
)

// Statuses are all of them, in the order in which a revocation can come by them.
var Statuses = []Status{
	StatusPending, StatusErrorRevoking, StatusRevoked, StatusNotAllowed,
	StatusAlreadyRevoked, StatusNotFound, StatusCancelled, StatusInvalid,
}

// The first four sentences are the documented endpoint's, to the letter; its documentation gives none for
// ALREADY_REVOKED as an example, so its description of that status serves.
var messages = map[Status]string{
	StatusRevoked:        "Invite Revoked successfully.",
	StatusNotAllowed:     "Invite was sent before the latest plan change",
	StatusAlreadyRevoked: "The invite has already been revoked.",
	StatusErrorRevoking:  "Unable to Revoke invite now, Please try again later.",
	StatusPending:        "The revocation is queued.",
	StatusNotFound:       "No such invite in this account.",
	StatusCancelled:      "The job was cancelled first.",
}

// Message is the sentence that goes with the status in an answer. INVALID has none of its own: it says what
// is wrong with its row.
func (s Status) Message() string { return messages[s] }

// Known tells whether s is one of Statuses.
func (s Status) Known() bool {
	_, ok := messages[s]
	return ok || s == StatusInvalid
}

// CanFollow tells whether a revocation with status s may be given the status next. Only two statuses can be
// left at all; a final ERROR_REVOKING is told from a waiting one by its work row, which is gone.
func (s Status) CanFollow(next Status) bool {
	switch s {
	case StatusPending:
		return next != StatusPending && next != StatusInvalid
	case StatusErrorRevoking:
		return next != StatusPending && next != StatusInvalid
	default:
		return false
	}
}

// NotificationStatus is how far the email about a revocation has come.
type NotificationStatus string

const (
	// NotificationNotRequested: no email was asked for.
	NotificationNotRequested NotificationStatus = "NOT_REQUESTED"
	// NotificationPending: asked for; the revocation is not final, or the email waits to be sent.
	NotificationPending NotificationStatus = "PENDING"
	// NotificationClaimed: a worker is about to send it. Stored only; callers see PENDING.
	NotificationClaimed NotificationStatus = "CLAIMED"
	// NotificationCommitted: the worker is about to end the message, after which the mail server owns it.
	// Stored only; callers see PENDING.
	NotificationCommitted NotificationStatus = "COMMITTED"
	// NotificationSent: the mail server took it. Final.
	NotificationSent NotificationStatus = "SENT"
	// NotificationFailed: the mail server refused it for good, or too often. Final.
	NotificationFailed NotificationStatus = "FAILED"
	// NotificationUnknown: the mail server, or the upstream that the account had before, may or may not have sent it.
	// Final: sending it again could mail the candidate twice.
	NotificationUnknown NotificationStatus = "UNKNOWN"
	// NotificationSkipped: asked for, but the outcome was not REVOKED. Final.
	NotificationSkipped NotificationStatus = "SKIPPED"
	// NotificationDelegated: the upstream platform sends it. Final.
	NotificationDelegated NotificationStatus = "DELEGATED"
)

// StatusFilter selects what has one of its statuses. An empty one selects everything.
type StatusFilter []Status

// Includes reports whether the filter selects what has the status.
func (f StatusFilter) Includes(status Status) bool { return len(f) == 0 || slices.Contains(f, status) }
