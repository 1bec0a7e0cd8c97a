package chaos_test

import (
	"math/rand/v2"
	"time"
)

// atPoint draws a point of a program. It calls do if a process reaches the point within length.
func (f *faults) atPoint(r *rand.Rand, program string, length time.Duration, do func(waitingProcess)) {
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
		st.resume()
	case <-time.After(length):
		f.points.disarm(p, there)
	}
}

func (f *faults) killAtPoint(program string) func(*rand.Rand, time.Duration) {
	return func(r *rand.Rand, length time.Duration) {
		f.atPoint(r, program, length, func(st waitingProcess) {
			n := f.take(st.pid)
			if n == nil {
				return // another fault uses the process
			}
			defer n.mu.Unlock()
			n.kill()
			if program == "worker" {
				f.doubt(1)
			}
			f.restart(n)
		})
	}
}

func (f *faults) terminateAtPoint(program string) func(*rand.Rand, time.Duration) {
	return func(r *rand.Rand, length time.Duration) {
		f.atPoint(r, program, length, func(st waitingProcess) {
			n := f.take(st.pid)
			if n == nil {
				return
			}
			defer n.mu.Unlock()
			n.interrupt()
			st.resume()
			if err := n.ends(); err != nil {
				f.violate(promises, "%v", err)
			}
			f.restart(n)
		})
	}
}

// holdAtPoint makes a process wait at a point while the others continue.
func (f *faults) holdAtPoint(program string) func(*rand.Rand, time.Duration) {
	return func(r *rand.Rand, length time.Duration) {
		f.atPoint(r, program, length, func(waitingProcess) {
			time.Sleep(length)
			f.inDoubt.Add(1) // an answer that could not be recorded before the transaction timed out
		})
	}
}
