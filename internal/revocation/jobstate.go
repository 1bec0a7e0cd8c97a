package revocation

import (
	"slices"
	"time"
)

// JobState is the state of a job.
type JobState string

// A job enters the first of the states from PREVIEWING to QUEUED that applies to it, and moves on in this order.
const (
	// JobReceiving is set at the first byte of an upload. Callers see neither such a job nor its items.
	JobReceiving JobState = "RECEIVING"
	// JobPreviewing: all items are durable, and their outcomes are being predicted.
	JobPreviewing JobState = "PREVIEWING"
	// JobPreviewed: the job waits for a confirmation, until it expires.
	JobPreviewed JobState = "PREVIEWED"
	// JobAwaitingApproval: the job is confirmed and waits for the approval of another key, until it expires.
	JobAwaitingApproval JobState = "AWAITING_APPROVAL"
	// JobScheduled: the job waits for its DueAt.
	JobScheduled JobState = "SCHEDULED"
	// JobQueued: the job has begun. No item was taken up yet.
	JobQueued JobState = "QUEUED"
	// JobRunning is set by the first attempt on an item.
	JobRunning JobState = "RUNNING"
	// JobCancelling is set by a caller on a job that has not ended. Items that are not carried out yet become CANCELLED.
	JobCancelling JobState = "CANCELLING"
	// JobCompleted is set when the last item is final. The job has ended.
	JobCompleted JobState = "COMPLETED"
	// JobCancelled is set when the last item of a job that was cancelled is final. The job has ended.
	JobCancelled JobState = "CANCELLED"
	// JobExpired is set on a job that was not confirmed or approved in time. The job has ended, and its items are deleted.
	JobExpired JobState = "EXPIRED"
	// JobDropped is set on an upload that was interrupted, and on a job whose retention has ended. Callers do not see it
	// any more, and it is deleted in small steps.
	JobDropped JobState = "DROPPED"
)

// JobStates lists the states that callers see.
var JobStates = []JobState{
	JobPreviewing, JobPreviewed, JobAwaitingApproval, JobScheduled, JobQueued, JobRunning, JobCancelling,
	JobCompleted, JobCancelled, JobExpired,
}

// Ended reports whether the job's state will not change any more.
func (j *Job) Ended() bool {
	return j.State == JobCompleted || j.State == JobCancelled || j.State == JobExpired
}

// Waits reports whether the job waits for a person or a time.
func (j *Job) Waits() bool {
	return j.State == JobPreviewed || j.State == JobAwaitingApproval || j.State == JobScheduled
}

// Idle reports whether nothing more happens to the job by itself for now: it has ended, or it waits.
func (j *Job) Idle() bool { return j.Ended() || j.Waits() }

// Readable returns the number of items that are not INVALID.
func (j *Job) Readable() int { return j.Total - j.Counts.Invalid }

// JobChangeKind is a request to change the state of a job, or something that happened to it. That a job runs, completes or is
// cancelled to the end follows from the outcomes of its items, see JobCount.
type JobChangeKind uint8

const (
	// ChangeAccept ends an upload.
	ChangeAccept JobChangeKind = iota + 1
	// ChangePredicted: the outcomes of all items are predicted.
	ChangePredicted
	// ChangeConfirm and ChangeApprove are requests that name the number of items that can be revoked.
	ChangeConfirm
	ChangeApprove
	// ChangeStart is a request to begin a job that waits for its time.
	ChangeStart
	// ChangeCancel is a request to cancel a job that has not ended.
	ChangeCancel
	// ChangeDue: the time of a job may have come.
	ChangeDue
	// ChangeExpire: the time to confirm or approve a job may be over.
	ChangeExpire
)

// JobChange is a JobChangeKind with its values.
type JobChange struct {
	Kind JobChangeKind
	// By is who requested the change: the service itself for ChangePredicted, ChangeDue and ChangeExpire.
	By Actor
	// Count is the number in ChangeConfirm and ChangeApprove.
	Count int
	// OnlyApproval makes ChangeCancel fail with CodeMissingScope unless the job waits for an approval.
	OnlyApproval bool
	// WantsPreview is whether the caller of ChangeAccept wants a preview.
	WantsPreview bool
	// PreviewTTL is how long a preview can be confirmed; for ChangeAccept and ChangePredicted.
	PreviewTTL time.Duration
}

// DefaultPreviewTTL is how long a preview can be confirmed unless it is set otherwise.
const DefaultPreviewTTL = time.Hour

