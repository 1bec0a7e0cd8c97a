package storetest

import (
	"context"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// uploadBatchSize is the number of items that the fixture writes in one batch.
const uploadBatchSize = 5000

// item returns a valid item, changed by the functions with.
func item(reportID int64, with ...func(*revocation.Item)) revocation.Item {
	i := revocation.Item{ReportID: reportID}
	for _, change := range with {
		change(&i)
	}
	return i
}

// invalid returns an item that is refused because of why.
func invalid(why string) revocation.Item { return revocation.Item{Invalid: why} }

func withItemNotify(notify bool) func(*revocation.Item) {
	return func(i *revocation.Item) { i.Notify = &notify }
}

func withItemReference(reference string) func(*revocation.Item) {
	return func(i *revocation.Item) { i.ClientReference = &reference }
}

func withItemReason(reason string) func(*revocation.Item) {
	return func(i *revocation.Item) { i.Reason = &reason }
}

// items returns valid items with the given report ids and no other values.
func items(reportIDs ...int64) []revocation.Item {
	all := make([]revocation.Item, len(reportIDs))
	for i, report := range reportIDs {
		all[i] = item(report)
	}
	return all
}

// unknown returns n items whose invites do not exist.
func unknown(n int) []revocation.Item {
	all := make([]revocation.Item, n)
	for i := range all {
		all[i] = item(int64(invites + 1 + i))
	}
	return all
}

func notifyAll(s *revocation.FinalJob) { s.Notify = true }

func ofZenithJob(s *revocation.FinalJob) { s.Account = zenith }

func withJobKey(key string) func(*revocation.FinalJob) {
	return func(s *revocation.FinalJob) { s.IdempotencyKey = key }
}

// newJob returns a job of acme's without items, changed by the functions with.
func newJob(with ...func(*revocation.FinalJob)) revocation.FinalJob {
	s := revocation.FinalJob{Fingerprint: revocation.Fingerprint{7}}
	s.NewJob = revocation.NewJob{
		ID: revocation.JobID(uuidv7.New()), Account: acme, RequestedBy: apiKey, Route: revocation.RouteJobs,
	}
	for _, change := range with {
		change(&s)
	}
	return s
}

// begin begins the upload of a job. Its key must be free.
func (f *fixture) begin(s revocation.FinalJob) {
	f.Helper()
	bound, err := f.BeginJob(f.Context(), s.NewJob, time.Hour)
	f.must(err)
	if bound != nil {
		f.Fatalf("bound to %v, want a new job", bound.Target)
	}
}

// add writes items as the next rows of the job, and counts them in s.
func (f *fixture) add(s *revocation.FinalJob, items ...revocation.Item) {
	f.Helper()
	for len(items) > 0 {
		batch := append([]revocation.Item(nil), items[:min(len(items), uploadBatchSize)]...)
		for i := range batch {
			batch[i].Row = s.Total + i + 1
		}
		f.must(f.AddItems(f.Context(), s.NewJob, batch, time.Hour))
		s.Total += len(batch)
		for _, i := range batch {
			if i.Invalid != "" {
				s.Invalid++
			}
		}
		items = items[len(batch):]
	}
}

// upload writes a job but does not finalize it.
func (f *fixture) upload(items []revocation.Item, with ...func(*revocation.FinalJob)) revocation.FinalJob {
	f.Helper()
	s := newJob(with...)
	f.begin(s)
	f.add(&s, items...)
	return s
}

func (f *fixture) finalize(s revocation.FinalJob) revocation.Job {
	f.Helper()
	job, err := f.FinalizeJob(f.Context(), s)
	f.must(err)
	return job
}

// bulk uploads and finalizes a job.
func (f *fixture) bulk(items []revocation.Item, with ...func(*revocation.FinalJob)) revocation.Job {
	f.Helper()
	return f.finalize(f.upload(items, with...))
}

// cancelJob requests that a job is cancelled.
func cancelJob(ctx context.Context, store Store, account string, id revocation.ID) (revocation.Job, error) {
	return store.ChangeJob(ctx, account, id, revocation.JobChange{Kind: revocation.ChangeCancel, By: revocation.ByKey(apiKey)})
}

// rowOf returns the first attempt on an item.
func rowOf(job revocation.Job, row int) revocation.Ref {
	return revocation.Ref{Account: job.Account, ID: job.ID.Item(row)}
}

// job reads the job, and fails the test if its numbers are inconsistent.
func (f *fixture) job(job revocation.Job) *revocation.Job {
	f.Helper()
	j, err := f.Job(f.Context(), job.Account, job.ID)
	f.must(err)
	f.checkNumbers(&j)
	return &j
}

// checkNumbers fails the test if the numbers of a job are inconsistent.
func (f *fixture) checkNumbers(j *revocation.Job) {
	f.Helper()
	if j.Pending() < 0 || j.Retrying < 0 || j.Mails.Pending < 0 || j.Ended() != (j.Counts.Sum() == j.Total) {
		f.Errorf("%s with %d items, %d retrying, %+v and %+v", j.State, j.Total, j.Retrying, j.Counts, j.Mails)
	}
	if j.ReadAt.IsZero() || j.SinceDone < 0 || j.SinceDone > j.Counts.Sum() || j.Since.After(j.ReadAt) {
		f.Errorf("read at %v: %d of %d were final at %v", j.ReadAt, j.SinceDone, j.Counts.Sum(), j.Since)
	}
	if j.Ended() == j.FinishedAt.IsZero() || j.State == revocation.JobRunning && j.StartedAt.IsZero() ||
		j.State == revocation.JobQueued && !j.StartedAt.IsZero() {
		f.Errorf("%s, started at %v, finished at %v", j.State, j.StartedAt, j.FinishedAt)
	}
}

// state fails the test unless the job is in the state want.
func (f *fixture) state(job revocation.Job, want revocation.JobState) {
	f.Helper()
	if j := f.job(job); j.State != want {
		f.Errorf("state %s, want %s: %+v", j.State, want, j)
	}
}

// results reads all items of a job, page by page.
func (f *fixture) results(job revocation.Job) []revocation.Revocation {
	f.Helper()
	return f.pages(revocation.ResultFilter{Account: job.Account, Job: job.ID, Limit: uploadBatchSize})
}

func (f *fixture) pages(filter revocation.ResultFilter) (all []revocation.Revocation) {
	f.Helper()
	for {
		page, err := f.Results(f.Context(), filter)
		f.must(err)
		if len(page.Entries) > filter.Limit {
			f.Fatalf("a page of %d, want at most %d", len(page.Entries), filter.Limit)
		}
		all = append(all, page.Entries...)
		if page.Next.IsZero() {
			return all
		}
		if row := page.Next.Row(); row > filter.After {
			filter.After = row
		} else {
			f.Fatalf("a page after row %d ends with row %d", filter.After, row)
		}
	}
}

// outcomes returns the statuses of a job's items in the order of their rows.
func (f *fixture) outcomes(job revocation.Job) []revocation.Status {
	f.Helper()
	results := f.results(job)
	all := make([]revocation.Status, len(results))
	for i, r := range results {
		all[i] = r.Status
	}
	return all
}

// recount fails the test unless the job's counters equal the count of its items.
func (f *fixture) recount(job revocation.Job) {
	f.Helper()
	var counts revocation.Counts
	var total, retrying int
	for _, r := range f.results(job) {
		total++
		switch {
		case r.Final:
			*counts.Of(r.Status)++
		case r.Attempts > 0:
			retrying++
		}
	}
	j := f.job(job)
	f.equal("counts", counts, j.Counts)
	f.equal("total and retrying", []int{total, retrying}, []int{j.Total, j.Retrying})
}
