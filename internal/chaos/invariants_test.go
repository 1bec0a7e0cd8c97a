package chaos_test

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// invariant is a property that must hold during every fault.
type invariant string

const (
	// Every accepted request ends in exactly one final outcome. No revocation exists without an accepted request.
	outcomes invariant = "1, one outcome"
	// Each invite is revoked at most once, counted at the platform and not in the service's rows.
	effects invariant = "2, one effect"
	// A status only moves forward, a final status never changes, and attempts never decrease.
	forward invariant = "3, forward only"
	// An email is sent only after a committed REVOKED. The mail server accepts at most one message for each revocation. Each
	// requested email ends SENT, FAILED or UNKNOWN, and UNKNOWN no more often than the faults explain.
	mails invariant = "4, one email"
	// The counters of a job add up at every read and equal a recount.
	counters invariant = "5, true counters"
	// The same Idempotency-Key and body return the same id. No account sees another's data.
	identity invariant = "6, same key same id"
	// Nothing is done before its time, nor of a job that was not confirmed or approved where it had to be, and never more is
	// revoked than was confirmed.
	waits invariant = "8, nothing too early and nothing unasked"
	// Each change has its event, and each event its change. A reader sees all of them once and in their order.
	told invariant = "9, one event a change"
	// Within drainTime after the last fault, no work is left in the tables or in Redis.
	finished invariant = "7, all finished"
	// The other documented behaviour: only documented answers, a clean exit on SIGTERM, and logs without names.
	promises invariant = "as documented"
)

// findings collects the violations.
type findings struct {
	mu    sync.Mutex
	count map[string]int // by kind
	// keep collects the violations for a test of the audit. If it is nil, violations fail the test.
	keep map[invariant][]string
}

// maxReported is how often one kind of violation is reported.
const maxReported = 5

// violate reports a violation of an invariant. It reports at most maxReported violations with the same format.
func (c *cluster) violate(what invariant, format string, args ...any) {
	c.t.Helper()
	text := fmt.Sprintf(format, args...)
	f := &c.findings
	f.mu.Lock()
	if f.keep != nil {
		f.keep[what] = append(f.keep[what], text)
		f.mu.Unlock()
		return
	}
	if f.count == nil {
		f.count = make(map[string]int)
	}
	f.count[format]++
	n := f.count[format]
	f.mu.Unlock()
	if n <= maxReported {
		c.t.Errorf("CHAOS_SEED=%d after %s: invariant %s: %s", c.seed, c.now().Round(time.Millisecond), what, text)
	}
}

// collecting returns the violations that check finds. They do not fail the test.
func (c *cluster) collecting(check func()) map[invariant][]string {
	c.findings.mu.Lock()
	c.findings.keep = make(map[invariant][]string)
	c.findings.mu.Unlock()
	check()
	c.findings.mu.Lock()
	defer c.findings.mu.Unlock()
	found := c.findings.keep
	c.findings.keep = nil
	return found
}

// witnessed returns the invariant that a trigger's violation breaks.
func witnessed(what string) invariant {
	switch {
	case strings.Contains(what, "invite"):
		return effects
	case strings.Contains(what, "email"):
		return mails
	case strings.Contains(what, "job"):
		return counters
	case strings.Contains(what, "without an outcome"):
		return outcomes
	default:
		return forward
	}
}
