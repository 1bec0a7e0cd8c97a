package revocation

import (
	"context"
	"time"
)

// JobStore keeps jobs.
type JobStore interface {
	// BeginJob makes a job that nobody sees, for an upload that is given up after lease without a sign of
	// life. With a key that is bound to a job it makes nothing and gives the binding; with one whose upload
	// still runs, CodeUploadInProgress. A key of an upload that was given up, or of a job that is no more, is
	// free. After the key, a job with RetryOf is checked: CodeNotFound when the account does not have that job any
	// more, CodeRetryRunning while another retry of it has not ended. Of several callers at once one makes its job.
	BeginJob(ctx context.Context, job NewJob, lease time.Duration) (bound *Binding, err error)
	// BoundJob returns what the job's idempotency key is bound to, and nil when a job may begin under it.
	// CodeUploadInProgress as for BeginJob.
	BoundJob(ctx context.Context, job NewJob) (*Binding, error)
	// RenewUpload renews the lease of a job that is being received. CodeJobEnded when it was given up.
	RenewUpload(ctx context.Context, job NewJob, lease time.Duration) error
	// AddItems writes items of a job that is being received, at least one, all or none, and renews the lease. They
	// follow on those that are there. CodeJobEnded when it was given up.
	AddItems(ctx context.Context, job NewJob, items []Item, lease time.Duration) error
	// FinalizeJob makes a received job QUEUED, visible and ready to be carried out, and binds its key, whose age
	// counts from then on; a job without a valid item is COMPLETED at once. CodeJobEnded when it was given up.
	FinalizeJob(ctx context.Context, seal FinalJob) (Job, error)
	// DropJob gives up a job that is being received, and frees its key; any other stays as it is.
	DropJob(ctx context.Context, account string, id ID) error

	// Job gives one by its id; CodeNotFound when the account has none such, or not yet, or not any more.
	Job(ctx context.Context, account string, id ID) (Job, error)
	// Jobs returns a page of an account's jobs, newest first.
	Jobs(ctx context.Context, f JobFilter) (Page[Job], error)
	// Results returns a page of a job's items, by their rows, INVALID ones too. Of a job that is not visible there are
	// none.
	Results(ctx context.Context, f ResultFilter) (Page[Revocation], error)
	// CancelJob makes a job CANCELLING and returns it; one that is CANCELLING or CANCELLED already, as it is.
	// CodeJobEnded when it is COMPLETED, CodeNotFound as Job.
	CancelJob(ctx context.Context, account string, id ID) (Job, error)
}

// JobRoute names what an idempotency key of a job was sent to.
type JobRoute string

// The routes that make jobs.
const (
	RouteJobs  JobRoute = "jobs"
	RouteRetry JobRoute = "retry"
)

// NewJob is a job at its beginning.
type NewJob struct {
	ID          ID
	Account     string
	RequestedBy ID
	RetryOf     ID
	Route       JobRoute
	// IdempotencyKey is empty for none.
	IdempotencyKey string
}

// Item is one row of a job. Row is its number, from 1; rows come in order and without gaps.
type Item struct {
	Row      int
	ReportID int64
	// Notify is nil where the job's default counts.
	Notify          *bool
	ClientReference *string
	// Invalid is why the row cannot be read; empty for one that can. ReportID is 0 then.
	Invalid string
}

// size is about how many bytes of memory the item takes.
func (i *Item) size() int {
	const values = 64 // all but the texts
	n := values + len(i.Invalid)
	if i.ClientReference != nil {
		n += len(*i.ClientReference)
	}
	return n
}

// FinalJob is what is known of a job at the end of its upload.
type FinalJob struct {
	NewJob
	Label *string
	// File is what was recognised of the file that it came in; nil for one that came in another form.
	File *File
	// Notify is the default of items that do not say.
	Notify  bool
	Total   int
	Invalid int
	// Fingerprint is what the idempotency key is bound to.
	Fingerprint Fingerprint
}

// JobFilter selects jobs of one account, newest first.
type JobFilter struct {
	Account string
	// Before is the Next of the page before; zero for the first page.
	Before ID
	Limit  int
	// Scan is how many rows are read at most; 0: PageScan.
	Scan int
}

// ResultFilter selects items of one job, in the order of the input.
type ResultFilter struct {
	Account  string
	Job      ID
	Statuses StatusFilter
	// After is the row of the Next of the page before; 0 for the first page.
	After int
	Limit int
	// Scan is how many rows are read at most; 0: PageScan.
	Scan int
}

// BulkStore carries out jobs.
type BulkStore interface {
	// CarryOutChunk takes up a chunk of one of the account's jobs, of the one that was served longest ago and
	// has one that nobody else holds, and ends its first pass in one transaction, with the job's counters. With
	// cancelled it looks at the jobs that are being cancelled alone, and the items become CANCELLED; otherwise
	// at the others, and the rule decides. An item whose invite somebody else changed meanwhile, and every item
	// of an account on an upstream, gets a work row of its own. The Chunk is zero when there was none; on an
	// error it may name the one that failed, of which nothing was written.
	CarryOutChunk(ctx context.Context, account string, cancelled bool) (Chunk, error)
	// SpillChunk gives all items of a chunk work rows of their own, which are due at once, unless somebody
	// has carried it out or holds it.
	SpillChunk(ctx context.Context, chunk Chunk) error
	// ClaimItems takes at most limit work rows of the account that were left to its turns and are due; with
	// cancelled, those of jobs that are being cancelled, due or not, that nobody has in hand and that are not
	// in doubt. visibilityTimeouts as for DispatchStore.ClaimDue.
	ClaimItems(ctx context.Context, account string, cancelled bool, limit int, graces []time.Duration) ([]DueAttempt, error)
}

// Chunk is a range of a job's rows, and what became of them. What cannot be read need not be in any.
type Chunk struct {
	Account string
	Job     ID
	// First and Last are rows.
	First int
	Last  int
	// Done is what was counted; Spilled are the items that got work rows.
	Done    JobCount
	Spilled int
	// Ended tells that this made the job end.
	Ended bool
	// MoreWork tells that the account's turns may have something else to do than chunks: what is due, and what is
	// cancelled. Without, they had nothing when the chunk was taken up.
	MoreWork bool
}

// IDSkew is how far the clock of a process that makes ids may be ahead of the database's. What is kept for a time is found
// by its id first; the id of a clock that is further ahead is found that much later.
const IDSkew = 2 * time.Hour

// JanitorStore deletes what is not kept any more, in small steps.
type JanitorStore interface {
	// DropSilentUploads gives up jobs whose lease has run out.
	DropSilentUploads(ctx context.Context) (dropped int, err error)
	// ClearDropped deletes at most limit items of jobs that were dropped, or chunks of them where a store keeps them
	// so, with all that belongs to them, and jobs that have none left. It gives how much it deleted; 0 means that
	// nothing is left.
	ClearDropped(ctx context.Context, limit int) (deleted int, err error)
	// Expire drops jobs, and deletes single revocations and idempotency keys, that ended longer ago than retention
	// by the database's clock: at most limit of each kind. It returns how many; 0 means that nothing is left.
	Expire(ctx context.Context, retention time.Duration, limit int) (expired int, err error)
}
