package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"
)

// Invite is one candidate's invitation to one assessment.
type Invite struct {
	ReportID       int64      `json:"report_id"`
	CandidateName  string     `json:"candidate_name"`  // empty for a candidate who was forgotten
	CandidateEmail string     `json:"candidate_email"` // likewise
	AssessmentID   string     `json:"assessment_id"`   // empty if there is none
	AssessmentName string     `json:"assessment_name"`
	Language       string     `json:"language"` // empty if there is none
	State          string     `json:"state"`
	SentAt         time.Time  `json:"sent_at"`
	RevokedAt      *time.Time `json:"revoked_at"` // nil unless it is revoked
	// Predicted is the outcome that a revocation would have now.
	Predicted Status `json:"predicted"`
}

// Invites is a page of invites. A page may have fewer invites than its limit, even none, and not be the last.
type Invites struct {
	Data []Invite `json:"data"`
	// NextCursor is the cursor of the next page; nil on the last page.
	NextCursor *string `json:"next_cursor"`

	// Body is the body of the response.
	Body []byte `json:"-"`
}

// InviteSearch selects invites. An invite must match all fields; empty ones do not count.
type InviteSearch struct {
	// Email is the candidate's address.
	Email string `json:"candidate_email,omitempty"`
	// Query is the beginning of a name, an address or an assessment's name, of 2 characters or more.
	Query        string `json:"q,omitempty"`
	AssessmentID string `json:"assessment_id,omitempty"`
	Assessment   string `json:"assessment_name,omitempty"`
	Revoked      *bool  `json:"revoked,omitempty"`
	// States are separated by commas.
	States string `json:"state,omitempty"`
	// SentAfter and SentBefore are times in RFC 3339. SentAfter includes its time, and SentBefore does not.
	SentAfter  string `json:"sent_after,omitempty"`
	SentBefore string `json:"sent_before,omitempty"`
	// Limit is the most invites in a page, from 1 to 1000.
	Limit int `json:"limit"`
	// Cursor is the NextCursor of the page before, and empty for the first page.
	Cursor string `json:"cursor,omitempty"`
}

// SearchInvites returns a page of invites: the newest first, or with a Query in the order of the texts that match it. Nothing
// of the search stands in a URL, which logs contain.
func (c *Client) SearchInvites(ctx context.Context, s InviteSearch) (Invites, error) {
	content, err := json.Marshal(s)
	if err != nil {
		return Invites{}, err
	}
	page, body, err := do[Invites](ctx, c, c.timing.maxPause, request{
		method: http.MethodPost, path: "/invites/search", content: content,
	})
	page.Body = body
	return page, err
}

// Selection selects the invites of a job. An invite must match all fields and not be revoked; empty fields do not count.
type Selection struct {
	Emails     []string `json:"candidate_emails,omitempty"`
	Assessment string   `json:"assessment_name,omitempty"`
}

// SelectedJob is the body of a request to make a job of the invites that a selection finds.
type SelectedJob struct {
	Select Selection `json:"select"`
	// Notify has the candidates emailed.
	Notify bool `json:"notify_candidate"`
	Wishes
}

// NewSelectedJob creates a job, which waits for a confirmation. If no invite is found, it returns a *Problem with the code
// invalid. All attempts have the same idempotency key, so that the service creates one job.
func (c *Client) NewSelectedJob(ctx context.Context, j SelectedJob) (Job, error) {
	content, err := json.Marshal(j)
	if err != nil {
		return Job{}, err
	}
	return c.job(ctx, request{method: http.MethodPost, path: "/jobs", idempotencyKey: rand.Text(), content: content})
}
