package worker

import (
	"time"

	"rescind/internal/revocation"
)

// holdChange is what a group of replies means for the upstream as a whole.
type holdChange struct {
	// reason is why no more calls should be made, and length for how long; reason is empty if calls can continue.
	reason revocation.Hold
	length time.Duration
	// release ends a hold.
	release bool
}

// holdAfter returns what the replies of a group mean. held is the present hold. A reply that does not show whether the upstream
// accepts the key again leaves or renews that hold.
func holdAfter(group []endedCall, held revocation.Hold) (change holdChange) {
	for _, e := range group {
		r := e.reply
		conclusive := r.Failure == nil || r.Failure.Code == revocation.CodeUpstreamTryLater || r.Failure.Code == revocation.CodeUpstreamRejected
		switch {
		case r.Failure != nil && r.Failure.Code == revocation.CodeUpstreamUnauthorized:
			return holdChange{reason: revocation.HoldUnauthorized, length: probeInterval}
		case r.Hold > 0 && held != revocation.HoldUnauthorized:
			change = holdChange{reason: revocation.HoldUnavailable, length: r.Hold}
		case r.Hold > 0, !conclusive && held == revocation.HoldUnauthorized:
			change = holdChange{reason: revocation.HoldUnauthorized, length: probeInterval}
		case r.Status != "" && r.Status != revocation.StatusCancelled && conclusive && held != "" && change.reason == "":
			change.release = true
		}
	}
	return change
}
