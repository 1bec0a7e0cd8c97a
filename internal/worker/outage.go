package worker

import (
	"sync"
	"time"

	"rescind/internal/revocation"
)

// maxOutagePause bounds the time for which nobody tries a mail server. With the time that a try can take, it is tried at
// least once a minute.
const maxOutagePause = 30 * time.Second

// outage keeps emails from a mail server that takes none from this sender: one of them is tried after a pause, and the
// others wait for what becomes of it. The zero outage is none.
type outage struct {
	mu       sync.Mutex
	failures int // in a row
	failed   time.Time
	until    time.Time
}

// wait returns for how long no email is to be tried; 0: one may be now.
func (o *outage) wait() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.left()
}

func (o *outage) left() time.Duration {
	if o.failures == 0 {
		return 0
	}
	return max(0, time.Until(o.until))
}

// enter is wait for somebody who tries an email when it returns 0. Others wait meanwhile, for as long as they would if
// that failed.
func (o *outage) enter(policy revocation.RetryPolicy) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	left := o.left()
	if left == 0 && o.failures > 0 {
		o.pause(policy)
	}
	return left
}

func (o *outage) pause(policy revocation.RetryPolicy) {
	o.until = time.Now().Add(min(policy.Delay(o.failures), maxOutagePause))
}

// learn takes in how a delivery ended that had begun at a time; nil: the message was accepted.
func (o *outage) learn(policy revocation.RetryPolicy, began time.Time, failure *revocation.DeliveryError) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case failure == nil:
		o.failures = 0
	case failure.Reason == revocation.ReasonCancelled, failure.Reason == revocation.ReasonDatabase, failure.Reason == revocation.ReasonAddress, failure.Reason == revocation.ReasonTemplate:
		// The server was not asked, or not to its end.
	case failure.Verdict != revocation.VerdictUnreachable:
		o.failures = 0
	case o.failures > 0 && began.Before(o.failed):
		// It ran beside the one that failed last, and is no news.
	default:
		o.failures++
		o.failed = time.Now()
		o.pause(policy)
	}
}
