package revocation

import (
	"log/slog"
	"time"
)

// Ref names one attempt on one revocation: what a task carries. An attempt that has been made in the
// meantime makes the Ref stale, and carrying out a stale Ref does nothing.
type Ref struct {
	Account string
	ID      ID
	// Attempt counts the attempts that had ended when the Ref was made.
	Attempt int
}

// LockedRevocation is a revocation whose work row, and mostly whose invite, a store holds locked for the length of one
// transaction, with the facts that the decision needs.
type LockedRevocation struct {
	Ref
	ReportID int64
	Notify   bool
	// DispatchCount counts how often it was enqueued.
	DispatchCount int
	// Job is the one that it is an item of; zero for one that was submitted singly.
	Job ID
	// Cancelled tells that the job is being cancelled, and no call of this item is in doubt.
	Cancelled bool
	// InDoubt tells that a call to an upstream may have been carried out without our knowing.
	InDoubt bool
	// Upstream tells that the account's invites are revoked at an upstream.
	Upstream bool
	// Invite is nil when the account has no such invite.
	Invite *InviteState
	// Contended tells that another transaction holds the invite; Invite says nothing then.
	Contended bool
	// PlanChangedAt is the account's; zero: never.
	PlanChangedAt time.Time
}

// Decision is what becomes of one Held revocation: a final status, another attempt, or no attempt at all.
type Decision struct {
	Ref
	ReportID int64
	// Job is the one that it is an item of; zero for one that was submitted singly.
	Job ID
	// Status is empty when the attempt was not made; its work row then becomes due after Delay.
	Status Status
	// Final deletes the work row; otherwise it becomes due after Delay, as the database's clock has it.
	Final bool
	Delay time.Duration
	// Revokes tells the store to mark the invite.
	Revokes bool
	// Email is the state in which the store adds the notification: PENDING for an email that is to be sent from here,
	// DELEGATED for one that the upstream sends, UNKNOWN for one that an upstream may have sent. Empty for none.
	Email NotificationStatus
	// RouteUpstream leaves the work row to the account's turns at its upstream.
	RouteUpstream bool
	// Inferred tells that REVOKED was concluded; InDoubt, that a call to the upstream may have been carried out
	// without our knowing.
	Inferred bool
	InDoubt  bool
	// Notify is the wish for an email, as it stood at the end.
	Notify    bool
	Timestamp string
	Failure   *Failure
}

// Attempts is how many attempts have ended when the decision is written: being cancelled is none.
func (d *Decision) Attempts() int {
	if d.Status == StatusCancelled {
		return d.Attempt
	}
	return d.Attempt + 1
}

// LogValue names the decision by its ids and codes, never by anything of the candidate.
func (d Decision) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("account_id", d.Account), slog.String("revocation_id", d.ID.String()),
		slog.String("status", string(d.Status)), slog.Int("attempt", d.Attempts()),
	}
	if d.Failure != nil {
		attrs = append(attrs, slog.String("error", string(d.Failure.Code)))
	}
	return slog.GroupValue(attrs...)
}

const (
	firstContention = 200 * time.Millisecond
	maxContention   = 2 * time.Second
)

// Decide applies the rule to a batch. held is in the order of its keys; when it names an invite twice, the
// second finds it revoked by the first, as if they had come one after the other. A contended invite is no
// attempt: it comes again shortly and holds up nobody. An item of a job that is being cancelled is not tried. What is
// in doubt is revoked, but its email is not sent: an upstream may have sent it.
func Decide(held []LockedRevocation) []Decision {
	type invite struct {
		account  string
		reportID int64
	}
	revoked := make(map[invite]bool, len(held))
	decisions := make([]Decision, len(held))
	for i, h := range held {
		d := Decision{Ref: h.Ref, ReportID: h.ReportID, Job: h.Job, Notify: h.Notify, InDoubt: h.InDoubt, Final: true}
		key := invite{h.Account, h.ReportID}
		switch {
		case h.Cancelled:
			d.Status = StatusCancelled
		case h.Upstream:
			d.Final, d.RouteUpstream = false, true
		case h.Contended:
			d.Final = false
			d.Delay = doubled(firstContention, h.DispatchCount, maxContention)
		case h.Invite == nil:
			d.Status = StatusNotFound
		default:
			state := *h.Invite
			state.Revoked = state.Revoked || revoked[key]
			d.Status = Rule(state, h.PlanChangedAt)
		}
		switch d.Status {
		case StatusRevoked:
			revoked[key] = true
			d.Revokes = true
			switch {
			case !h.Notify:
			case h.InDoubt:
				// The upstream that the account has left may have revoked the invite, and sent the email.
				d.Email = NotificationUnknown
			default:
				d.Email = NotificationPending
			}
		case StatusNotAllowed:
			d.Timestamp = h.PlanChangedAt.UTC().Format(TimestampLayout)
		}
		decisions[i] = d
	}
	return decisions
}

// DecideFailed turns a failed attempt on a batch into another one later, or into the final ERROR_REVOKING
// after the last.
func DecideFailed(held []LockedRevocation, failure Failure, policy RetryPolicy) []Decision {
	decisions := make([]Decision, len(held))
	for i, h := range held {
		ended := h.Attempt + 1
		d := Decision{
			Ref: h.Ref, ReportID: h.ReportID, Job: h.Job, Notify: h.Notify, InDoubt: h.InDoubt,
			Status: StatusErrorRevoking, Failure: &failure, Final: policy.Exhausted(ended),
		}
		if !d.Final {
			d.Delay = policy.Delay(ended)
		}
		decisions[i] = d
	}
	return decisions
}
