package revocation

import (
	"log/slog"
	"time"
)

// Ref names one attempt on one revocation. It is what a task carries. Once that attempt has ended, the Ref is stale, and
// carrying it out does nothing.
type Ref struct {
	Account string
	ID      ID
	// Attempt is the number of attempts that had ended when the Ref was made.
	Attempt int
}

// LockedRevocation is a revocation whose work item a store holds locked for one transaction, with the facts that the
// decision needs.
type LockedRevocation struct {
	Ref
	ReportID int64
	Notify   bool
	// DispatchCount is how often it was enqueued by a dispatcher or claimed by a worker.
	DispatchCount int
	// Job is the job that it is an item of; zero for a single revocation.
	Job ID
	// Cancelled reports whether its job is being cancelled and no call for it is in doubt.
	Cancelled bool
	// InDoubt reports whether an upstream may have carried out a call for it whose outcome is not known.
	InDoubt bool
	// Upstream reports whether the account's invites are revoked at an upstream.
	Upstream bool
	// Invite is nil when the account has no such invite, and when Contended is true.
	Invite *InviteState
	// Contended reports whether another transaction holds the invite locked.
	Contended bool
	// Predicted is what a preview of its job predicted. A store may leave out PredictedRevoked and PredictedUnknown: then, as
	// without a preview, the rule determines the outcome. PredictedTimestamp is the timestamp of PredictedNotAllowed.
	Predicted          Prediction
	PredictedTimestamp string
	// First is the outcome of the original of a PredictedDuplicate; nil if the original is not final.
	First *ItemOutcome
	AccountState
}

// ItemOutcome is how an item of a job ended.
type ItemOutcome struct {
	Status    Status
	Timestamp string
	Failure   *Failure
}

// Duplicate returns how a duplicate of the item ends.
func (o ItemOutcome) Duplicate() ItemOutcome {
	if o.Status == StatusRevoked {
		o.Status = StatusAlreadyRevoked
	}
	return o
}

// DecisionKind is what a store must do with the work item of a revocation. The zero value is Postpone, which is safe for
// every revocation: nothing is recorded but when to try again.
type DecisionKind uint8

const (
	// Postpone means that no attempt was made. The store keeps the status and the number of attempts, clears the claim,
	// records whether a call is in doubt, and makes the work item due after Delay.
	Postpone DecisionKind = iota
	// RouteUpstream means that no attempt was made, because the account has an upstream. The store does as for Postpone,
	// and leaves the work item to the account's tasks from then on.
	RouteUpstream
	// Retry means that the attempt failed and another one follows. The store counts the attempt, records the failure and
	// whether a call is in doubt, clears the claim, and makes the work item due after Delay.
	Retry
	// Final means that Status is the outcome. The store writes it, deletes the work item, marks the invite if MarksInvite
	// is true, and adds the email that EmailStatus states.
	Final
)

// Decision is what one attempt means for one revocation. A store writes it in the transaction that holds the revocation
// locked, together with the job's counters; see CountDecisions.
type Decision struct {
	Ref
	ReportID int64
	// Job is the job that the revocation is an item of; zero for a single revocation.
	Job  ID
	Kind DecisionKind
	// Status is the outcome of a Final decision and StatusErrorRevoking for Retry. It is empty when no attempt was made.
	Status Status
	// Delay is how long the work item waits, by the database's clock. A Final decision has none.
	Delay time.Duration
	// Upstream reports whether the account's upstream answered. It marks its own invites and sends its own emails.
	Upstream bool
	// Inferred reports whether REVOKED was concluded from an earlier call that was in doubt.
	Inferred bool
	// InDoubt reports whether an upstream may have carried out a call whose outcome is not known.
	InDoubt bool
	// Notify reports whether an email was requested, as it stood when the decision was made.
	Notify    bool
	Timestamp string
	Failure   *Failure
	// Unattempted reports that the item ended without an attempt, as a preview of its job predicted.
	Unattempted bool
}

// HasStatus reports whether the decision has a status to show: it is Final or Retry.
func (d *Decision) HasStatus() bool { return d.Kind >= Retry }

// MarksInvite reports whether the store must mark the invite as revoked.
func (d *Decision) MarksInvite() bool { return d.Status == StatusRevoked && !d.Upstream }

// EmailStatus returns the status with which the store must add an email: NotificationPending for one that is to be sent,
// NotificationDelegated for one that the upstream sends, NotificationUnknown for one that an upstream may have sent. It
// is empty when there is no email.
func (d *Decision) EmailStatus() NotificationStatus {
	switch {
	case d.Status != StatusRevoked || !d.Notify:
		return ""
	case d.Upstream:
		return NotificationDelegated
	case d.InDoubt:
		// The upstream that the account has left may have revoked the invite, and sent the email.
		return NotificationUnknown
	default:
		return NotificationPending
	}
}

