package worker

import (
	"sync"
	"time"

	"rescind/internal/revocation"
)

// maxOutagePause bounds the time without an attempt to reach an unavailable mail server. With the time that an attempt can
// take, there is at least one a minute.
const maxOutagePause = 30 * time.Second

// outage holds emails back while the mail server accepts none from this sender. After a pause one email is tried, and the
// others wait for its result. The zero outage means that the server is available.
type outage struct {
	mu       sync.Mutex
	failures int // in a row
	failed   time.Time
	until    time.Time
}

// wait returns how long no email should be tried; 0 means that one may be tried now.
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

// enter is like wait, but the caller must try an email if it returns 0. During an outage, enter makes others wait meanwhile,
// for as long as if that attempt had failed.
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

// record records how a delivery ended that began at the time began; a nil failure means that the message was accepted.
func (o *outage) record(policy revocation.RetryPolicy, began time.Time, failure *revocation.DeliveryError) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case failure == nil:
		o.failures = 0
	case failure.Reason == revocation.ReasonCancelled, failure.Reason == revocation.ReasonDatabase, failure.Reason == revocation.ReasonAddress, failure.Reason == revocation.ReasonTemplate:
		// The result says nothing about the server.
	case failure.Verdict != revocation.VerdictUnreachable:
		o.failures = 0
	case o.failures > 0 && began.Before(o.failed):
		// It began before the last failure, so that failure covers it.
	default:
		o.failures++
		o.failed = time.Now()
		o.pause(policy)
	}
}
