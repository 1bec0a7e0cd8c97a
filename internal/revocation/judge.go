package revocation

import "time"

// judgement is what replies say about the upstream as a whole.
type judgement struct {
	// hold is why, and length for how long, no more calls should be made; empty for no reason.
	hold   Hold
	length time.Duration
	// release ends a hold.
	release bool
}

// judge looks at the replies of a group. While calls are held, a probe that shows nothing leaves it at that.
func judge(group []endedCall, held Hold) (j judgement) {
	for _, e := range group {
		r := e.reply
		conclusive := r.Failure == nil || r.Failure.Code == CodeUpstreamTryLater || r.Failure.Code == CodeUpstreamRejected
		switch {
		case r.Failure != nil && r.Failure.Code == CodeUpstreamUnauthorized:
			return judgement{hold: HoldUnauthorized, length: probeInterval}
		case r.Hold > 0 && held != HoldUnauthorized:
			j = judgement{hold: HoldUnavailable, length: r.Hold}
		case r.Hold > 0, !conclusive && held == HoldUnauthorized:
			j = judgement{hold: HoldUnauthorized, length: probeInterval}
		case r.Status != "" && r.Status != StatusCancelled && conclusive && held != "" && j.hold == "":
			j.release = true
		}
	}
	return j
}
