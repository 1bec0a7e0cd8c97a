package revocation

import "time"

// Revocation is one request to revoke one invite, with its outcome.
type Revocation struct {
	ID      ID
	Account string
	// ReportID is 0 with INVALID alone.
	ReportID int64
	// Job is the one that it is an item of; zero for one that was submitted singly.
	Job ID
	// Notify tells whether the candidate is to be told by email.
	Notify bool
	// ClientReference comes back as the caller sent it; nil when there was none.
	ClientReference *string
	// RequestedBy is the API key that asked first.
	RequestedBy ID

	Status Status
	// Final tells that Status will not change any more; only ERROR_REVOKING can be either.
	Final bool
	// Invalid is why a row with the status INVALID cannot be read; empty otherwise.
	Invalid string
	// Inferred tells that REVOKED was concluded: the upstream said that the invite is revoked already, after an
	// attempt of ours that may have done it.
	Inferred bool
	// Timestamp is NOT_ALLOWED's, in the documented format; empty otherwise.
	Timestamp string
	// Attempts counts those that have ended.
	Attempts int
	// NextAttemptAt is when the next attempt becomes due; zero when none is.
	NextAttemptAt time.Time
	// LastError tells why the last attempt failed; nil unless Status is ERROR_REVOKING.
	LastError    *Failure
	Notification Notification

	UpdatedAt   time.Time
	CompletedAt time.Time
}

// Notification is the state of the email about a revocation, as callers see it.
type Notification struct {
	Status   NotificationStatus
	Attempts int
}

// CreatedAt is when the request was accepted, in UTC, to the millisecond.
func (r *Revocation) CreatedAt() time.Time { return r.ID.Time() }

// Message is the sentence that goes with the status.
func (r *Revocation) Message() string {
	if r.Status == StatusInvalid {
		return r.Invalid
	}
	return r.Status.Message()
}

// HasOutcome tells that at least one attempt has ended, which is what a submission waits for.
func (r *Revocation) HasOutcome() bool { return r.Status != StatusPending }

// ShownNotification derives what callers see of the email from what is stored: row is the notification's
// own status, empty while there is no such row. Every store uses it, so that all tell the same.
func ShownNotification(notify, final bool, status Status, row NotificationStatus) NotificationStatus {
	switch {
	case row == NotificationClaimed || row == NotificationCommitted:
		return NotificationPending
	case row != "":
		return row
	case !notify:
		return NotificationNotRequested
	case final && status != StatusRevoked:
		return NotificationSkipped
	default:
		return NotificationPending
	}
}

// Filter selects revocations of one account, newest first.
type Filter struct {
	Account string
	// ReportID and JobID select when they are not zero.
	ReportID int64
	Statuses StatusFilter
	JobID    ID
	// CreatedAfter and CreatedBefore are both excluded; zero: no bound.
	CreatedAfter  time.Time
	CreatedBefore time.Time
	// Before is the Next of the page before; zero for the first page.
	Before ID
	Limit  int
	// Scan is how many rows are read at most; 0: PageScan.
	Scan int
}

// IDRange is what the filter says of ids, since creation is part of them: low <= id < high. A zero high is
// no bound.
func (f Filter) IDRange() (low, high ID) {
	if !f.CreatedAfter.IsZero() {
		low = FirstIDAt(f.CreatedAfter.Add(time.Millisecond))
	}
	high = f.Before
	if !f.CreatedBefore.IsZero() {
		before := FirstIDAt(f.CreatedBefore.Add(time.Millisecond - 1))
		if before.IsZero() { // which would be no bound
			before = ID{15: 1}
		}
		if high.IsZero() || before.Compare(high) < 0 {
			high = before
		}
	}
	return low, high
}
