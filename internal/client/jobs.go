package client

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// JobState is the state of a job.
type JobState string

// The states of a job that has ended, and of one that waits for a person or a time. The API has other states.
const (
	JobPreviewing       JobState = "PREVIEWING"
	JobPreviewed        JobState = "PREVIEWED"
	JobAwaitingApproval JobState = "AWAITING_APPROVAL"
	JobScheduled        JobState = "SCHEDULED"
	JobCompleted        JobState = "COMPLETED"
	JobCancelled        JobState = "CANCELLED"
	JobExpired          JobState = "EXPIRED"
)

// Job is a bulk request.
type Job struct {
	ID             string     `json:"id"`
	Label          *string    `json:"label"`
	State          JobState   `json:"state"`
	RetryOf        *string    `json:"retry_of"`
	Total          int        `json:"total"`
	Pending        int        `json:"pending"`
	Retrying       int        `json:"retrying"`
	Counts         Counts     `json:"counts"`
	Notifications  MailCounts `json:"notifications"`
	File           *File      `json:"file"`    // nil without a table
	Preview        *Preview   `json:"preview"` // nil without a complete preview
	Progress       float64    `json:"progress"`
	NotBefore      *time.Time `json:"not_before"`
	ExpiresAt      *time.Time `json:"expires_at"`
	ItemsPerSecond float64    `json:"items_per_second"`
	ETA            *time.Time `json:"eta"`
	CreatedAt      time.Time  `json:"created_at"`
	FinishedAt     *time.Time `json:"finished_at"`

	// Body is the body of the response.
	Body []byte `json:"-"`
}

// Ended reports whether the state of the job will not change any more.
func (j *Job) Ended() bool {
	return j.State == JobCompleted || j.State == JobCancelled || j.State == JobExpired
}

// NeedsPerson reports whether the job waits for a confirmation or an approval.
func (j *Job) NeedsPerson() bool { return j.State == JobPreviewed || j.State == JobAwaitingApproval }

// Done returns the number of items that are final.
func (j *Job) Done() int { return j.Total - j.Pending - j.Retrying }

// Good reports whether the job has ended and all its invites are revoked.
func (j *Job) Good() bool {
	return j.Ended() && j.Counts[StatusRevoked]+j.Counts[StatusAlreadyRevoked] == j.Total
}

// Preview is what a job would do.
type Preview struct {
	// Predicted counts the items by their predicted outcome, StatusUnknown and StatusInvalid too.
	Predicted Counts `json:"predicted"`
	// Emails is the most that can be sent; nil if an upstream sends them.
	Emails *int `json:"emails"`
}

// Confirmable returns the count that a confirmation or an approval must name: how many invites can be revoked at most.
func (p *Preview) Confirmable() int { return p.Predicted[StatusRevoked] + p.Predicted[StatusUnknown] }

// File describes a job's table as the service has read it.
type File struct {
	Format    string            `json:"format"`
	Separator *string           `json:"separator"`
	Encoding  *string           `json:"encoding"`
	Sheet     *string           `json:"sheet"`
	Columns   map[string]string `json:"columns"`
	Ignored   []string          `json:"ignored"`
}

// Counts are a job's final items by their outcome.
type Counts map[Status]int

// MailCounts are the emails of a job's revoked items.
type MailCounts struct {
	Pending   int `json:"PENDING"`
	Sent      int `json:"SENT"`
	Failed    int `json:"FAILED"`
	Unknown   int `json:"UNKNOWN"`
	Delegated int `json:"DELEGATED"`
}

// Job returns a job. It waits up to wait, at most 30 seconds, for the job to end.
func (c *Client) Job(ctx context.Context, id string, wait time.Duration) (Job, error) {
	r := request{method: http.MethodGet, path: jobPath(id)}
	if wait > 0 {
		r.prefer = preferWait(wait)
	}
	return c.job(ctx, r)
}

