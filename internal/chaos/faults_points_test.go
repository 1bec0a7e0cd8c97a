package chaos_test

import (
	"math/rand/v2"
	"time"
)

// atPoint draws a point of a program's way, and does something at it if a process comes there within the time.
func (f *faults) atPoint(r *rand.Rand, program string, length time.Duration, do func(standing)) {
	var own []place
	for _, p := range places {
		if p.program == program {
			own = append(own, p.place)
		}
	}
	p := own[r.IntN(len(own))]
	there := f.points.arm(p)
	select {
	case st := <-there:
		f.t.Logf("%s: at %s", f.now().Round(time.Millisecond), p)
		do(st)
		st.goOn()
	case <-time.After(length):
		f.points.disarm(p, there)
	}
}

func (f *faults) killAtPoint(program string) func(*rand.Rand, time.Duration) {
	return func(r *rand.Rand, length time.Duration) {
		f.atPoint(r, program, length, func(st standing) {
			n := f.take(st.pid)
			if n == nil {
				return // another fault has it
			}
			defer n.mu.Unlock()
			n.kill()
			if program == "worker" {
				f.doubt(1)
			}
			f.again(n)
		})
	}
}

func (f *faults) terminateAtPoint(program string) func(*rand.Rand, time.Duration) {
	return func(r *rand.Rand, length time.Duration) {
		f.atPoint(r, program, length, func(st standing) {
			n := f.take(st.pid)
			if n == nil {
				return
			}
			defer n.mu.Unlock()
			n.ask()
			st.goOn()
			if err := n.ends(); err != nil {
				f.violate(promises, "%v", err)
			}
			f.again(n)
		})
	}
}

// holdAtPoint has a process wait while others go on.
func (f *faults) holdAtPoint(program string) func(*rand.Rand, time.Duration) {
	return func(r *rand.Rand, length time.Duration) {
		f.atPoint(r, program, length, func(standing) {
			time.Sleep(length)
			f.inDoubt.Add(1) // an answer that could not be recorded in its transaction's time
		})
	}
}
