package revocation

import "time"

// JobRoute is the route that an idempotency key of a job was sent to.
type JobRoute string

// The routes that create jobs.
const (
	RouteJobs  JobRoute = "jobs"
	RouteRetry JobRoute = "retry"
)

// NewJob is what is known of a job when its upload begins.
type NewJob struct {
	ID          ID
	Account     string
	RequestedBy ID
	RetryOf     ID
	Route       JobRoute
	// IdempotencyKey is empty if the request has none.
	IdempotencyKey string
}

// Item is one row of a job. Row is its number, from 1. Rows are added in order and without gaps.
type Item struct {
	Row      int
	ReportID int64
	// Notify is nil if the job's default applies.
	Notify          *bool
	ClientReference *string
	// Reason is nil if the job's applies.
	Reason *string
	// Invalid is why the row cannot be read; empty if it can. If it is not empty, ReportID is 0.
	Invalid string
}

// Size returns about how many bytes of memory the item uses.
func (i *Item) Size() int {
	const values = 64 // all fields but the strings
	n := values + len(i.Invalid)
	if i.ClientReference != nil {
		n += len(*i.ClientReference)
	}
	if i.Reason != nil {
		n += len(*i.Reason)
	}
	return n
}

// FinalJob is what is known of a job at the end of its upload.
type FinalJob struct {
	NewJob
	JobValues
	Total   int
	Invalid int
	// Fingerprint is what the idempotency key is bound to.
	Fingerprint Fingerprint
}

// Received returns the job as it is before ChangeAccept, in the state in which the store has found it.
func (f *FinalJob) Received(state JobState) Job {
	return Job{
		ID: f.ID, Account: f.Account, Label: f.Label, Reason: f.Reason, CandidateMessage: f.CandidateMessage,
		NotBefore: f.NotBefore, State: state, File: f.File, RetryOf: f.RetryOf, RequestedBy: f.RequestedBy,
		Total: f.Total, Counts: Counts{Invalid: f.Invalid},
	}
}

// Accept returns the change that ends the upload.
func (f *FinalJob) Accept() JobChange {
	return JobChange{Kind: ChangeAccept, By: ByKey(f.RequestedBy), WantsPreview: f.Preview, PreviewTTL: f.PreviewTTL}
}

// JobValues are the values of a job as a whole.
type JobValues struct {
	// Label, Reason and CandidateMessage are nil if the job has none.
	Label            *string
	Reason           *string
	CandidateMessage *string
	// NotBefore is the time before which nothing must be done; zero for none. A past time counts as now.
	NotBefore time.Time
	// Preview reports whether the job waits for a confirmation of what it would do.
	Preview bool
	// PreviewTTL is how long the preview can be confirmed. It is used if the preview is complete at once.
	PreviewTTL time.Duration
	// File describes the file that the job was uploaded in; nil if it was uploaded in another form.
	File *File
	// Notify is the default for items whose Notify is nil.
	Notify bool
}

// JobFilter selects jobs of one account, newest first.
type JobFilter struct {
	Account string
	// States is empty for all.
	States []JobState
	// Before is the Next of the previous page; zero for the first page.
	Before ID
	Limit  int
	// Scan is the largest number of rows to read; 0 means PageScan.
	Scan int
}

// ResultFilter selects items of one job, in the order of the input.
type ResultFilter struct {
	Account  string
	Job      ID
	Statuses StatusFilter
	// Predicted selects by the predicted outcome. Empty selects all.
	Predicted []Status
	// After is the row of the previous page's Next; 0 for the first page.
	After int
	Limit int
	// Scan is the largest number of rows to read; 0 means PageScan.
	Scan int
}
