package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"rescind/internal/failpoint"
)

// scene is a cluster with deterministic faults: it makes requests until a process reaches a point.
type scene struct {
	*faults
	asking sync.WaitGroup
	r      *rand.Rand

	mu sync.Mutex
	n  int64
	// remotes are accounts on an upstream, the least recently used first. Each has one account task at a time, which a dead
	// worker keeps until its lease ends.
	remotes []*account
}

func startScene(t *testing.T, invites int64, more ...*account) *scene {
	t.Helper()
	return newScene(startCluster(t, 0, invites, more...))
}

func newScene(c *cluster) *scene {
	for _, n := range c.apis {
		c.listening(n)
	}
	return &scene{faults: &faults{cluster: c, made: make(map[string]int)}, r: rand.New(rand.NewPCG(0, 0))}
}

// reachTime is the maximum time until a process reaches a point. The dispatcher finds a lost task only after its visibility
// timeout, and an account has a new account task only after the lease of a dead worker.
const reachTime = 2 * time.Minute

// listening waits until an API accepts connections. An upload without a key is sent only once, so it must not fail to
// connect.
func (c *cluster) listening(n *node) {
	c.t.Helper()
	for deadline := time.Now().Add(reachTime); n.addr != ""; {
		conn, err := net.Dial("tcp", n.addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s does not listen: %v", n.name, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// next returns a new number.
func (s *scene) next() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return s.n
}

func (s *scene) nextRemote() *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.remotes[0]
	s.remotes = append(s.remotes[1:], a)
	return a
}

// caller returns a new client for one goroutine.
func (s *scene) caller() *client {
	n := s.next()
	return &client{cluster: s.cluster, name: fmt.Sprintf("s%d", n), r: rand.New(rand.NewPCG(0, uint64(n)))}
}

// one submits a revocation of an account's next invite, until it is accepted.
func (s *scene) one(a *account, notify bool) {
	c, report := s.caller(), s.next()
	s.asking.Go(func() { c.submitUntilAccepted(c.request(a, report, notify, true), s.t.Context().Done()) })
}

// many uploads a job. It does not repeat an upload that breaks off.
func (s *scene) many(a *account, items int, notify bool) {
	c := s.caller()
	s.asking.Go(func() { c.uploadUntilAnswered(c.newUpload(a, items, notify, false), s.t.Context().Done()) })
}

// decided uploads a job with a preview, and has it confirmed or lets it expire.
func (s *scene) decided(a *account, confirm bool) {
	c := s.caller()
	s.asking.Go(func() {
		u := c.newUpload(a, 20, false, true)
		u.preview = true
		c.uploadUntilAnswered(u, s.t.Context().Done())
		for over := time.Now().Add(reachTime); confirm && u.id != "" && time.Now().Before(over); time.Sleep(20 * time.Millisecond) {
			job, ok := c.readJob(c.r, a, u.id)
			switch {
			case !ok || job.State == "PREVIEWING":
			case job.State == "PREVIEWED":
				c.changeJob(c.r, a, u.id, "", "confirm", countOf(job.confirmable()), "wrong_state")
			default:
				return
			}
		}
	})
}

// waits submits a revocation that waits for an hour, and cancels or starts it.
func (s *scene) waits(a *account, what string) {
	c, report := s.caller(), s.next()
	s.asking.Go(func() {
		q := c.request(a, report, false, true)
		q.notBefore = time.Now().UTC().Add(time.Hour).Truncate(time.Microsecond)
		c.submitUntilAccepted(q, s.t.Context().Done())
		if what == "start" {
			c.history.hurry(inviteName(a.id, report))
		}
		for over := time.Now().Add(reachTime); time.Now().Before(over); time.Sleep(20 * time.Millisecond) {
			c.post(c.r, a, "", "/revocations/"+q.id+"/"+what, "", "already_final")
			if body, ok := c.readRevocation(c.r, a, q.id, ""); ok && body.Final {
				return
			}
		}
	})
}

// end waits until all work is finished, and audits.
func (s *scene) end() {
	s.asking.Wait()
	s.drain()
	s.audit(s.r)
}

// loaded is a place with the function that brings a process there.
type loaded struct {
	place
	load func(*scene)
}

// The requests that bring a process to a place.
var (
	single   = func(s *scene) { s.one(s.accounts[1], false) }
	withMail = func(s *scene) { s.one(s.accounts[1], true) }
	job      = func(s *scene) { s.many(s.accounts[1], 300, false) }
	mailJob  = func(s *scene) { s.many(s.accounts[1], 20, true) }
	remote   = func(s *scene) { s.one(s.nextRemote(), false) }
	preview  = func(s *scene) { s.decided(s.accounts[1], false) }
	decided  = func(s *scene) { s.decided(s.accounts[1], true) }
	taken    = func(s *scene) { s.waits(s.accounts[1], "cancel") }
	hurried  = func(s *scene) { s.waits(s.accounts[1], "start") }
)

const (
	taskSingle   = "revocations:v1"
	taskMail     = "notifications:v1"
	taskJobs     = "account-jobs:v1"
	taskUpstream = "account-upstream:v1"
)

// places lists the points that a request passes, in that order.
var places = []loaded{
	// A submission: not accepted, accepted without an answer, answered without a task.
	{at("api", failpoint.BeforeCommit, "submit"), single},
	{at("api", failpoint.AfterCommit, "submit"), single},
	{at("api", failpoint.BeforeEnqueue, taskSingle), single},
	{at("api", failpoint.AfterEnqueue, taskSingle), single},
	// The dispatcher, between its claim and the enqueuing of the task.
	{at("worker", failpoint.BeforeEnqueue, taskSingle), (*scene).lose},
	// A worker: before the effect, during it, and before Redis knows that the task is done.
	{at("worker", failpoint.TaskBegun, taskSingle), single},
	{at("worker", failpoint.BeforeCommit, "carry out"), single},
	{at("worker", failpoint.AfterCommit, "carry out"), withMail},
	{at("worker", failpoint.BeforeEnqueue, taskMail), withMail},
	{at("worker", failpoint.TaskDone, taskSingle), single},
	// An email.
	{at("worker", failpoint.BeforeCommit, "claim emails"), withMail},
	{at("worker", failpoint.AfterCommit, "claim emails"), withMail},
	{at("worker", failpoint.BeforeCommit, "commit an email"), withMail},
	{at("worker", failpoint.AfterCommit, "commit an email"), withMail},
	{at("worker", failpoint.BeforeDot, "email"), withMail},
	{at("worker", failpoint.AfterDot, "email"), withMail},
	{at("worker", failpoint.BeforeCommit, "settle an email"), mailJob},
	{at("worker", failpoint.AfterCommit, "settle an email"), withMail},
	{at("worker", failpoint.TaskDone, taskMail), withMail},
	// An upload, between its batches and at its end, and its job.
	{at("api", failpoint.BeforeCommit, "begin a job"), job},
	{at("api", failpoint.AfterCommit, "begin a job"), job},
	{at("api", failpoint.BeforeCommit, "add items"), job},
	{at("api", failpoint.AfterCommit, "add items"), job},
	{at("api", failpoint.BeforeCommit, "finalize a job"), job},
	{at("api", failpoint.AfterCommit, "finalize a job"), job},
	{at("worker", failpoint.TaskBegun, taskJobs), job},
	{at("worker", failpoint.BeforeCommit, "carry out a chunk"), job},
	{at("worker", failpoint.AfterCommit, "carry out a chunk"), mailJob},
	{at("worker", failpoint.TaskDone, taskJobs), job},
	// A preview and its confirmation, and a revocation that waits for its time.
	{at("worker", failpoint.BeforeCommit, "predict a chunk"), preview},
	{at("worker", failpoint.AfterCommit, "predict a chunk"), preview},
	{at("worker", failpoint.BeforeCommit, "find duplicates"), preview},
	{at("worker", failpoint.AfterCommit, "find duplicates"), preview},
	{at("worker", failpoint.BeforeCommit, "change a job"), preview},
	{at("worker", failpoint.AfterCommit, "change a job"), preview},
	{at("api", failpoint.BeforeCommit, "change a job"), decided},
	{at("api", failpoint.AfterCommit, "change a job"), decided},
	{at("api", failpoint.BeforeCommit, "cancel a revocation"), taken},
	{at("api", failpoint.AfterCommit, "cancel a revocation"), taken},
	{at("api", failpoint.BeforeCommit, "start a revocation"), hurried},
	{at("api", failpoint.AfterCommit, "start a revocation"), hurried},
	// A call to an upstream. Its outcome is recorded in the same way as a failed attempt.
	{at("worker", failpoint.TaskBegun, taskUpstream), remote},
	{at("worker", failpoint.BeforeCommit, "begin calls"), remote},
	{at("worker", failpoint.AfterCommit, "begin calls"), remote},
	{at("worker", failpoint.BeforeCall, "revoke"), remote},
	{at("worker", failpoint.AfterCall, "revoke"), remote},
	{at("worker", failpoint.BeforeCommit, "record outcomes"), remote},
	{at("worker", failpoint.AfterCommit, "record outcomes"), remote},
}

// remotePlaces is the number of places that need an account on an upstream.
const remotePlaces = 7

// lose submits a revocation whose task does not reach Redis.
func (s *scene) lose() {
	proxies := redisOf(s.apis)
	for _, p := range proxies {
		p.refuse(true)
		p.cut()
	}
	c, report := s.caller(), s.next()
	c.submitUntilAccepted(c.request(s.accounts[1], report, true, true), s.t.Context().Done())
	for _, p := range proxies {
		p.refuse(false)
	}
}