// DecisionParts are decisions by what a store must write for them. A decision can be in several.
type DecisionParts struct {
	// Singles and Items are Final, about single revocations and about items of jobs. Postponed includes RouteUpstream.
	Singles, Items, Retried, Postponed []Decision
	// Revoked have invites that the store must mark as revoked, and Notified have emails that it must add.
	Revoked, Notified []Decision
}

// PartsOf returns the parts of decisions. Each part is in the order of decisions.
func PartsOf(decisions []Decision) (parts DecisionParts) {
	for _, d := range decisions {
		switch {
		case d.Kind == Retry:
			parts.Retried = append(parts.Retried, d)
		case d.Kind != Final:
			parts.Postponed = append(parts.Postponed, d)
		case d.Job.IsZero():
			parts.Singles = append(parts.Singles, d)
		default:
			parts.Items = append(parts.Items, d)
		}
		if d.MarksInvite() {
			parts.Revoked = append(parts.Revoked, d)
		}
		if d.EmailStatus() != "" {
			parts.Notified = append(parts.Notified, d)
		}
	}
	return parts
}

// Attempts returns how many attempts have ended when a Final or Retry decision is written. Cancelling is not an attempt.
func (d *Decision) Attempts() int {
	if d.Status == StatusCancelled || d.Unattempted {
		return d.Attempt
	}
	return d.Attempt + 1
}

// LogValue contains ids and codes only, and nothing about the candidate.
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

// Decide applies the rule to a batch, which is in the order of its keys, and returns one decision for each. When the batch
// names an invite twice, the second finds it revoked by the first, as if they had been carried out one after the other. A
// contended invite is postponed, and no attempt is counted. An item of a job that is being cancelled is not tried. An item
// that a preview predicted to end in another way than REVOKED ends as predicted, and a duplicate waits for the item that it
// is a duplicate of.
func Decide(work []LockedRevocation) []Decision {
	type invite struct {
		account  string
		reportID int64
	}
	revoked := make(map[invite]bool, len(work))
	type item struct {
		job ID
		invite
	}
	firsts := make(map[item]ItemOutcome)
	decisions := make([]Decision, len(work))
	for i, h := range work {
		d := Decision{Ref: h.Ref, ReportID: h.ReportID, Job: h.Job, Notify: h.Notify, InDoubt: h.InDoubt, Kind: Final}
		key := invite{h.Account, h.ReportID}
		switch {
		case h.Cancelled:
			d.Status = StatusCancelled
		case h.Predicted == PredictedDuplicate:
			first := h.First
			if outcome, ok := firsts[item{h.Job, key}]; ok {
				first = &outcome
			}
			d.AsDuplicate(first, h.DispatchCount)
		case !h.Predicted.CarriedOut():
			d.Status, d.Unattempted = h.Predicted.Status(), true
			if d.Status == StatusNotAllowed {
				d.Timestamp = h.PredictedTimestamp
			}
		case h.Upstream:
			d.Kind = RouteUpstream
		case h.Contended:
			d.Kind = Postpone
			d.Delay = doubled(firstContention, h.DispatchCount, maxContention)
		case h.Invite == nil:
			d.Status = StatusNotFound
		default:
			state := *h.Invite
			state.Revoked = state.Revoked || revoked[key]
			d.Status = Rule(state, h.AccountState)
		}
		switch d.Status {
		case StatusRevoked:
			revoked[key] = true
		case StatusNotAllowed:
			if !d.Unattempted {
				d.Timestamp = h.PlanChangedAt.UTC().Format(TimestampLayout)
			}
		}
		if h.Predicted == PredictedRevoked && d.Kind == Final {
			firsts[item{h.Job, key}] = ItemOutcome{Status: d.Status, Timestamp: d.Timestamp}
		}
		decisions[i] = d
	}
	return decisions
}

// AsDuplicate makes the decision about a duplicate of an item that ended as first, or that is not final if first is nil.
func (d *Decision) AsDuplicate(first *ItemOutcome, dispatchCount int) {
	if first == nil {
		d.Kind, d.Delay = Postpone, doubled(firstContention, dispatchCount, maxContention)
		return
	}
	outcome := first.Duplicate()
	d.Status, d.Timestamp, d.Failure, d.Unattempted = outcome.Status, outcome.Timestamp, outcome.Failure, true
}

// DecideFailed decides about a batch whose attempt failed: another attempt follows, or the outcome is ERROR_REVOKING
// after the last one.
func DecideFailed(work []LockedRevocation, failure Failure, policy RetryPolicy) []Decision {
	decisions := make([]Decision, len(work))
	for i, h := range work {
		ended := h.Attempt + 1
		d := Decision{
			Ref: h.Ref, ReportID: h.ReportID, Job: h.Job, Notify: h.Notify, InDoubt: h.InDoubt,
			Kind: Final, Status: StatusErrorRevoking, Failure: &failure,
		}
		if !policy.Exhausted(ended) {
			d.Kind, d.Delay = Retry, policy.Delay(ended)
		}
		decisions[i] = d
	}
	return decisions
}
