//go:build chaos

package chaos_test

import (
	"testing"
	"time"

	"rescind/internal/failpoint"
)

// TestChaos_Stopped suspends a worker at several points, lets another take over all its claims, and resumes it. The worker
// then continues with claims that it has lost. The longest lease is that of a claimed email: a minute and a half.
func TestChaos_Stopped(t *testing.T) {
	t.Parallel()
	s := startScene(t, 1000)
	s.remotes = s.accounts[2:]
	other := s.workers[1]
	other.kill()
	var held []waitingProcess
	for _, p := range []loaded{
		{at("worker", failpoint.TaskBegun, taskSingle), single},
		{at("worker", failpoint.BeforeCommit, "carry out"), withMail},
		{at("worker", failpoint.BeforeCommit, "commit an email"), withMail},
		{at("worker", failpoint.BeforeDot, "email"), withMail},
		{at("worker", failpoint.AfterCall, "revoke"), remote},
		{at("worker", failpoint.BeforeCommit, "carry out a chunk"), mailJob},
	} {
		there := s.points.arm(p.place)
		p.load(s)
		st, ok := s.awaitProcess(p, there)
		if !ok {
			return
		}
		held = append(held, st)
	}
	resume := s.workers[0].pause()
	t.Logf("%s: suspended at %d points", s.now().Round(time.Millisecond), len(held))
	for _, st := range held {
		st.resume() // when the process is resumed
	}
	s.inDoubt.Add(1) // the email whose final dot was not sent yet
	s.restart(other)
	s.drain() // without the suspended worker
	t.Logf("%s: the worker is resumed", s.now().Round(time.Millisecond))
	resume()
	if err := s.workers[0].terminate(); err != nil { // it finishes its work in progress
		s.violate(promises, "%v", err)
	}
	s.restart(s.workers[0])
	s.end()
}
