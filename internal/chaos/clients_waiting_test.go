package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// timeFormat is that of times in requests.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// later returns a time within the next seconds, or one that does not come within the run.
func (c *client) later() time.Time {
	if c.r.IntN(4) == 0 {
		return time.Now().UTC().Add(time.Hour).Truncate(time.Microsecond)
	}
	return time.Now().UTC().Add(draw(c.r, 4*time.Second)).Truncate(time.Microsecond)
}

// post sends a request that changes something. It returns ok if the answer is a success, and a violation if the answer is
// neither a success nor one of the problems.
func (c *cluster) post(r *rand.Rand, a *account, secret, path, body string, problems ...string) (res reply, ok bool) {
	what := path[strings.LastIndex(path, "/")+1:]
	o := call{account: a, secret: secret, method: http.MethodPost, path: path}
	if body != "" {
		o.body, o.contentType = strings.NewReader(body), "application/json"
	}
	res, err := c.do(r, o)
	if err != nil {
		c.history.count(what + ": no answer")
		return res, false
	}
	problem := res.problem()
	c.history.count(fmt.Sprintf("%s: %d %s", what, res.code, problem))
	switch res.code {
	case http.StatusOK, http.StatusAccepted:
		return res, true
	case http.StatusServiceUnavailable:
		return res, false
	}
	if slices.Contains(problems, problem) {
		return res, false
	}
	c.violate(promises, "POST %s %s is answered with %d %s", path, body, res.code, res.body)
	return res, false
}

// cancelSingle cancels a revocation.
func (c *client) cancelSingle(<-chan struct{}) {
	q := c.history.drawRequest(c.r, func(q *request) bool { return q.id != "" })
	if q == nil {
		return
	}
	before := c.history.known(q.id)
	res, ok := c.post(c.r, q.account, "", "/revocations/"+q.id+"/cancel", "", "already_final", "under_way")
	if !ok {
		return
	}
	var body revocationBody
	if c.decode(q.account, before, res.body, &body) && (body.Status != "CANCELLED" || !body.Final) {
		c.violate(promises, "cancelling revocation %s is answered with %s", q.id, res.body)
	}
}

// startSingle begins a revocation that may wait for its time.
func (c *client) startSingle(<-chan struct{}) {
	if q := c.history.drawRequest(c.r, func(q *request) bool { return q.id != "" }); q != nil {
		c.hurrySingle(c.r, q.account, q.report, q.id)
	}
}

func (c *cluster) hurrySingle(r *rand.Rand, a *account, report int64, id string) {
	c.history.hurry(inviteName(a.id, report))
	c.post(r, a, "", "/revocations/"+id+"/start", "", "already_final")
}

// changeJob sends a request that changes a job's state, and records the answer.
func (c *cluster) changeJob(r *rand.Rand, a *account, id, secret, what, body string, problems ...string) {
	before := c.history.knownJob(id)
	res, ok := c.post(r, a, secret, "/jobs/"+id+"/"+what, body, problems...)
	if !ok {
		return
	}
	var job jobBody
	if res.code != http.StatusAccepted || json.Unmarshal(res.body, &job) != nil || addsUp(job) != nil {
		c.violate(promises, "%s of job %s is answered with %d %s", what, id, res.code, res.body)
		return
	}
	if err := c.history.seeJob(a, before, c.now(), job); err != nil {
		c.violate(forward, "job %s, after %s: %v", id, what, err)
	}
}

func countOf(n int) string { return fmt.Sprintf(`{"count": %d}`, n) }

// confirmJob confirms a job that waits for it, sometimes with another number than the predicted one.
func (c *client) confirmJob(<-chan struct{}) {
	u := c.history.drawUpload(c.r, func(u *upload) bool { return u.id != "" && u.finished == 0 })
	if u == nil {
		return
	}
	job, ok := c.readJob(c.r, u.account, u.id)
	if !ok || job.Preview == nil {
		return
	}
	n := job.confirmable()
	if c.r.IntN(5) == 0 {
		n++
	}
	c.changeJob(c.r, u.account, u.id, "", "confirm", countOf(n), "count_mismatch", "wrong_state")
}

// approveJob approves a job with another key, and sometimes tries to with the key that confirmed it.
func (c *client) approveJob(<-chan struct{}) {
	u := c.history.drawUpload(c.r, func(u *upload) bool { return u.id != "" && u.finished == 0 && u.account.approveAbove > 0 })
	if u == nil {
		return
	}
	job, ok := c.readJob(c.r, u.account, u.id)
	if !ok || job.Preview == nil {
		return
	}
	if c.r.IntN(5) == 0 {
		c.changeJob(c.r, u.account, u.id, u.account.key, "approve", countOf(job.confirmable()), "missing_scope")
		return
	}
	c.changeJob(c.r, u.account, u.id, u.account.approver, "approve", countOf(job.confirmable()), "count_mismatch", "wrong_state")
}

// startJob begins a job that may wait for its time.
func (c *client) startJob(<-chan struct{}) {
	if u := c.history.drawUpload(c.r, func(u *upload) bool { return u.id != "" && u.finished == 0 }); u != nil {
		c.hurryJob(c.r, u.account, u.id)
	}
}

func (c *cluster) hurryJob(r *rand.Rand, a *account, id string) {
	c.history.hurry(id)
	c.changeJob(r, a, id, "", "start", "", "wrong_state")
}

// waiting is a revocation or a job that waits for a time or a person.
type waiting struct {
	account, id, state string
	report             *int64 // of a single revocation
}

// decideAll ends what would wait beyond the run: it starts revocations and jobs that wait for their time, and approves or cancels
// jobs that wait for an approval. Previews expire by themselves.
func (c *cluster) decideAll(r *rand.Rand) {
	accounts := make(map[string]*account)
	for _, a := range c.accounts {
		accounts[a.id] = a
	}
	for over := time.Now().Add(drainTime); time.Now().Before(over); time.Sleep(200 * time.Millisecond) {
		left, err := c.waiting()
		if err == nil && len(left) == 0 {
			return
		}
		for _, w := range left {
			c.decide(r, accounts[w.account], w)
		}
	}
	c.violate(finished, "revocations and jobs still wait")
}

func (c *cluster) waiting() (left []waiting, err error) {
	err = c.database(func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `
			SELECT account_id, revocation_id::text, '', report_id FROM work_items WHERE single AND attempt = 0 AND due_at > now()
			UNION ALL SELECT account_id, id::text, state, NULL FROM jobs
				WHERE state IN ('PREVIEWING', 'PREVIEWED', 'AWAITING_APPROVAL', 'SCHEDULED')`)
		if err != nil {
			return err
		}
		left, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w waiting, err error) {
			return w, row.Scan(&w.account, &w.id, &w.state, &w.report)
		})
		return err
	})
	return left, err
}

func (c *cluster) decide(r *rand.Rand, a *account, w waiting) {
	switch {
	case w.report != nil:
		c.hurrySingle(r, a, *w.report, w.id)
	case w.state == "SCHEDULED":
		c.hurryJob(r, a, w.id)
	case w.state != "AWAITING_APPROVAL":
	case r.IntN(2) == 0:
		c.changeJob(r, a, w.id, a.approver, "cancel", "", "wrong_state", "job_ended", "missing_scope")
	default:
		if job, ok := c.readJob(r, a, w.id); ok && job.Preview != nil {
			c.changeJob(r, a, w.id, a.approver, "approve", countOf(job.confirmable()), "wrong_state")
		}
	}
}
