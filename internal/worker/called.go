package worker

import "rescind/internal/revocation"

// decideCalled turns what came of calls into decisions. A row for which another worker has begun a call since is left
// to that worker.
func decideCalled(held []revocation.LockedRevocation, ended map[revocation.Ref]endedCall, policy revocation.RetryPolicy) []revocation.Decision {
	decisions := make([]revocation.Decision, 0, len(held))
	for _, h := range held {
		e, ok := ended[h.Ref]
		if !ok || e.call.DispatchCount != h.DispatchCount {
			continue
		}
		d := revocation.Decision{
			Ref: h.Ref, ReportID: h.ReportID, Job: h.Job, Status: e.reply.Status, Timestamp: e.reply.Timestamp,
			// What was called with, whatever has been asked for since.
			Notify: e.call.Notify,
			Kind:   revocation.Final, Upstream: true, Failure: e.reply.Failure,
			InDoubt: e.call.InDoubt || e.reply.InDoubt,
		}
		attempt := h.Attempt + 1
		switch {
		case d.Status == "":
			d.Kind, d.Delay, d.Notify = revocation.Postpone, e.reply.Hold, h.Notify
		case d.Status == revocation.StatusCancelled:
			d.Notify = h.Notify
		case d.Status == revocation.StatusAlreadyRevoked && e.call.InDoubt:
			// It was revoked by the earlier attempt, as far as anybody can tell.
			d.Status, d.Inferred = revocation.StatusRevoked, true
		case d.Status == revocation.StatusErrorRevoking && !e.reply.Rejected && !policy.Exhausted(attempt):
			d.Kind = revocation.Retry
			d.Delay = max(policy.Delay(attempt), e.reply.RetryAfter)
		}
		decisions = append(decisions, d)
	}
	return decisions
}

type endedCall struct {
	call  revocation.Call
	reply revocation.Reply
}
