package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Status is the status of a revocation. Later versions of the API may have more statuses.
type Status string

// The statuses of this version of the API.
const (
	StatusPending        Status = "PENDING"
	StatusRevoked        Status = "REVOKED"
	StatusAlreadyRevoked Status = "ALREADY_REVOKED"
	StatusNotAllowed     Status = "NOT_ALLOWED"
	StatusAlreadyStarted Status = "ALREADY_STARTED"
	StatusNotFound       Status = "NOT_FOUND"
	StatusErrorRevoking  Status = "ERROR_REVOKING"
	StatusInvalid        Status = "INVALID"
	StatusCancelled      Status = "CANCELLED"
	// StatusUnknown is the predicted outcome of an item that an upstream decides about.
	StatusUnknown Status = "UNKNOWN"
)

// Good reports whether the invite is revoked, by this request or an earlier one.
func (s Status) Good() bool { return s == StatusRevoked || s == StatusAlreadyRevoked }

// NotificationNotRequested is the status when no request asked for an email.
const NotificationNotRequested = "NOT_REQUESTED"

// Revocation is one request to revoke one invite.
type Revocation struct {
	Status        Status       `json:"status"`
	Message       string       `json:"message"`
	Timestamp     string       `json:"timestamp"` // empty where it does not apply
	ID            string       `json:"id"`
	ReportID      int64        `json:"report_id"`
	Final         bool         `json:"final"`
	Attempts      int          `json:"attempts"`
	NextAttemptAt *time.Time   `json:"next_attempt_at"`
	LastError     *Failure     `json:"last_error"`
	Notification  Notification `json:"notification"`

	// Body is the body of the response.
	Body []byte `json:"-"`
}

// Failure is the reason why the last attempt failed.
type Failure struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Notification is the email to the candidate.
type Notification struct {
	Status string `json:"status"`
}

// Submission is the body of a request to revoke an invite.
type Submission struct {
	ReportID int64 `json:"report_id"`
	Notify   bool  `json:"notify_candidate"`
	Wishes
}

// Wishes are values of a revocation or a job that most have not.
type Wishes struct {
	// NotBefore is the time before which nothing must be done; nil means now.
	NotBefore *time.Time `json:"not_before,omitempty"`
	// Reason is for other callers of the API, and Message for the email. Empty means none.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"candidate_message,omitempty"`
}

// Revoke submits a revocation and waits up to wait, in whole seconds, for the end of its first attempt. While the service
// does not answer, Revoke retries for about as long.
func (c *Client) Revoke(ctx context.Context, s Submission, wait time.Duration) (Revocation, error) {
	content, err := json.Marshal(s)
	if err != nil {
		return Revocation{}, err
	}
	prefer := "respond-async"
	if wait > 0 {
		prefer = preferWait(wait)
	}
	r, body, err := do[Revocation](ctx, c, wait, request{
		method: http.MethodPost, path: "/assessments/invite/revoke",
		idempotencyKey: rand.Text(), prefer: prefer, content: content,
	})
	r.Body = body
	return r, err
}

// Revocation returns a revocation. It waits up to wait for the revocation to become final.
func (c *Client) Revocation(ctx context.Context, id string, wait time.Duration) (Revocation, error) {
	r, body, err := do[Revocation](ctx, c, wait, request{
		method: http.MethodGet, path: "/revocations/" + url.PathEscape(id), prefer: preferWait(wait),
	})
	r.Body = body
	return r, err
}

// CancelRevocation cancels a revocation that was submitted singly and is not final. It can be repeated.
func (c *Client) CancelRevocation(ctx context.Context, id string) (Revocation, error) {
	r, body, err := do[Revocation](ctx, c, c.timing.maxPause, request{
		method: http.MethodPost, path: "/revocations/" + url.PathEscape(id) + "/cancel",
	})
	r.Body = body
	return r, err
}

// Waits reports whether the first attempt waits for a time: the one that was asked for, or the end of the account's hold.
func (r *Revocation) Waits() bool {
	return r.Status == StatusPending && r.Attempts == 0 && r.NextAttemptAt != nil && time.Until(*r.NextAttemptAt) > 0
}