// ApprovalTTL is how long a job can be approved (contract: 24 hours).
const ApprovalTTL = 24 * time.Hour

// JobFacts is what a change of a job's state depends on besides the job. It is read in the transaction that writes the change.
type JobFacts struct {
	// Now is the database's time.
	Now time.Time
	// Settings are those of the job's account, and Upstream is whether it is on an upstream.
	Settings AccountSettings
	Upstream bool
	// Recent counts items of the account's other jobs. The account must be locked if it has limits. Only ChangeAccept and
	// ChangeConfirm need it.
	Recent RecentItems
}

// RecentItems counts items of the account's jobs that were accepted, or confirmed if they have a preview, in the last
// LimitWindow or that are SCHEDULED, except jobs that were cancelled or have expired before they began. Of a job without a
// preview the readable items count, of one with a preview those predicted REVOKED or UNKNOWN. A sum that exceeds the account's
// limit need not be complete.
type RecentItems struct {
	// Unpreviewed counts the items of jobs without a preview, Unapproved those of jobs without an approval.
	Unpreviewed int
	Unapproved  int
}

// NeedsRecent reports whether the change depends on JobFacts.Recent in an account with these settings.
func (k JobChangeKind) NeedsRecent(s AccountSettings) bool {
	return (k == ChangeAccept || k == ChangeConfirm) && (s.ConfirmAbove != nil || s.ApproveAbove != nil)
}

// LimitWindow is how long an accepted or confirmed job counts for the limits of its account.
const LimitWindow = 24 * time.Hour

// changeable lists the states in which a change has an effect. In all other states, a change that only the service makes does
// nothing, and a request fails with CodeWrongState unless it repeats one that has happened.
var changeable = map[JobChangeKind][]JobState{
	ChangeAccept:    {JobReceiving},
	ChangePredicted: {JobPreviewing},
	ChangeConfirm:   {JobPreviewed},
	ChangeApprove:   {JobAwaitingApproval},
	ChangeStart:     {JobScheduled},
	ChangeCancel:    {JobPreviewing, JobPreviewed, JobAwaitingApproval, JobScheduled, JobQueued, JobRunning},
	ChangeDue:       {JobScheduled},
	ChangeExpire:    {JobPreviewed, JobAwaitingApproval},
}

// Change applies c to the job, which a transaction has locked and read, and returns the types of the events that describe it.
// No events mean that the job is unchanged. The error's code is CodeWrongState, CodeCountMismatch, CodeSameKey, CodeJobEnded or
// CodeMissingScope; the job is unchanged then.
func (j *Job) Change(c JobChange, f JobFacts) ([]EventType, error) {
	expired := j.Expire(f.Now)
	if c.Kind == ChangeExpire {
		if !expired {
			return nil, nil
		}
		return []EventType{EventJobExpired}, nil
	}
	if !slices.Contains(changeable[c.Kind], j.State) {
		return nil, j.refuse(c)
	}
	switch c.Kind {
	case ChangeAccept:
		return append([]EventType{EventJobCreated}, j.accept(c, f)...), nil
	case ChangePredicted:
		return j.previewed(c, f), nil
	case ChangeConfirm:
		if c.Count != j.Preview.Predicted.Confirmable() {
			return nil, j.countMismatch()
		}
		return append([]EventType{EventJobConfirmed}, j.confirm(c, f)...), nil
	case ChangeApprove:
		if c.By.Key == j.RequestedBy || c.By.Key == j.ConfirmedBy {
			return nil, &Error{Code: CodeSameKey, Detail: "The key that submitted or confirmed a job cannot approve it: use another key."}
		}
		if c.Count != j.Preview.Predicted.Confirmable() {
			return nil, j.countMismatch()
		}
		j.ApprovedBy, j.ExpiresAt = c.By.Key, time.Time{}
		return append([]EventType{EventJobApproved}, j.schedule(f)...), nil
	case ChangeStart:
		return j.begin(f), nil
	case ChangeCancel:
		if c.OnlyApproval && j.State != JobAwaitingApproval {
			return nil, &Error{Code: CodeMissingScope, Detail: "A key without the scope revoke can cancel only a job that waits for an approval."}
		}
		j.State, j.CancelledBy, j.ExpiresAt = JobCancelling, c.By.Key, time.Time{}
		return []EventType{EventJobCancelRequested}, nil
	default: // ChangeDue
		if j.DueAt.After(f.Now) {
			return nil, nil
		}
		return j.begin(f), nil
	}
}

