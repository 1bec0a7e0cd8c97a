package revocation

import "time"

// TimestampLayout is the documented endpoint's format of NOT_ALLOWED's timestamp. That documentation names
// neither the zone nor the moment: here it is the account's latest plan change, in UTC.
const TimestampLayout = "2006-01-02 15:04:05"

// InviteState is what the rule needs to know of an invite.
type InviteState struct {
	SentAt  time.Time
	Revoked bool
}

// Rule decides what becomes of a request to revoke an invite, given the account's latest plan change (the
// zero time: never). An invite that is revoked stays so, whatever its dates; one sent before the plan change
// may not be revoked; one sent at that very moment or later may.
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
