package worker

import (
	"time"

	"rescind/internal/revocation"
)

// judgement is what replies say about the upstream as a whole.
type judgement struct {
	// hold is why, and length for how long, no more calls should be made; empty for no reason.
	hold   revocation.Hold
	length time.Duration
	// release ends a hold.
	release bool
}

// judge looks at the replies of a group. While calls are held, a probe that shows nothing leaves it at that.
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
