package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxProblem bounds what is read of an answer that is not a success.
const maxProblem = 1 << 20

// Problem is an answer that is not a success. It is the error that says that the service was reached and
// refused, or could not do what was asked.
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	// JobID is the job that the code speaks of: with retry_running, the retry that has not ended. Else empty.
	JobID  string  `json:"job_id"`
	Errors []Fault `json:"errors"`

	// RequestID finds the request in the service's log; it can be empty.
	RequestID string `json:"-"`
	// RetryAfter is what the service asked for; 0 for nothing.
	RetryAfter time.Duration `json:"-"`
	// Body is the answer as it came, when it was the API's; nil for what something in between has said.
	Body []byte `json:"-"`
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Field  string `json:"field"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (p *Problem) Error() string {
	if p.Code == "" {
		return fmt.Sprintf("%s (HTTP %d)", p.Detail, p.Status)
	}
	return fmt.Sprintf("%s (%s)", p.Detail, p.Code)
}

// problemOf reads an answer and closes it.
func problemOf(res *http.Response) *Problem {
	defer res.Body.Close()
	p := &Problem{}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	if err == nil && json.Unmarshal(body, p) == nil && p.Code != "" {
		p.Body = body
	} else {
		p = &Problem{Detail: "The answer is not one of rescind's: " + http.StatusText(res.StatusCode) + "."}
	}
	if to := res.Header.Get("Location"); to != "" && res.StatusCode/100 == 3 {
		p.Detail = "The address redirects to " + to + ", which is not followed."
	}
	p.Status, p.RequestID = res.StatusCode, res.Header.Get("X-Request-Id")
	p.RetryAfter = retryAfter(res.Header.Get("Retry-After"), time.Now())
	return p
}

// retryAfter reads either form of the header; 0 for none.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(seconds, 0), int(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
