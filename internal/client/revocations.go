package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Status is an outcome, or how far a revocation has come to one. There may be others one day.
type Status string

// The statuses that the API tells of now.
const (
	StatusPending        Status = "PENDING"
	StatusRevoked        Status = "REVOKED"
	StatusAlreadyRevoked Status = "ALREADY_REVOKED"
	StatusNotAllowed     Status = "NOT_ALLOWED"
	StatusNotFound       Status = "NOT_FOUND"
	StatusErrorRevoking  Status = "ERROR_REVOKING"
	StatusInvalid        Status = "INVALID"
	StatusCancelled      Status = "CANCELLED"
)

// Good tells whether the invite is revoked, by this request or one before.
func (s Status) Good() bool { return s == StatusRevoked || s == StatusAlreadyRevoked }

// NotificationNotRequested is the status of an email that nobody asked for.
const NotificationNotRequested = "NOT_REQUESTED"

// Revocation is one request to revoke one invite.
type Revocation struct {
	Status        Status       `json:"status"`
	Message       string       `json:"message"`
	Timestamp     string       `json:"timestamp"` // empty where it does not apply
	ID            string       `json:"id"`
	ReportID      int64        `json:"report_id"`
	Final         bool         `json:"final"`
	NextAttemptAt *time.Time   `json:"next_attempt_at"`
	LastError     *Failure     `json:"last_error"`
	Notification  Notification `json:"notification"`

	// Body is the answer as it came.
	Body []byte `json:"-"`
}

// Failure is why the last attempt did not succeed.
type Failure struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Notification is the email to the candidate.
type Notification struct {
	Status string `json:"status"`
}

// Submission is what Revoke asks for.
type Submission struct {
	ReportID int64 `json:"report_id"`
	Notify   bool  `json:"notify_candidate"`
}

// Revoke submits a revocation and gives it as it is when its first attempt has ended or patience is over, of
// which the service counts whole seconds. While it cannot be reached, that is tried for about as long.
func (c *Client) Revoke(ctx context.Context, s Submission, patience time.Duration) (Revocation, error) {
	content, err := json.Marshal(s)
	if err != nil {
		return Revocation{}, err
	}
	prefer := "respond-async"
	if patience > 0 {
		prefer = preferWait(patience)
	}
	r, body, err := ask[Revocation](ctx, c, patience, request{
		method: http.MethodPost, path: "/assessments/invite/revoke",
		idempotencyKey: rand.Text(), prefer: prefer, content: content,
	})
	r.Body = body
	return r, err
}

// Revocation gives a revocation when it is final or patience is over.
func (c *Client) Revocation(ctx context.Context, id string, patience time.Duration) (Revocation, error) {
	r, body, err := ask[Revocation](ctx, c, patience, request{
		method: http.MethodGet, path: "/revocations/" + url.PathEscape(id), prefer: preferWait(patience),
	})
	r.Body = body
	return r, err
}
