package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxProblem bounds what is read of a response that is not a success.
const maxProblem = 1 << 20

// Problem is a response that is not a success. As an error it means that the service, or a proxy before it, answered.
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	// JobID is the retry that has not ended, with the code retry_running; otherwise empty.
	JobID string `json:"job_id"`
	// State is the job's state, with the code wrong_state or job_ended; otherwise empty.
	State JobState `json:"state"`
	// Count is the number that the preview predicts, with the code count_mismatch.
	Count  int     `json:"count"`
	Errors []Fault `json:"errors"`

	// RequestID identifies the request in the service's log. It may be empty.
	RequestID string `json:"-"`
	// RetryAfter is the value of the Retry-After header, at most a day; 0 if there is none.
	RetryAfter time.Duration `json:"-"`
	// Body is the body of a response of the API; nil if a proxy answered.
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

// problemOf reads and closes the body of a response.
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

// retryAfter parses both forms of a Retry-After header. It returns 0 if there is none, and at most maxRetryAfter.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(seconds, 0), int(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
