package revocation

import "time"

// Revocation is one request to revoke one invite, with its outcome.
type Revocation struct {
	ID      ID
	Account string
	// ReportID is at least 1, and 0 if Status is INVALID.
	ReportID int64
	// Job is the job that it is an item of; zero for a single revocation.
	Job ID
	// Notify reports whether the candidate is to be notified by email.
	Notify bool
	// ClientReference is returned as the caller sent it; nil if there was none.
	ClientReference *string
	// Reason is why the caller wants it, for other callers; nil if none was given. An item without a reason of its own has
	// its job's.
	Reason *string
	// CandidateMessage is plain text for the email; nil if there is none. An item has its job's.
	CandidateMessage *string
	// NotBefore is the time before which the first request did not want it carried out; zero if it gave none. An item has
	// its job's.
	NotBefore time.Time
	// RequestedBy is the API key of the first request for it.
	RequestedBy ID
	// Predicted is the outcome that the preview of its job predicted: a final status or StatusUnknown. It is empty
	// without a preview, and while the preview is being made.
	Predicted Status
	// Unconfirmed reports whether its job has a preview that nobody has confirmed.
	Unconfirmed bool

	Status Status
	// Final reports that Status will not change any more. ERROR_REVOKING can be final or not.
	Final bool
	// Invalid is why the row cannot be read if Status is INVALID; empty otherwise.
	Invalid string
	// Inferred reports that REVOKED was inferred: the upstream answered that the invite is already revoked, and an
	// earlier attempt of this service may have revoked it.
	Inferred bool
	// Timestamp is set if Status is NOT_ALLOWED, in TimestampLayout or as the upstream sent it; empty otherwise.
	Timestamp string
	// Attempts counts the attempts that have ended.
	Attempts int
	// NextAttemptAt is when the next attempt is due, or the first one that waits for NotBefore or a hold; zero if there is
	// none.
	NextAttemptAt time.Time
	// LastError is why the last attempt failed; nil unless Status is ERROR_REVOKING.
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

// CreatedAt returns when the request was accepted, in UTC, to the millisecond.
func (r *Revocation) CreatedAt() time.Time { return r.ID.Time() }

// Message returns the sentence that describes the status.
func (r *Revocation) Message() string {
	switch {
	case r.Status == StatusInvalid:
		return r.Invalid
	case r.Status == StatusPending && r.Unconfirmed:
		return messageUnconfirmed
	case r.Status == StatusCancelled && r.Job.IsZero():
		return messageSingleCancelled
	default:
		return r.Status.Message()
	}
}

// SingleChanged returns the error of a request to cancel or start the revocation, which was read after the request was
// carried out. A final revocation must have the status that the request gives; empty for none.
func (r *Revocation) SingleChanged(status Status) error {
	switch {
	case !r.Job.IsZero():
		return &Error{Code: CodeNotSupported}
	case r.Final && r.Status != status:
		return &Error{Code: CodeAlreadyFinal}
	default:
		return nil
	}
}

// HasOutcome reports whether at least one attempt has ended. A submission waits for that.
func (r *Revocation) HasOutcome() bool { return r.Status != StatusPending }

// ShownNotification returns the email's status as callers see it. row is the stored status of the notification, empty if
// there is no such row. Both stores use it, so they return the same.
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
	// ReportID and JobID select only if they are not zero.
	ReportID int64
	Statuses StatusFilter
	// Notifications selects by the status of the email, as callers see it. Empty selects all.
	Notifications []NotificationStatus
	JobID         ID
	// CreatedAfter includes its moment, and CreatedBefore does not; zero means no bound.
	CreatedAfter  time.Time
	CreatedBefore time.Time
	// Before is the Next of the previous page; zero for the first page.
	Before ID
	Limit  int
	// Scan is the largest number of rows to read; 0 means PageScan.
	Scan int
}

// IDRange returns the range of ids that the filter's times and Before select: low <= id < high. A zero high is no bound.
func (f Filter) IDRange() (low, high ID) {
	if !f.CreatedAfter.IsZero() {
		low = FirstIDAt(f.CreatedAfter.Add(time.Millisecond - 1))
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
