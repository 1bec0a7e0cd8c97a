package worker

import (
	"time"

	"rescind/internal/revocation"
)

// decideCalled returns decisions for calls that have ended. It makes no decision about a row for which another worker has
// begun a call since.
func decideCalled(locked []revocation.LockedRevocation, ended map[revocation.Ref]endedCall, policy revocation.RetryPolicy) []revocation.Decision {
	decisions := make([]revocation.Decision, 0, len(locked))
	for _, r := range locked {
		e, ok := ended[r.Ref]
		if !ok || e.call.DispatchCount != r.DispatchCount {
			continue
		}
		d := revocation.Decision{
			Ref: r.Ref, ReportID: r.ReportID, Job: r.Job, Status: e.reply.Status, Timestamp: e.reply.Timestamp,
			// The value that the upstream was called with; the stored one may have changed since.
			Notify: e.call.Notify,
			Kind:   revocation.Final, Upstream: true, Failure: e.reply.Failure,
			InDoubt: e.call.InDoubt || e.reply.InDoubt,
		}
		attempt := r.Attempt + 1
		switch {
		case d.Status == "" && e.call.Duplicate:
			d.Upstream, d.Notify = false, r.Notify
			d.AsDuplicate(e.call.First, r.DispatchCount)
		case e.sameReport:
			d.Kind, d.Delay, d.Notify = revocation.Postpone, sameReportDelay, r.Notify
		case d.Status == "":
			d.Kind, d.Delay, d.Notify = revocation.Postpone, e.reply.Hold, r.Notify
		case d.Status == revocation.StatusCancelled:
			d.Notify = r.Notify
		case d.Status == revocation.StatusAlreadyRevoked && e.call.InDoubt:
			// Most likely the earlier attempt revoked it.
			d.Status, d.Inferred = revocation.StatusRevoked, true
		case d.Status == revocation.StatusErrorRevoking && !e.reply.Rejected && !policy.Exhausted(attempt):
			d.Kind = revocation.Retry
			d.Delay = max(policy.Delay(attempt), e.reply.RetryAfter)
		}
		decisions = append(decisions, d)
	}
	return decisions
}

// endedCall is a call that has ended, with its reply. The reply's Status is empty if the call was not made.
type endedCall struct {
	call  revocation.Call
	reply revocation.Reply
	// sameReport reports that the call was not made because another one for its report was being made.
	sameReport bool
}

// sameReportDelay is when a call follows that was not made because of another one for its report: about as long as a call takes.
const sameReportDelay = 200 * time.Millisecond
