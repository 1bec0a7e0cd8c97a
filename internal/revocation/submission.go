package revocation

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Submission is a request to revoke one invite. Its values are validated: ReportID is positive, and ClientReference and
// IdempotencyKey are valid UTF-8 of at most 255 characters without NUL.
type Submission struct {
	// ID becomes the revocation's id if this submission creates one. The service sets it.
	ID              ID
	Account         string
	ReportID        int64
	Notify          bool
	ClientReference *string
	// Reason and CandidateMessage are nil if the request has none.
	Reason           *string
	CandidateMessage *string
	// NotBefore is the time before which nothing must be done, as the caller sent it; zero for none. A past time counts as
	// now.
	NotBefore time.Time
	// Hold is how long after the submission nothing must be done: the account's.
	Hold        time.Duration
	RequestedBy ID
	// IdempotencyKey is empty if the request has none.
	IdempotencyKey string
}

// Extended reports whether the submission has more than most: a reason, a message, or a time before which nothing must be
// done.
func (s *Submission) Extended() bool {
	return s.Reason != nil || s.CandidateMessage != nil || !s.NotBefore.IsZero() || s.Hold > 0
}

// DueAt returns the effective not_before of a submission at the time now, which is the later one of NotBefore and the end of
// the hold. It returns the zero time if the submission does not wait.
func (s *Submission) DueAt(now time.Time) time.Time {
	due := now.Add(s.Hold)
	if s.NotBefore.After(due) {
		due = s.NotBefore
	}
	if !due.After(now) {
		return time.Time{}
	}
	return due
}

// The flags of a fingerprint: which of the values that a submission need not have are there.
const (
	hasReference = 1 << iota
	hasReason
	hasMessage
	hasNotBefore
)

// Fingerprint returns a hash of the submission's values, with defaults applied. The submission's idempotency key is bound
// to it.
func (s *Submission) Fingerprint() Fingerprint {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 64), uint64(s.ReportID)) //nolint:gosec // it is positive
	b = append(b, 0, 0)
	if s.Notify {
		b[8] = 1
	}
	if s.Reason == nil && s.CandidateMessage == nil && s.NotBefore.IsZero() {
		// The hashes of older versions are the same.
		if s.ClientReference != nil {
			b[9] = hasReference
			b = append(b, *s.ClientReference...)
		}
		return sha256.Sum256(b)
	}
	for flag, text := range map[byte]*string{hasReference: s.ClientReference, hasReason: s.Reason, hasMessage: s.CandidateMessage} {
		if text != nil {
			b[9] |= flag
		}
	}
	for _, text := range []*string{s.ClientReference, s.Reason, s.CandidateMessage} {
		if text != nil {
			b = binary.BigEndian.AppendUint32(b, uint32(len(*text))) //nolint:gosec // it is short
			b = append(b, *text...)
		}
	}
	if !s.NotBefore.IsZero() {
		b[9] |= hasNotBefore
		b = binary.BigEndian.AppendUint64(b, uint64(s.NotBefore.UnixMicro()))
	}
	return sha256.Sum256(b)
}

// Pending returns the revocation that the submission creates, as a poll returns it just after the submission.
func (s *Submission) Pending() Revocation {
	return Revocation{
		ID: s.ID, Account: s.Account, ReportID: s.ReportID, Notify: s.Notify,
		ClientReference: s.ClientReference, Reason: s.Reason, CandidateMessage: s.CandidateMessage, NotBefore: s.NotBefore,
		RequestedBy:  s.RequestedBy,
		Status:       StatusPending,
		Notification: Notification{Status: ShownNotification(s.Notify, false, StatusPending, "")},
		UpdatedAt:    s.ID.Time(),
	}
}

// Locked reports whether another transaction has locked what the submission needs.
func (a Accepted) Locked() bool { return a.Err != nil && ErrorCode(a.Err) == CodeLockTimeout }

// Accepted is the answer to one submission of a flush.
type Accepted struct {
	// ID is the revocation that the submission is now part of.
	ID ID
	// Created reports that this submission created it. Otherwise the submission joined it, or its idempotency key was
	// bound to it.
	Created bool
	// Waits reports that Created is true and the revocation waits for its NotBefore or a hold. No task must be sent for it:
	// the dispatcher finds it when it is due.
	Waits bool
	// Err is not nil if this submission was not accepted, whatever became of the others of the flush. Its code is
	// CodeNotFound, CodeIdempotencyMismatch or CodeLockTimeout.
	Err error
}
