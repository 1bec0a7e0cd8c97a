package chaos_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// client is a caller that makes random calls.
type client struct {
	*cluster
	name string
	r    *rand.Rand
	n    int
}

// run makes calls until stop is closed.
func (c *client) run(stop <-chan struct{}) {
	acts := []struct {
		weight int
		act    func(<-chan struct{})
	}{
		{40, c.single},
		{15, c.repeat},
		{3, c.mismatch},
		{30, c.poll},
		{5, c.readForeign},
		{3, c.job},
		{2, c.repeatJob},
		{1, c.brokenUpload},
		{10, c.pollJob},
		{2, c.cancelJob},
		{4, c.retryJob},
		{5, c.cancelSingle},
		{3, c.startSingle},
		{8, c.confirmJob},
		{4, c.approveJob},
		{2, c.startJob},
	}
	sum := 0
	for _, a := range acts {
		sum += a.weight
	}
	for {
		select {
		case <-stop:
			return
		case <-time.After(draw(c.r, 100*time.Millisecond)):
		}
		at := c.r.IntN(sum)
		for _, a := range acts {
			if at -= a.weight; at < 0 {
				a.act(stop)
				break
			}
		}
	}
}

// unique returns a name that is unique among all clients.
func (c *client) unique() string {
	c.n++
	return fmt.Sprintf("%s-%d", c.name, c.n)
}

func (c *client) drawAccount() *account { return c.accounts[c.r.IntN(len(c.accounts))] }

// report draws the report_id of an invite: a new one, a recent one, so that callers name the same, or an unknown one.
func (c *client) report(a *account, absent bool) int64 {
	switch {
	case absent && a.invites > 0 && c.r.IntN(50) == 0:
		return a.invites + 1 + c.r.Int64N(1000)
	case c.r.IntN(2) == 0:
		if n := a.fresh.Add(1); a.invites == 0 || n <= a.invites {
			return n
		}
		return 1 + c.r.Int64N(a.invites)
	default:
		last := max(a.fresh.Load(), 1)
		return max(1, last-c.r.Int64N(20))
	}
}

// single submits a revocation.
func (c *client) single(stop <-chan struct{}) {
	a := c.drawAccount()
	q := c.request(a, c.report(a, false), c.r.IntN(2) == 0, c.r.IntN(2) == 0)
	if c.r.IntN(5) == 0 {
		q.notBefore = c.later()
	}
	c.submitUntilAccepted(q, stop)
}

// request returns a new request and adds it to the history.
func (c *client) request(a *account, report int64, notify, key bool) *request {
	q := &request{account: a, report: report, notify: notify, ref: c.unique(), called: c.now(), refused: true}
	if key {
		// Every account has its own keys, so accounts may use the same ones.
		q.key = fmt.Sprintf("key-%d", a.keys.Add(1))
	}
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	c.history.requests = append(c.history.requests, q)
	return q
}

// submitUntilAccepted sends a request until it is accepted. It sends a request without a key only once.
func (c *client) submitUntilAccepted(q *request, stop <-chan struct{}) {
	for {
		v := c.submit(q)
		if q.key == "" || v == accepted {
			return
		}
		select {
		case <-stop:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (q *request) body() io.Reader {
	notBefore := ""
	if !q.notBefore.IsZero() {
		notBefore = fmt.Sprintf(`, "not_before": %q`, q.notBefore.Format(timeFormat))
	}
	return strings.NewReader(fmt.Sprintf(`{"report_id": %d, "notify_candidate": %v, "client_reference": %q%s}`, q.report, q.notify, q.ref, notBefore))
}

// submit sends a request once.
func (c *client) submit(q *request) verdict {
	c.history.mu.Lock()
	id := q.id
	c.history.mu.Unlock()
	before := c.history.known(id)
	prefer := []string{"", "respond-async", "respond-async", "respond-async", "wait=1"}[c.r.IntN(5)]
	var maxWait time.Duration
	if c.r.IntN(10) == 0 {
		maxWait = time.Millisecond + draw(c.r, 20*time.Millisecond) // the caller hangs up at about the time of the commit
	}
	res, err := c.do(c.r, call{
		account: q.account, method: http.MethodPost, path: "/assessments/invite/revoke", body: q.body(),
		contentType: "application/json", key: q.key, prefer: prefer, maxWait: maxWait,
	})
	v := c.judge("submission", res, err)
	var body revocationBody
	if v == accepted {
		c.decode(q.account, before, res.body, &body)
		if body.ReportID != q.report || body.ID == "" || (res.code == http.StatusOK) != body.Final {
			c.violate(promises, "request %s for report %d of %s is answered with %d %s", q.ref, q.report, q.account.id, res.code, res.body)
		}
	}
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	q.refused = q.refused && v == refused
	if v == accepted {
		if q.id != "" && q.id != body.ID {
			c.violate(identity, "key %s of %s returned %s and then %s", q.key, q.account.id, q.id, body.ID)
		}
		if q.id == "" {
			q.id, q.returned = body.ID, c.now()
		}
	}
	return v
}

// repeat sends a request with a key again.
func (c *client) repeat(<-chan struct{}) {
	if q := c.history.drawRequest(c.r, func(q *request) bool { return q.key != "" }); q != nil {
		c.submit(q)
	}
}

// mismatch sends a different request with a key that is bound.
func (c *client) mismatch(<-chan struct{}) {
	q := c.history.drawRequest(c.r, func(q *request) bool { return q.key != "" && q.id != "" })
	if q == nil {
		return
	}
	other := &request{report: q.report + 1, notify: q.notify, ref: "mismatch-" + q.ref}
	res, err := c.do(c.r, call{
		account: q.account, method: http.MethodPost, path: "/assessments/invite/revoke", body: other.body(),
		contentType: "application/json", key: q.key,
	})
	if err == nil && res.problem() != "idempotency_mismatch" && res.code != http.StatusServiceUnavailable {
		c.violate(identity, "key %s of %s with other values is answered with %d %s", q.key, q.account.id, res.code, res.body)
	}
}

// poll reads a revocation. It may ask the service to wait for a change.
func (c *client) poll(<-chan struct{}) {
	q := c.history.drawRequest(c.r, func(q *request) bool { return q.id != "" })
	if q == nil {
		return
	}
	c.readRevocation(c.r, q.account, q.id, []string{"", "", "wait=1"}[c.r.IntN(3)])
}

// readForeign reads a revocation or job of another account.
func (c *client) readForeign(<-chan struct{}) {
	path := ""
	var owner *account
	if q := c.history.drawRequest(c.r, func(q *request) bool { return q.id != "" }); q != nil {
		path, owner = "/revocations/"+q.id, q.account
	}
	if u := c.history.drawUpload(c.r, func(u *upload) bool { return u.id != "" }); u != nil && c.r.IntN(2) == 0 {
		path, owner = "/jobs/"+u.id, u.account
	}
	if owner == nil {
		return
	}
	stranger := c.drawAccount()
	for stranger == owner {
		stranger = c.drawAccount()
	}
	res, err := c.do(c.r, call{account: stranger, method: http.MethodGet, path: path})
	if err == nil && res.code != http.StatusNotFound && res.code != http.StatusServiceUnavailable {
		c.violate(identity, "%s of %s is answered to %s with %d %s", path, owner.id, stranger.id, res.code, res.body)
	}
}