// accept moves a received job to the first state that applies to it.
func (j *Job) accept(c JobChange, f JobFacts) []EventType {
	preview := c.WantsPreview || exceeds(j.Readable()+f.Recent.Unpreviewed, f.Settings.ConfirmAbove) ||
		exceeds(j.Readable()+f.Recent.Unapproved, f.Settings.ApproveAbove)
	switch {
	case preview && (f.Upstream || j.Readable() == 0):
		// The upstream decides about all items, or there is none to decide about.
		j.Preview = &Preview{Predicted: PredictedCounts{Invalid: j.Counts.Invalid, Unknown: j.Readable()}}
		if !f.Upstream {
			j.Preview.Emails = new(int)
		}
	case preview:
		j.Preview = &Preview{Predicted: PredictedCounts{Invalid: j.Counts.Invalid}, Emails: new(int)}
	}
	if j.Readable() == 0 {
		if preview {
			j.Preview.PredictedAt = f.Now
		}
		j.State, j.FinishedAt = JobCompleted, f.Now
		return []EventType{EventJobFinished}
	}
	switch {
	case preview && f.Upstream:
		return j.previewed(c, f)
	case preview:
		j.State = JobPreviewing
		return nil
	default:
		j.CountedAt = f.Now
		return j.schedule(f)
	}
}

func (j *Job) previewed(c JobChange, f JobFacts) []EventType {
	j.State, j.Preview.PredictedAt, j.ExpiresAt = JobPreviewed, f.Now, f.Now.Add(c.PreviewTTL)
	return []EventType{EventJobPreviewed}
}

func (j *Job) confirm(c JobChange, f JobFacts) []EventType {
	j.ConfirmedBy, j.CountedAt, j.ExpiresAt = c.By.Key, f.Now, time.Time{}
	if exceeds(c.Count+f.Recent.Unapproved, f.Settings.ApproveAbove) {
		j.State, j.ExpiresAt = JobAwaitingApproval, f.Now.Add(ApprovalTTL)
		return []EventType{EventJobApprovalRequested}
	}
	return j.schedule(f)
}

// schedule moves a job that needs no more decisions to SCHEDULED or QUEUED.
func (j *Job) schedule(f JobFacts) []EventType {
	due := f.Now.Add(f.Settings.Hold)
	if j.NotBefore.After(due) {
		due = j.NotBefore
	}
	if !due.After(f.Now) {
		return j.begin(f)
	}
	j.State, j.DueAt = JobScheduled, due
	return nil
}

func (j *Job) begin(f JobFacts) []EventType {
	j.State, j.QueuedAt = JobQueued, f.Now
	return []EventType{EventJobStarted}
}

// refuse returns nil if the change has happened before, or needs no answer, and else why it is refused.
func (j *Job) refuse(c JobChange) error {
	switch c.Kind {
	case ChangePredicted, ChangeDue:
		return nil
	case ChangeConfirm:
		if !j.ConfirmedBy.IsZero() && c.Count == j.Preview.Predicted.Confirmable() {
			return nil
		}
	case ChangeApprove:
		if !j.ApprovedBy.IsZero() && c.Count == j.Preview.Predicted.Confirmable() {
			return nil
		}
	case ChangeCancel:
		if j.State == JobCancelling || j.State == JobCancelled {
			return nil
		}
		return &Error{Code: CodeJobEnded, Detail: "The job has ended.", State: j.State}
	case ChangeAccept:
		return ErrUploadDropped
	}
	return &Error{Code: CodeWrongState, Detail: "The job's state does not allow this.", State: j.State}
}

// ErrUploadDropped is the error of a change to a job whose upload was dropped, because its lease was not renewed or it failed.
var ErrUploadDropped = &Error{Code: CodeJobEnded, Detail: "The upload was given up."}

func (j *Job) countMismatch() error {
	return &Error{
		Code: CodeCountMismatch, Detail: "The count is not the number of items that the preview predicts: look at the preview again.",
		Count: j.Preview.Predicted.Confirmable(),
	}
}

// Expire makes the job EXPIRED if its time is over at now, as every reader must see it, and reports whether it did.
func (j *Job) Expire(now time.Time) bool {
	if j.ExpiresAt.IsZero() || j.ExpiresAt.After(now) {
		return false
	}
	j.State, j.FinishedAt, j.ExpiresAt = JobExpired, j.ExpiresAt, time.Time{}
	j.Counts.Cancelled = j.Readable()
	return true
}

func exceeds(n int, limit *int) bool { return limit != nil && n > *limit }
