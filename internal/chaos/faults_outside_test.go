package chaos_test

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"rescind/internal/testservers"
)

// drawing lets several goroutines share one random source.
type drawing struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (d *drawing) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

// mailScript makes the mail server follow a script for the given time.
func (f *faults) mailScript(length time.Duration, script func(step testservers.Step) testservers.Fault) {
	f.mailMu.Lock()
	defer f.mailMu.Unlock()
	f.mail.Script(func(step testservers.Step, _ int) testservers.Fault { return script(step) })
	time.Sleep(length)
	f.mail.Script(nil)
}

func (f *faults) mailRefusals(r *rand.Rand, length time.Duration) {
	d := drawing{r: r}
	f.mailScript(length, func(step testservers.Step) testservers.Fault {
		if d.n(6) > 0 {
			return testservers.Fault{}
		}
		if step == testservers.StepConnect {
			return testservers.Fault{Code: 421, Close: true}
		}
		return []testservers.Fault{{Code: 421, Close: true}, {Code: 450}, {Code: 550}}[d.n(3)]
	})
}

func (f *faults) mailBreaks(r *rand.Rand, length time.Duration) {
	d := drawing{r: r}
	f.mailScript(length, func(step testservers.Step) testservers.Fault {
		switch {
		case d.n(6) > 0:
			return testservers.Fault{}
		case step != testservers.StepDot:
			return testservers.Fault{Close: true}
		case d.n(3) == 0:
			return testservers.Fault{Code: 250, Close: true} // accepted, with the answer sent
		}
		f.inDoubt.Add(1)
		return testservers.Fault{Close: true, Accept: d.n(2) == 0}
	})
}

// mailStalls stalls some SMTP sessions until the fault is over, and breaks them then.
func (f *faults) mailStalls(r *rand.Rand, length time.Duration) {
	d, over := drawing{r: r}, make(chan struct{})
	f.mailScript(length, func(step testservers.Step) testservers.Fault {
		if d.n(10) > 0 {
			return testservers.Fault{}
		}
		if step == testservers.StepDot {
			f.inDoubt.Add(1)
		}
		<-over
		return testservers.Fault{Close: true, Accept: step == testservers.StepDot && d.n(2) == 0}
	})
	close(over)
}

// killOnce kills both workers the first time that the hook installed by arm calls reached, unless that does not happen
// within length. The function reached reports whether it killed the workers.
func (f *faults) killOnce(length time.Duration, arm func(reached func() bool), disarm func()) {
	there := make(chan struct{})
	var once sync.Once
	killed := false
	arm(func() (first bool) {
		once.Do(func() {
			killed = f.killAll()
			first = killed
			close(there)
		})
		return first
	})
	select {
	case <-there:
	case <-time.After(length):
		once.Do(func() {}) // no kill from now on; it also waits for one in progress
	}
	disarm()
	if killed {
		f.startAll()
	}
}

// killAtStep kills both workers at a step of a delivery. The mail server then answers with answer.
func (f *faults) killAtStep(length time.Duration, at testservers.Step, answer testservers.Fault) {
	f.mailMu.Lock()
	defer f.mailMu.Unlock()
	f.killOnce(length, func(reached func() bool) {
		f.mail.Script(func(step testservers.Step, _ int) testservers.Fault {
			if step == at && reached() {
				return answer
			}
			return testservers.Fault{}
		})
	}, func() { f.mail.Script(nil) })
}

func (f *faults) killBeforeDot(_ *rand.Rand, length time.Duration) {
	f.killAtStep(length, testservers.StepData, testservers.Fault{})
}

// killAfterDot kills both workers after the server received a complete message. The server may keep the message or not.
func (f *faults) killAfterDot(r *rand.Rand, length time.Duration) {
	f.killAtStep(length, testservers.StepDot, testservers.Fault{Close: true, Accept: r.IntN(2) == 0})
}

// upstreamTrouble returns the fault of a call to the upstream.
type upstreamTrouble func(testservers.PlatformCall) testservers.PlatformFault

// platformFault returns the fault of a call to the upstream. Without trouble, the upstream only rejects some first calls.
func (f *faults) platformFault(call testservers.PlatformCall) testservers.PlatformFault {
	if call.ReportID%rejected == 0 && call.Nth == 1 {
		return testservers.PlatformFault{Code: http.StatusBadRequest}
	}
	if trouble := f.trouble.Load(); trouble != nil {
		return (*trouble)(call)
	}
	return testservers.PlatformFault{}
}

func (f *faults) upstreamScript(length time.Duration, trouble upstreamTrouble) {
	f.platformMu.Lock()
	defer f.platformMu.Unlock()
	f.trouble.Store(&trouble)
	time.Sleep(length)
	f.trouble.Store(nil)
}

func (f *faults) upstreamAnswers(r *rand.Rand, length time.Duration) {
	d := drawing{r: r}
	f.upstreamScript(length, func(testservers.PlatformCall) testservers.PlatformFault {
		return []testservers.PlatformFault{
			{},
			{},
			{Code: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}},
			{Code: http.StatusInternalServerError},
			{Code: http.StatusOK, Body: "<html>not what was asked for"},
			{Status: "ERROR_REVOKING"},
		}[d.n(6)]
	})
}

func (f *faults) upstreamBreaks(r *rand.Rand, length time.Duration) {
	d := drawing{r: r}
	f.upstreamScript(length, func(testservers.PlatformCall) testservers.PlatformFault {
		return []testservers.PlatformFault{
			{},
			{Drop: true},
			{Lose: true},
			{Delay: 3 * time.Second},             // carried out after the caller has hung up
			{Delay: 3 * time.Second, Drop: true}, // not carried out
			{Delay: 500 * time.Millisecond},
		}[d.n(6)]
	})
}

// killAtCall kills both workers when they call the upstream. The upstream then behaves as answer describes.
func (f *faults) killAtCall(length time.Duration, answer testservers.PlatformFault) {
	f.platformMu.Lock()
	defer f.platformMu.Unlock()
	f.killOnce(length, func(reached func() bool) {
		var trouble upstreamTrouble = func(testservers.PlatformCall) testservers.PlatformFault {
			if reached() {
				return answer
			}
			return testservers.PlatformFault{}
		}
		f.trouble.Store(&trouble)
	}, func() { f.trouble.Store(nil) })
}

func (f *faults) killBeforeEffect(_ *rand.Rand, length time.Duration) {
	f.killAtCall(length, testservers.PlatformFault{Drop: true})
}

func (f *faults) killAfterEffect(_ *rand.Rand, length time.Duration) {
	f.killAtCall(length, testservers.PlatformFault{Lose: true})
}
