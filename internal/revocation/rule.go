package revocation

import "time"

// TimestampLayout is the documented endpoint's format of the timestamp with NOT_ALLOWED. Its documentation defines neither
// the time nor its zone: here it is the account's latest plan change, in UTC.
const TimestampLayout = "2006-01-02 15:04:05"

// InviteState is what Rule needs to know about an invite.
type InviteState struct {
	SentAt  time.Time
	Revoked bool
	// Started reports whether the candidate has started or completed the assessment.
	Started bool
}

// AccountState is what Rule needs to know about an account.
type AccountState struct {
	// PlanChangedAt is the account's latest plan change; the zero time means that there was none.
	PlanChangedAt time.Time
	// SpareStarted reports whether the account spares candidates who have started.
	SpareStarted bool
}

// Rule returns the outcome of a request to revoke an invite of an account. The first of these that applies is the outcome:
// ALREADY_REVOKED if the invite is revoked, ALREADY_STARTED if the candidate has started and the account spares such
// candidates, NOT_ALLOWED if the invite was sent before the plan change, and REVOKED.
func Rule(invite InviteState, account AccountState) Status {
	switch {
	case invite.Revoked:
		return StatusAlreadyRevoked
	case account.SpareStarted && invite.Started:
		return StatusAlreadyStarted
	case !account.PlanChangedAt.IsZero() && invite.SentAt.Before(account.PlanChangedAt):
		return StatusNotAllowed
	default:
		return StatusRevoked
	}
}
