//go:build chaos

package chaos_test

import (
	"testing"
	"time"

	"rescind/internal/failpoint"
)

// TestChaos_Stopped stops a worker in the middle of everything, has another take over all that it held, and lets it go on
// with what it believes to hold. The longest of the leases is that of a claimed email: a minute and a half.
func TestChaos_Stopped(t *testing.T) {
	t.Parallel()
	s := startScene(t, 1000)
	s.remotes = s.accounts[2:]
	other := s.workers[1]
	other.kill()
	var held []standing
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
		st, ok := s.stand(p, there)
		if !ok {
			return
		}
		held = append(held, st)
	}
	resume := s.workers[0].pause()
	t.Logf("%s: stopped in %d places", s.now().Round(time.Millisecond), len(held))
	for _, st := range held {
		st.goOn() // once it can
	}
	s.inDoubt.Add(1) // the email whose dot has not been sent yet
	s.again(other)
	s.drain() // without it
	t.Logf("%s: it goes on", s.now().Round(time.Millisecond))
	resume()
	if err := s.workers[0].terminate(); err != nil { // and ends what it has under way
		s.violate(promises, "%v", err)
	}
	s.again(s.workers[0])
	s.end()
}
