package client

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// JobState is how far a job has come.
type JobState string

// The states that the program tells apart; the API has more.
const (
	JobCompleted JobState = "COMPLETED"
	JobCancelled JobState = "CANCELLED"
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
	File           *File      `json:"file"` // nil without a table
	ItemsPerSecond float64    `json:"items_per_second"`
	ETA            *time.Time `json:"eta"`
	CreatedAt      time.Time  `json:"created_at"`
	FinishedAt     *time.Time `json:"finished_at"`

	// Body is the answer as it came.
	Body []byte `json:"-"`
}

// Ended tells whether all items are final.
func (j *Job) Ended() bool { return j.State == JobCompleted || j.State == JobCancelled }

// Done is the number of items that are final.
func (j *Job) Done() int { return j.Total - j.Pending - j.Retrying }

// Good tells whether the job has ended and all its invites are revoked.
func (j *Job) Good() bool {
	return j.Ended() && j.Counts[StatusRevoked]+j.Counts[StatusAlreadyRevoked] == j.Total
}

// File is what the service has recognised of a job's table.
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

// Job gives a job when it has ended or wait is over, 30 seconds at most.
func (c *Client) Job(ctx context.Context, id string, wait time.Duration) (Job, error) {
	r := request{method: http.MethodGet, path: jobPath(id)}
	if wait > 0 {
		r.prefer = preferWait(wait)
	}
	return c.job(ctx, r)
}

// Retry makes a new job of the items of one that ended as ERROR_REVOKING. While another retry of it has not ended, the
// error is a Problem with the code retry_running, whose JobID names that one.
func (c *Client) Retry(ctx context.Context, id string) (Job, error) {
	return c.job(ctx, request{method: http.MethodPost, path: jobPath(id) + "/retry", idempotencyKey: rand.Text()})
}

func (c *Client) job(ctx context.Context, r request) (Job, error) {
	j, body, err := ask[Job](ctx, c, c.timing.patience, r)
	j.Body = body
	return j, err
}

// Cancel has what is not carried out yet become CANCELLED. It is sent once: a second one would be told that
// the job has ended, by the first.
func (c *Client) Cancel(ctx context.Context, id string) (Job, error) {
	body, err := c.send(ctx, request{method: http.MethodPost, path: jobPath(id) + "/cancel"})
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
}

// Results is a page of a job's items, in the order of the input. It can have fewer than were asked for, even none, and
// not be the last.
type Results struct {
	Data []Result `json:"data"`
	// NextCursor asks for the next page; nil on the last.
	NextCursor *string `json:"next_cursor"`

	// Body is the answer as it came.
	Body []byte `json:"-"`
}

// Results gives a page: the items with a status, or all when it is empty, at most limit of them (1 to 1000),
// after the page that named cursor, which is empty for the first.
func (c *Client) Results(ctx context.Context, id string, status Status, limit int, cursor string) (Results, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if status != "" {
		query.Set("status", string(status))
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	page, body, err := ask[Results](ctx, c, c.timing.patience, request{
		method: http.MethodGet, path: jobPath(id) + "/results", query: query,
	})
	page.Body = body
	return page, err
}

func jobPath(id string) string { return "/jobs/" + url.PathEscape(id) }