// Retry creates a job from the items of an ended job that have the status ERROR_REVOKING. If another retry of the job has
// not ended, Retry returns a *Problem with the code retry_running, and its JobID is the id of that retry.
func (c *Client) Retry(ctx context.Context, id string) (Job, error) {
	return c.job(ctx, request{method: http.MethodPost, path: jobPath(id) + "/retry", idempotencyKey: rand.Text()})
}

func (c *Client) job(ctx context.Context, r request) (Job, error) {
	j, body, err := do[Job](ctx, c, c.timing.maxPause, r)
	j.Body = body
	return j, err
}

// Jobs is a page of jobs, newest first. A page may have fewer jobs than its limit, even none, and not be the last.
type Jobs struct {
	Data       []Job   `json:"data"`
	NextCursor *string `json:"next_cursor"`

	// Body is the body of the response.
	Body []byte `json:"-"`
}

// Jobs returns a page of at most limit jobs (1 to 1000): those in one of the states, which are separated by commas, or all if
// states is empty. cursor is as for Results.
func (c *Client) Jobs(ctx context.Context, states string, limit int, cursor string) (Jobs, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if states != "" {
		query.Set("state", states)
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	page, body, err := do[Jobs](ctx, c, c.timing.maxPause, request{method: http.MethodGet, path: "/jobs", query: query})
	page.Body = body
	return page, err
}

// Cancel cancels the items that are not carried out yet. It can be repeated until the job is COMPLETED.
func (c *Client) Cancel(ctx context.Context, id string) (Job, error) {
	return c.job(ctx, request{method: http.MethodPost, path: jobPath(id) + "/cancel"})
}

// Confirm has a job carried out whose preview predicts that count invites can be revoked.
func (c *Client) Confirm(ctx context.Context, id string, count int) (Job, error) {
	return c.job(ctx, request{method: http.MethodPost, path: jobPath(id) + "/confirm", content: countBody(count)})
}

// Approve approves a job that another key has confirmed, with the same count.
func (c *Client) Approve(ctx context.Context, id string, count int) (Job, error) {
	return c.job(ctx, request{method: http.MethodPost, path: jobPath(id) + "/approve", content: countBody(count)})
}

func countBody(count int) []byte { return []byte(`{"count":` + strconv.Itoa(count) + `}`) }

// Start begins a job that waits for its time. It does not retry: a second request would fail because the job has begun.
func (c *Client) Start(ctx context.Context, id string) (Job, error) {
	body, err := c.send(ctx, request{method: http.MethodPost, path: jobPath(id) + "/start"})
	if err != nil {
		return Job{}, err
	}
	j, err := decode[Job](body)
	j.Body = body
	return j, err
}

// Result is one item of a job.
type Result struct {
	Row          int    `json:"row"`
	ID           string `json:"id"`
	ReportID     *int64 `json:"report_id"` // nil where the row could not be read
	Status       Status `json:"status"`
	Message      string `json:"message"`
	Timestamp    string `json:"timestamp"` // empty where it does not apply
	Notification string `json:"notification"`
	Predicted    Status `json:"predicted"` // empty where there is no prediction
}

// Results is a page of a job's items, in the order of the input. A page may have fewer items than its limit, even none, and
// not be the last.
type Results struct {
	Data []Result `json:"data"`
	// NextCursor is the cursor of the next page; nil on the last page.
	NextCursor *string `json:"next_cursor"`

	// Body is the body of the response.
	Body []byte `json:"-"`
}

// Results returns a page of at most limit items (1 to 1000): those with a status, or all if status is empty. cursor is the
// NextCursor of the page before, and empty for the first page.
func (c *Client) Results(ctx context.Context, id string, status Status, limit int, cursor string) (Results, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if status != "" {
		query.Set("status", string(status))
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	page, body, err := do[Results](ctx, c, c.timing.maxPause, request{
		method: http.MethodGet, path: jobPath(id) + "/results", query: query,
	})
	page.Body = body
	return page, err
}

func jobPath(id string) string { return "/jobs/" + url.PathEscape(id) }
