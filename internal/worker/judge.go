package worker

import (
	"time"

	"rescind/internal/revocation"
)

// judgement is what a group of replies means for the upstream as a whole.
type judgement struct {
	// hold is why no more calls should be made, and length for how long; hold is empty if calls can continue.
	hold   revocation.Hold
	length time.Duration
	// release ends a hold.
	release bool
}

// judge returns what the replies of a group mean. held is the present hold. A reply that does not show whether the upstream
// accepts the key again leaves or renews that hold.
func judge(group []endedCall, held revocation.Hold) (j judgement) {
	for _, e := range group {
		r := e.reply
		conclusive := r.Failure == nil || r.Failure.Code == revocation.CodeUpstreamTryLater || r.Failure.Code == revocation.CodeUpstreamRejected
		switch {
		case r.Failure != nil && r.Failure.Code == revocation.CodeUpstreamUnauthorized:
			return judgement{hold: revocation.HoldUnauthorized, length: probeInterval}
		case r.Hold > 0 && held != revocation.HoldUnauthorized:
			j = judgement{hold: revocation.HoldUnavailable, length: r.Hold}
		case r.Hold > 0, !conclusive && held == revocation.HoldUnauthorized:
			j = judgement{hold: revocation.HoldUnauthorized, length: probeInterval}
		case r.Status != "" && r.Status != revocation.StatusCancelled && conclusive && held != "" && j.hold == "":
			j.release = true
		}
	}
	return j
}
