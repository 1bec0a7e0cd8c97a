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

// job uploads a job of some hundred items, some of them twice, some that do not exist, some that cannot be read.
func (c *client) job(stop <-chan struct{}) {
	a := c.someAccount()
	items := 20 + c.r.IntN(300)
	if a.upstream {
		items = 20 + c.r.IntN(60)
	}
	c.insistOnJob(c.newUpload(a, items, c.r.IntN(3) == 0, c.r.IntN(2) == 0), stop)
}

// newUpload makes one, which is in the history from now on.
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

// insistOnJob sends an upload until it is accepted, if it has a key, and otherwise once.
func (c *client) insistOnJob(u *upload, stop <-chan struct{}) {
	for {
		v := c.upload(u)
		// An upload that died with its API keeps its key for a while: somebody may come back then, see repeatJob.
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

// repeatJob uploads a job again that had a key.
func (c *client) repeatJob(<-chan struct{}) {
	if u := c.history.someUpload(c.r, func(u *upload) bool { return u.key != "" }); u != nil {
		c.upload(u)
	}
}

// compose writes the body of a job in one of its forms.
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
	return fmt.Sprintf("/jobs?label=%s&notify_candidate=%v", u.label, u.notify)
}

// upload makes one call of an upload.
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
			c.violate(identity, "key %s of %s gave job %s and then %s", u.key, u.account.id, u.id, body.ID)
		}
		u.id = body.ID
	}
	return v
}

// brokenUpload breaks off in the middle of a body: nothing of it may remain.
func (c *client) brokenUpload(<-chan struct{}) {
	u := &upload{account: c.someAccount(), label: c.unique(), items: 200, called: c.now(), refused: true}
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
