package chaos_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The model of one invite. A submission returns the revocation in progress or starts one. A revocation ends once, and its
// outcome depends on whether the invite is revoked. An item of a job has no submission: it only ends.

// invite is the model's state.
type invite struct {
	active  int // the revocation in progress, or 0
	begun   uint64
	revoked bool
}

// step is the model's input.
type step struct {
	submit bool
	// revocation is the number of the invite's revocation, from 1. It is 0 for an item of a job.
	revocation int
	status     string
	inferred   bool
}

var model = porcupine.Model{
	Init: func() any { return invite{} },
	Step: func(state, input, _ any) (bool, any) {
		s, in := state.(invite), input.(step)
		if in.submit {
			return s.submitted(in.revocation)
		}
		return s.ended(in)
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
}

func (s invite) submitted(revocation int) (bool, any) {
	bit := uint64(1) << (revocation % 64)
	switch {
	case s.active == revocation:
		return true, s
	case s.active != 0 || s.begun&bit != 0:
		return false, s
	}
	s.active, s.begun = revocation, s.begun|bit
	return true, s
}

func (s invite) ended(in step) (bool, any) {
	if in.revocation != 0 {
		if s.active != in.revocation {
			return false, s
		}
		s.active = 0
	}
	switch in.status {
	case "REVOKED":
		// After an attempt whose answer was lost, an invite that is found revoked also counts as revoked by this one.
		if s.revoked && !in.inferred {
			return false, s
		}
		s.revoked = true
	case "ALREADY_REVOKED":
		return s.revoked, s
	case "NOT_ALLOWED":
		return !s.revoked, s
	}
	return true, s
}

// linearizable checks the history of each invite against the model.
func (c *cluster) linearizable(rows map[string]*row) {
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	type key struct {
		account string
		report  int64
	}
	answered := make(map[string][]*request)
	byRef := make(map[string]*request)
	for _, q := range c.history.requests {
		byRef[q.ref] = q
		if q.id != "" {
			answered[q.id] = append(answered[q.id], q)
		}
	}
	uploads := make(map[string]*upload)
	for _, u := range c.history.uploads {
		if u.id != "" {
			uploads[u.id] = u
		}
	}
	histories, numbers := make(map[key][]porcupine.Operation), make(map[key]int)
	for id, r := range rows {
		if r.report == nil {
			continue
		}
		k := key{r.account, *r.report}
		end := forever
		var began time.Duration
		add := func(in step, from, to time.Duration) {
			histories[k] = append(histories[k], porcupine.Operation{
				ClientId: len(histories[k]), Input: in, Call: int64(from), Output: nil, Return: int64(to),
			})
		}
		if r.job != nil {
			if u := uploads[*r.job]; u != nil {
				began = u.called
				if u.finished > 0 {
					end = u.finished
				}
			}
			add(step{status: r.status, inferred: r.inferred}, began, end)
			continue
		}
		numbers[k]++
		number := numbers[k]
		// The caller of the submission may not know its outcome.
		submitters := answered[id]
		if q := byRef[*r.ref]; q != nil && q.id != id {
			add(step{submit: true, revocation: number}, q.called, forever)
			began = q.called
		}
		for _, q := range submitters {
			add(step{submit: true, revocation: number}, q.called, q.returned)
			if began == 0 || q.called < began {
				began = q.called
			}
		}
		if s := c.history.seen[id]; s != nil && s.final > 0 {
			end = s.final
		}
		add(step{revocation: number, status: r.status, inferred: r.inferred}, began, end)
	}
	checked, longest := 0, 0
	for k, history := range histories {
		if len(history) < 2 {
			continue
		}
		checked, longest = checked+1, max(longest, len(history))
		switch porcupine.CheckOperationsTimeout(model, history, 10*time.Second) {
		case porcupine.Illegal:
			c.violate(outcomes, "the history of report %d of %s is not linearizable: %+v", k.report, k.account, history)
		case porcupine.Unknown:
			c.t.Logf("the history of report %d of %s is too long to check: %d operations", k.report, k.account, len(history))
		case porcupine.Ok:
		}
	}
	c.t.Logf("the histories of %d invites are linearizable, the longest has %d operations", checked, longest)
}

func TestInviteModel(t *testing.T) {
	op := func(in step, from, to int64) porcupine.Operation {
		return porcupine.Operation{Input: in, Call: from, Return: to}
	}
	revoked := func(n int) step { return step{revocation: n, status: "REVOKED"} }
	already := func(n int) step { return step{revocation: n, status: "ALREADY_REVOKED"} }
	submit := func(n int) step { return step{submit: true, revocation: n} }
	for name, test := range map[string]struct {
		history []porcupine.Operation
		want    bool
	}{
		"one after the other":      {[]porcupine.Operation{op(submit(1), 0, 1), op(revoked(1), 0, 2), op(submit(2), 3, 4), op(already(2), 3, 5)}, true},
		"joined":                   {[]porcupine.Operation{op(submit(1), 0, 1), op(submit(1), 2, 3), op(revoked(1), 0, 9)}, true},
		"revoked by an item":       {[]porcupine.Operation{op(revoked(0), 0, 9), op(submit(1), 0, 1), op(already(1), 0, 2)}, true},
		"in doubt":                 {[]porcupine.Operation{op(revoked(0), 0, 1), op(submit(1), 2, 3), op(step{revocation: 1, status: "REVOKED", inferred: true}, 2, 4)}, true},
		"revoked twice":            {[]porcupine.Operation{op(submit(1), 0, 1), op(revoked(1), 0, 2), op(submit(2), 3, 4), op(revoked(2), 3, 5)}, false},
		"revoked by no revocation": {[]porcupine.Operation{op(submit(1), 0, 1), op(already(1), 0, 2)}, false},
		"before it was":            {[]porcupine.Operation{op(submit(1), 0, 1), op(already(1), 0, 2), op(revoked(0), 3, 4)}, false},
		"joined after the end": {
			[]porcupine.Operation{op(submit(1), 0, 1), op(revoked(1), 0, 2), op(submit(1), 3, 4)}, false,
		},
		"two under way": {
			[]porcupine.Operation{op(submit(1), 0, 1), op(submit(2), 2, 3), op(revoked(1), 4, 9), op(already(2), 4, 9)}, false,
		},
		"not allowed after it was revoked": {
			[]porcupine.Operation{op(revoked(0), 0, 1), op(submit(1), 2, 3), op(step{revocation: 1, status: "NOT_ALLOWED"}, 2, 4)}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range test.history {
				test.history[i].ClientId = i
			}
			if got := porcupine.CheckOperations(model, test.history); got != test.want {
				t.Errorf("linearizable: %v", got)
			}
		})
	}
}
