package chaos_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// requestTimeout is longer than any wait that a caller here prefers.
const requestTimeout = 15 * time.Second

// revocationBody is the JSON of a revocation or a problem.
type revocationBody struct {
	Status       string `json:"status"`
	ID           string `json:"id"`
	ReportID     int64  `json:"report_id"`
	Notify       bool   `json:"notify_candidate"`
	Final        bool   `json:"final"`
	Inferred     bool   `json:"inferred"`
	Attempts     int    `json:"attempts"`
	Notification struct {
		Status string `json:"status"`
	} `json:"notification"`
	Job *string `json:"job_id"`
}

// jobBody is the JSON of a job.
type jobBody struct {
	ID            string         `json:"id"`
	Label         *string        `json:"label"`
	State         string         `json:"state"`
	RetryOf       *string        `json:"retry_of"`
	Total         int            `json:"total"`
	Pending       int            `json:"pending"`
	Retrying      int            `json:"retrying"`
	Counts        map[string]int `json:"counts"`
	Notifications map[string]int `json:"notifications"`
	Preview       *struct {
		Predicted map[string]int `json:"predicted"`
	} `json:"preview"`
}

// confirmable returns the number that a confirmation must name.
func (j jobBody) confirmable() int {
	return j.Preview.Predicted["REVOKED"] + j.Preview.Predicted["UNKNOWN"]
}

func (j jobBody) ended() bool {
	return j.State == "COMPLETED" || j.State == "CANCELLED" || j.State == "EXPIRED"
}

// reply is a complete HTTP response.
type reply struct {
	code int
	body []byte
}

// problem returns the code of a problem document, or an empty string.
func (r reply) problem() string {
	var p struct {
		Code string `json:"code"`
	}
	if json.Unmarshal(r.body, &p) != nil {
		return ""
	}
	return p.Code
}

// call is one HTTP request.
type call struct {
	account     *account
	method      string
	path        string
	body        io.Reader
	contentType string
	key         string
	prefer      string
	// secret is the key to use instead of the account's; empty for that.
	secret string
	// maxWait is how long the caller waits for the answer. With 0 it waits longer than the service takes.
	maxWait time.Duration
}

// do makes a call to a random API. After an error, the outcome of the call is not known.
func (c *cluster) do(r *rand.Rand, o call) (reply, error) {
	api := c.apis[r.IntN(len(c.apis))]
	ctx := c.t.Context()
	if o.maxWait > 0 {
		var hangUp context.CancelFunc
		ctx, hangUp = context.WithTimeout(ctx, o.maxWait)
		defer hangUp()
	}
	req, err := http.NewRequestWithContext(ctx, o.method, "http://"+api.addr+o.path, o.body)
	if err != nil {
		return reply{}, err
	}
	// Without GetBody, the transport does not repeat a request with an Idempotency-Key.
	req.GetBody = nil
	req.Header.Set("apiKey", cmp.Or(o.secret, o.account.key))
	for name, value := range map[string]string{"Content-Type": o.contentType, "Idempotency-Key": o.key, "Prefer": o.prefer} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{}, err
	}
	return reply{res.StatusCode, body}, nil
}

// verdict is the result of a submission, according to its answer.
type verdict int

const (
	unknown  verdict = iota // the request may have been accepted
	accepted                // the request was accepted
	refused                 // the request was not accepted
)

// judge returns the verdict of an answer to a submission. An undocumented answer is a violation.
func (c *cluster) judge(what string, res reply, err error) verdict {
	if err != nil {
		c.history.count(what + ": no answer")
		return unknown
	}
	problem := res.problem()
	c.history.count(fmt.Sprintf("%s: %d %s", what, res.code, problem))
	switch {
	case res.code == http.StatusOK || res.code == http.StatusAccepted:
		return accepted
	case res.code == http.StatusServiceUnavailable && problem == "unavailable":
		return refused
	case res.code == http.StatusServiceUnavailable && problem == "outcome_unknown":
		return unknown
	case res.code == http.StatusConflict && problem == "upload_in_progress":
		return unknown
	}
	c.violate(promises, "%s was answered with %d %s", what, res.code, res.body)
	return unknown
}

// readRevocation reads a revocation, and checks it against its state at the previous read.
func (c *cluster) readRevocation(r *rand.Rand, a *account, id, prefer string) (body revocationBody, ok bool) {
	before := c.history.known(id)
	res, err := c.do(r, call{account: a, method: http.MethodGet, path: "/revocations/" + id, prefer: prefer})
	if err != nil || res.code == http.StatusServiceUnavailable {
		c.history.count("poll: unavailable")
		return body, false
	}
	if res.code != http.StatusOK {
		c.violate(identity, "revocation %s of %s, which was accepted, is answered with %d %s", id, a.id, res.code, res.body)
		return body, false
	}
	return body, c.decode(a, before, res.body, &body)
}

// decode decodes a revocation from an answer and records it in the history.
func (c *cluster) decode(a *account, before *sighting, body []byte, r *revocationBody) bool {
	if err := json.Unmarshal(body, r); err != nil {
		c.violate(promises, "a revocation cannot be decoded: %v: %s", err, body)
		return false
	}
	if before != nil && before.state.ID != r.ID {
		before = nil
	}
	if err := c.history.see(a, before, c.now(), *r); err != nil {
		c.violate(forward, "revocation %s of %s: %v", r.ID, a.id, err)
	}
	return true
}

// readJob is like readRevocation, for a job.
func (c *cluster) readJob(r *rand.Rand, a *account, id string) (body jobBody, ok bool) {
	before := c.history.knownJob(id)
	res, err := c.do(r, call{account: a, method: http.MethodGet, path: "/jobs/" + id})
	if err != nil || res.code == http.StatusServiceUnavailable {
		c.history.count("poll of a job: unavailable")
		return body, false
	}
	if res.code != http.StatusOK {
		c.violate(identity, "job %s of %s, which was accepted, is answered with %d %s", id, a.id, res.code, res.body)
		return body, false
	}
	if err := json.Unmarshal(res.body, &body); err != nil {
		c.violate(promises, "a job cannot be decoded: %v: %s", err, res.body)
		return body, false
	}
	if err := addsUp(body); err != nil {
		c.violate(counters, "the numbers of job %s of %s do not add up: %v", id, a.id, err)
	}
	if err := c.history.seeJob(a, before, c.now(), body); err != nil {
		c.violate(forward, "job %s of %s: %v", id, a.id, err)
	}
	return body, true
}
