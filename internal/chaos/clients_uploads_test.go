package chaos_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// job uploads a job of up to some hundred items, with duplicates, unknown invites and invalid rows.
func (c *client) job(stop <-chan struct{}) {
	a := c.drawAccount()
	items := 20 + c.r.IntN(300)
	if a.upstream {
		items = 20 + c.r.IntN(60)
	}
	u := c.newUpload(a, items, c.r.IntN(3) == 0, c.r.IntN(2) == 0)
	u.preview = c.r.IntN(3) == 0
	if c.r.IntN(4) == 0 {
		u.notBefore = c.later()
	}
	c.uploadUntilAnswered(u, stop)
}

// newUpload returns a new upload and adds it to the history.
func (c *client) newUpload(a *account, items int, notify, key bool) *upload {
	u := &upload{account: a, label: c.unique(), items: items, called: c.now(), refused: true, notify: notify}
	if key {
		u.key = "job-" + u.label
	}
	c.compose(u)
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	c.history.uploads = append(c.history.uploads, u)
	return u
}

// uploadUntilAnswered sends an upload until it is no longer refused. It sends an upload without a key only once.
func (c *client) uploadUntilAnswered(u *upload, stop <-chan struct{}) {
	for {
		v := c.upload(u)
		// An upload whose API was killed keeps its key until its lease ends. A later repeatJob may send it again.
		if u.key == "" || v != refused {
			return
		}
		select {
		case <-stop:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// repeatJob sends an upload with a key again.
func (c *client) repeatJob(<-chan struct{}) {
	if u := c.history.drawUpload(c.r, func(u *upload) bool { return u.key != "" }); u != nil {
		c.upload(u)
	}
}

// compose writes the body of a job in one of the formats.
func (c *client) compose(u *upload) {
	u.kind = []string{"text/csv", "application/x-ndjson"}[c.r.IntN(2)]
	var b strings.Builder
	if u.kind == "text/csv" {
		b.WriteString("report_id,client_reference\n")
	}
	for i := range u.items {
		report, ref := fmt.Sprint(c.report(u.account, true)), fmt.Sprintf("%s-row-%d", u.label, i+1)
		if c.r.IntN(100) == 0 {
			report = "nonsense"
			u.invalid++
		}
		if u.kind == "text/csv" {
			fmt.Fprintf(&b, "%s,%s\n", report, ref)
		} else {
			fmt.Fprintf(&b, "{\"report_id\": %s, \"client_reference\": %q}\n", report, ref)
		}
	}
	u.body = b.String()
}

func (u *upload) path() string {
	path := fmt.Sprintf("/jobs?label=%s&notify_candidate=%v&preview=%v", u.label, u.notify, u.preview)
	if !u.notBefore.IsZero() {
		path += "&not_before=" + u.notBefore.Format(timeFormat)
	}
	return path
}

// upload sends an upload once.
func (c *client) upload(u *upload) verdict {
	res, err := c.do(c.r, call{
		account: u.account, method: http.MethodPost, path: u.path(), body: strings.NewReader(u.body), contentType: u.kind, key: u.key,
	})
	v := c.judge("job", res, err)
	var body jobBody
	if v == accepted {
		if err := json.Unmarshal(res.body, &body); err != nil || addsUp(body) != nil || body.Total != u.items || body.Counts["INVALID"] != u.invalid {
			c.violate(promises, "job %s of %d items, %d invalid, is answered with %d %s", u.label, u.items, u.invalid, res.code, res.body)
		}
	}
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	u.refused = u.refused && v == refused
	if v == accepted {
		if u.id != "" && u.id != body.ID {
			c.violate(identity, "key %s of %s returned job %s and then %s", u.key, u.account.id, u.id, body.ID)
		}
		u.id = body.ID
	}
	return v
}

// brokenUpload breaks off an upload in the middle of its body. No part of the job may be accepted.
func (c *client) brokenUpload(<-chan struct{}) {
	u := &upload{account: c.drawAccount(), label: c.unique(), items: 200, called: c.now(), refused: true}
	c.compose(u)
	body := io.MultiReader(strings.NewReader(u.body[:len(u.body)/2]), brokenReader{})
	c.history.mu.Lock()
	c.history.uploads = append(c.history.uploads, u)
	c.history.mu.Unlock()
	res, err := c.do(c.r, call{account: u.account, method: http.MethodPost, path: u.path(), body: body, contentType: u.kind})
	if err == nil && res.code < http.StatusBadRequest {
		c.violate(promises, "a broken upload is answered with %d %s", res.code, res.body)
	}
}

type brokenReader struct{}

var errBroken = errors.New("broken off")

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }
