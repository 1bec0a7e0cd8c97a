package chaos_test

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// invariant is one of those that hold whatever happens.
type invariant string

const (
	// outcomes: every accepted request ends in exactly one final outcome; nothing that was not accepted appears.
	outcomes invariant = "1, one outcome"
	// effects: at most one effective revocation an invite, counted at the platform and not in the service's rows.
	effects invariant = "2, one effect"
	// forward: a status only moves forward, a final one never changes, attempts only rise.
	forward invariant = "3, forward only"
	// mails: only after a committed REVOKED; at most one accepted message a revocation, counted at the mail server;
	// each wanted email is SENT, FAILED or UNKNOWN, the last no more often than faults explain.
	mails invariant = "4, one email"
	// counters: those of a job sum up at every read and equal a recount.
	counters invariant = "5, true counters"
	// identity: the same Idempotency-Key and body give the same id; nothing crosses accounts.
	identity invariant = "6, same key same id"
	// finished: within drainTime after the last fault nothing is unfinished, in the tables and in Redis.
	finished invariant = "7, all finished"
	// promises: what else callers and operators rely on, such as the answers that there are, a clean end on SIGTERM,
	// and logs without names.
	promises invariant = "as documented"
)

// findings are the violations so far.
type findings struct {
	mu    sync.Mutex
	count map[string]int // by kind
	// keep collects them, for a test of the audit itself; nil: they fail the test.
	keep map[invariant][]string
}

// maxTold bounds how often one kind of violation is told.
const maxTold = 5

// violate tells that an invariant does not hold. The kind is the format, so that a flood of one kind stays short.
func (c *cluster) violate(what invariant, format string, args ...any) {
	c.t.Helper()
	text := fmt.Sprintf(format, args...)
	f := &c.told
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
	if n <= maxTold {
		c.t.Errorf("CHAOS_SEED=%d after %s: invariant %s: %s", c.seed, c.now().Round(time.Millisecond), what, text)
	}
}

// collecting gives what look finds, which fails nothing.
func (c *cluster) collecting(look func()) map[invariant][]string {
	c.told.mu.Lock()
	c.told.keep = make(map[invariant][]string)
	c.told.mu.Unlock()
	look()
	c.told.mu.Lock()
	defer c.told.mu.Unlock()
	found := c.told.keep
	c.told.keep = nil
	return found
}

// witnessed is the invariant that a witness in the database saw broken.
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
