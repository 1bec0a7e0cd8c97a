package chaos_test

import (
	"encoding/json"
	"net/http"
)

// pollJob reads a job.
func (c *client) pollJob(<-chan struct{}) {
	if u := c.history.drawUpload(c.r, func(u *upload) bool { return u.id != "" }); u != nil {
		c.readJob(c.r, u.account, u.id)
	}
}

// cancelJob cancels a job that has not been seen to have ended.
func (c *client) cancelJob(<-chan struct{}) {
	u := c.history.drawUpload(c.r, func(u *upload) bool { return u.id != "" && u.finished == 0 })
	if u == nil {
		return
	}
	before := c.history.knownJob(u.id)
	res, err := c.do(c.r, call{account: u.account, method: http.MethodPost, path: "/jobs/" + u.id + "/cancel"})
	if err != nil || res.code == http.StatusServiceUnavailable || res.problem() == "job_ended" {
		return
	}
	var body jobBody
	if res.code != http.StatusAccepted || json.Unmarshal(res.body, &body) != nil {
		c.violate(promises, "cancelling job %s is answered with %d %s", u.id, res.code, res.body)
		return
	}
	if err := addsUp(body); err != nil {
		c.violate(counters, "the numbers of job %s, cancelled, do not add up: %v", u.id, err)
	}
	if err := c.history.seeJob(u.account, before, c.now(), body); err != nil {
		c.violate(forward, "job %s, cancelled: %v", u.id, err)
	}
}

// retryJob retries the items of a job that an upstream rejected. The job may still be running.
func (c *client) retryJob(<-chan struct{}) {
	u := c.history.drawUpload(c.r, func(u *upload) bool { return u.id != "" && u.account.upstream })
	if u == nil {
		return
	}
	again := &upload{account: u.account, label: u.label, retryOf: u.id, called: c.now(), refused: true}
	res, err := c.do(c.r, call{account: u.account, method: http.MethodPost, path: "/jobs/" + u.id + "/retry"})
	if err == nil && (res.problem() == "job_running" || res.problem() == "retry_running" || res.code == http.StatusUnprocessableEntity) {
		return
	}
	v := c.judge("retry", res, err)
	if v == accepted {
		var body jobBody
		if json.Unmarshal(res.body, &body) != nil || body.RetryOf == nil || *body.RetryOf != u.id || addsUp(body) != nil || body.Total == 0 {
			c.violate(promises, "the retry of job %s is answered with %d %s", u.id, res.code, res.body)
			return
		}
		again.id, again.items = body.ID, body.Total
	}
	again.refused = v == refused
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	c.history.uploads = append(c.history.uploads, again)
}
