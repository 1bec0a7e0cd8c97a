package revocation

import (
	"crypto/sha256"
	"encoding/binary"
)

// Submission is a request to revoke one invite. Its values have been validated: ReportID is positive,
// ClientReference and IdempotencyKey are valid UTF-8 of at most 255 characters without NUL.
type Submission struct {
	// ID is the revocation's if a new one is made of this submission. The service sets it.
	ID              ID
	Account         string
	ReportID        int64
	Notify          bool
	ClientReference *string
	RequestedBy     ID
	// IdempotencyKey is empty for none.
	IdempotencyKey string
}

// Fingerprint is equal for submissions with equal values, defaults applied: what an idempotency key is
// bound to.
func (s *Submission) Fingerprint() Fingerprint {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 64), uint64(s.ReportID)) //nolint:gosec // it is positive
	b = append(b, 0, 0)
	if s.Notify {
		b[8] = 1
	}
	if s.ClientReference != nil {
		b[9] = 1
		b = append(b, *s.ClientReference...)
	}
	return sha256.Sum256(b)
}

// Pending is what a poll would tell of a submission that was just accepted.
func (s *Submission) Pending() Revocation {
	return Revocation{
		ID: s.ID, Account: s.Account, ReportID: s.ReportID, Notify: s.Notify,
		ClientReference: s.ClientReference, RequestedBy: s.RequestedBy,
		Status:       StatusPending,
		Notification: Notification{Status: ShownNotification(s.Notify, false, StatusPending, "")},
		UpdatedAt:    s.ID.Time(),
	}
}

// Locked reports whether another transaction has locked what the submission needs.
func (a Accepted) Locked() bool { return a.Err != nil && ErrorCode(a.Err) == CodeLockTimeout }

// Accepted is what became of one submission of a flush.
type Accepted struct {
	// ID is the revocation that the submission is now part of.
	ID ID
	// Created tells that this submission made it; otherwise it was joined or replayed.
	Created bool
	// Err is CodeNotFound, CodeIdempotencyMismatch or CodeLockTimeout when this submission, alone of its flush, was
	// not accepted.
	Err error
}
