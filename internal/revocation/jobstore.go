package revocation

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

// Size is about how many bytes of memory the item takes.
func (i *Item) Size() int {
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
