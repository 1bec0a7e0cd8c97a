package revocation

import "time"

// TimestampLayout is the documented endpoint's format of the timestamp with NOT_ALLOWED. Its documentation defines neither
// the time nor its zone: here it is the account's latest plan change, in UTC.
const TimestampLayout = "2006-01-02 15:04:05"

// InviteState is what Rule needs to know about an invite.
type InviteState struct {
	SentAt  time.Time
	Revoked bool
}

// Rule returns the outcome of a request to revoke an invite. planChangedAt is the account's latest plan change; the zero
// time means that there was none. The outcome is ALREADY_REVOKED if the invite is revoked, NOT_ALLOWED if it was sent before
// the plan change, and REVOKED if it was sent at the time of the plan change or later.
func Rule(invite InviteState, planChangedAt time.Time) Status {
	switch {
	case invite.Revoked:
		return StatusAlreadyRevoked
	case !planChangedAt.IsZero() && invite.SentAt.Before(planChangedAt):
		return StatusNotAllowed
	default:
		return StatusRevoked
	}
}
