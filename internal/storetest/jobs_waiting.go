package storetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"rescind/internal/revocation"
)

// sharedReport has no invite. Each chunk of a mixed job names it.
const sharedReport = 999

// mixed returns items of all kinds for a little more than two chunks.
func mixed() []revocation.Item {
	rows := make([]revocation.Item, 2*revocation.ChunkSize+25)
	for i := range rows {
		row := &rows[i]
		*row = item(int64(10_000 + i))
		switch n := i % revocation.ChunkSize; {
		case i%10 == 7:
			*row = invalid(fmt.Sprint("no ", i))
		case n == 22:
			*row = item(sharedReport)
		case n < 6:
			*row = item(int64(i/revocation.ChunkSize*6 + n + 1))
		}
		if i%3 == 0 {
			withItemNotify(i%2 == 0)(row)
		}
		if i%4 == 0 {
			withItemReference(fmt.Sprint("r", i))(row)
		}
		if i%5 == 0 {
			withItemReason(fmt.Sprint("why ", i))(row)
		}
	}
	return rows
}

// pendingItems returns the expected items of a job before any is carried out.
func pendingItems(job revocation.Job, rows []revocation.Item, byDefault bool) []revocation.Revocation {
	all := make([]revocation.Revocation, len(rows))
	for i, row := range rows {
		all[i] = revocation.Revocation{
			ID: job.ID.Item(i + 1), Account: job.Account, ReportID: row.ReportID, Job: job.ID, Notify: byDefault,
			ClientReference: row.ClientReference, Reason: row.Reason, RequestedBy: apiKey, Status: revocation.StatusPending,
		}
		if row.Notify != nil {
			all[i].Notify = *row.Notify
		}
		if row.Invalid != "" {
			all[i].Status, all[i].Final, all[i].Invalid = revocation.StatusInvalid, true, row.Invalid
		}
		setNotification(&all[i])
	}
	return all
}

// applyOutcome gives the items from first up to and not including last their outcomes, unless they are final.
func applyOutcome(all []revocation.Revocation, first, last, attempts int, outcome func(r *revocation.Revocation) revocation.Status) {
	for i := first; i < last; i++ {
		if r := &all[i]; !r.Final {
			r.Status, r.Final, r.Attempts = outcome(r), true, attempts
			setNotification(r)
		}
	}
}

func setNotification(r *revocation.Revocation) {
	var email revocation.NotificationStatus
	if r.Notify && r.Status == revoked {
		email = revocation.NotificationPending
	}
	r.Notification.Status = revocation.ShownNotification(r.Notify, r.Final, r.Status, email)
}

// checkAllReads fails the test unless every kind of read returns the job's items as in want.
func (f *fixture) checkAllReads(job revocation.Job, want []revocation.Revocation) {
	f.Helper()
	only := func(keep func(r *revocation.Revocation) bool) []revocation.Revocation {
		var some []revocation.Revocation
		for i := range want {
			if keep(&want[i]) {
				some = append(some, want[i])
			}
		}
		return some
	}
	for _, limit := range []int{5000, 400} {
		f.allEqualIgnoringTimes("results", want, f.pages(revocation.ResultFilter{Account: job.Account, Job: job.ID, Limit: limit}))
	}
	readable := func(r *revocation.Revocation) bool { return r.Status != revocation.StatusInvalid }
	f.allEqualIgnoringTimes("list", only(readable), f.oldestFirst(revocation.Filter{JobID: job.ID, Limit: 400}))
	f.allEqualIgnoringTimes("list by time", only(readable), f.oldestFirst(revocation.Filter{CreatedAfter: job.CreatedAt().Add(-time.Second), Limit: 1000}))
	for _, status := range revocation.Statuses {
		ofStatus := func(r *revocation.Revocation) bool { return r.Status == status }
		f.allEqualIgnoringTimes("results by status", only(ofStatus),
			f.pages(revocation.ResultFilter{Account: job.Account, Job: job.ID, Statuses: oneStatus(status), Limit: 700}))
		if status != revocation.StatusInvalid {
			f.allEqualIgnoringTimes("list by status", only(ofStatus), f.oldestFirst(revocation.Filter{Statuses: oneStatus(status), Limit: 700}))
		}
	}
	for _, report := range []int64{1, sharedReport, want[len(want)-1].ReportID} {
		ofReport := only(func(r *revocation.Revocation) bool { return r.ReportID == report })
		f.allEqualIgnoringTimes("list by report", ofReport, f.oldestFirst(revocation.Filter{ReportID: report, Limit: 2}))
		f.allEqualIgnoringTimes("list by all", ofReport[:1], f.oldestFirst(revocation.Filter{
			ReportID: report, Statuses: revocation.StatusFilter{ofReport[0].Status}, JobID: job.ID, Before: ofReport[0].ID.Item(ofReport[0].ID.Row() + 1),
			CreatedAfter: job.CreatedAt().Add(-time.Second), CreatedBefore: job.CreatedAt().Add(time.Second), Limit: 2,
		}))
	}
	f.equal("list before it", 0, len(f.list(revocation.Filter{Before: job.ID.Item(1)})))
	f.equal("list of before", 0, len(f.list(revocation.Filter{CreatedBefore: job.CreatedAt()})))
	f.equal("list of after", 0, len(f.list(revocation.Filter{CreatedAfter: job.CreatedAt().Add(time.Millisecond)})))
	for row := 1; row <= len(want); row += 83 {
		f.equalIgnoringTimes("by id", want[row-1], f.read(rowOf(job, row)))
	}
	for _, row := range []int{revocation.ChunkSize - 1, revocation.ChunkSize, revocation.ChunkSize + 1, len(want) - 1, len(want)} {
		f.equalIgnoringTimes("by id", want[row-1], f.read(rowOf(job, row)))
	}
	for _, id := range []revocation.ID{job.ID, job.ID.Item(len(want) + 1), job.ID.Item(-1)} {
		_, err := f.Revocation(f.Context(), job.Account, id)
		f.code(revocation.CodeNotFound, err)
	}
}

// allEqualIgnoringTimes is like equalIgnoringTimes, but compares thousands of revocations quickly if they are equal. A diff
// of that many takes seconds, and so does reflection.
func (f *fixture) allEqualIgnoringTimes(what string, want, got []revocation.Revocation) {
	f.Helper()
	if !slices.EqualFunc(want, got, func(w, g revocation.Revocation) bool {
		if !samePointed(w.ClientReference, g.ClientReference) || !samePointed(w.Reason, g.Reason) ||
			!samePointed(w.CandidateMessage, g.CandidateMessage) || !samePointed(w.LastError, g.LastError) {
			return false
		}
		g.ClientReference, g.Reason, g.CandidateMessage, g.LastError = w.ClientReference, w.Reason, w.CandidateMessage, w.LastError
		g.UpdatedAt, g.CompletedAt = w.UpdatedAt, w.CompletedAt
		return w == g
	}) {
		f.equalIgnoringTimes(what, want, got)
	}
}

// samePointed reports whether both pointers are nil, or both point to equal values.
func samePointed[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// oldestFirst reads a list page by page and returns it in reverse order.
func (f *fixture) oldestFirst(filter revocation.Filter) (all []revocation.Revocation) {
	f.Helper()
	filter.Account = acme
	for {
		page, err := f.Revocations(f.Context(), filter)
		f.must(err)
		if len(page.Entries) > filter.Limit {
			f.Fatalf("a page of %d, want at most %d", len(page.Entries), filter.Limit)
		}
		all = append(all, page.Entries...)
		if page.Next.IsZero() {
			slices.Reverse(all)
			return all
		}
		filter.Before = page.Next
	}
}

var waitingTests = []test{
	{"every read returns the items in every state of their chunk", func(f *fixture) {
		rows := mixed()
		job := f.bulk(rows, notifyAll)
		want := pendingItems(job, rows, true)
		f.checkAllReads(job, want)
		ruleOutcome := func(r *revocation.Revocation) revocation.Status {
			if r.ReportID <= invites {
				return revoked
			}
			return missing
		}
		f.chunk(acme)
		applyOutcome(want, 0, revocation.ChunkSize, 1, ruleOutcome)
		f.checkAllReads(job, want)
		f.must(f.SpillChunk(f.Context(), chunkOf(job, 1)))
		f.checkAllReads(job, want)
		f.cancel(job)
		f.checkAllReads(job, want)
		f.cancelledChunk(acme)
		applyOutcome(want, 2*revocation.ChunkSize, len(want), 0, func(*revocation.Revocation) revocation.Status { return cancelled })
		f.checkAllReads(job, want)
		f.end(job)
		applyOutcome(want, 0, len(want), 0, func(*revocation.Revocation) revocation.Status { return cancelled })
		f.checkAllReads(job, want)
	}},
	{"items of several jobs and single submissions are listed page by page", func(f *fixture) {
		var want []revocation.ID
		var jobs []revocation.Job
		for n := range 3 {
			single := f.submitNew(request(int64(n + 1)))[0]
			job := f.bulk([]revocation.Item{item(1), invalid("no"), item(4), item(5), item(1)})
			f.bulk(items(1), ofZenithJob)
			f.upload(items(1, 4))
			want = append(want, single.ID, job.ID.Item(1), job.ID.Item(3), job.ID.Item(4), job.ID.Item(5))
			jobs = append(jobs, job)
		}
		slices.Reverse(want)
		check := func() {
			for limit := 1; limit <= len(want)+1; limit++ {
				var paged []revocation.ID
				for filter := (revocation.Filter{Limit: limit}); len(paged) < len(want); filter.Before = paged[len(paged)-1] {
					page := f.list(filter)
					f.equal("page", min(limit, len(want)-len(paged)), len(page))
					if paged = append(paged, page...); len(page) == 0 {
						break
					}
				}
				f.equal("pages", want, paged)
			}
			f.equal("by report", 7, len(f.list(revocation.Filter{ReportID: 1})))
			f.equal("the newest by report", jobs[2].ID.Item(5), f.list(revocation.Filter{ReportID: 1, Limit: 1})[0])
		}
		check()
		f.chunk(acme)
		check()
		f.spill(jobs[2])
		check()
	}},
	{"the sizes of batches do not change a job", func(f *fixture) {
		rows := mixed()
		s := newJob()
		f.begin(s)
		for n, rest := 0, rows; len(rest) > 0; n++ {
			batch := rest[:min(len(rest), []int{1, 2, 7, 8, 900}[n%5])]
			f.add(&s, batch...)
			rest = rest[len(batch):]
		}
		job := f.finalize(s)
		f.checkAllReads(job, pendingItems(job, rows, false))
		f.end(job)
		whole := f.bulk(rows, ofZenithJob)
		f.end(whole)
		f.equal("outcomes", f.outcomes(whole), f.outcomes(job))
		f.equal("mails", f.job(whole).Mails, f.job(job).Mails)
	}},
	{"batches that begin with invalid rows or have only those", func(f *fixture) {
		no := invalid("no")
		s := f.upload([]revocation.Item{no, no})
		f.add(&s, no, item(1, withItemNotify(true)))
		f.add(&s, no)
		f.add(&s, item(2, withItemReference("r")), no)
		job := f.finalize(s)
		f.equal("reports", []int64{0, 0, 0, 1, 0, 2, 0}, reportsOf(f.results(job)))
		f.end(job)
		f.equal("reports after it", []int64{0, 0, 0, 1, 0, 2, 0}, reportsOf(f.results(job)))
		f.equal("counts", revocation.Counts{Revoked: 2, Invalid: 5}, f.job(job).Counts)
		f.equal("mails", 1, f.job(job).Mails.Pending)
		f.equal("reference", "r", *f.read(rowOf(job, 6)).ClientReference)
	}},
	{"a reader sees each item once while chunks end", func(f *fixture) {
		ctx, cancel := context.WithTimeout(f.Context(), maxWait)
		defer cancel()
		job := f.bulk(unknown(3*revocation.ChunkSize + 100))
		f.cancelHalfWay(ctx, job)
		f.recount(job)
	}},
}

// readAll reads a list page by page. A read that takes too long on a busy machine is repeated, as callers do.
func readAll(ctx context.Context, read func(last revocation.ID) (revocation.Page[revocation.Revocation], error)) (all []revocation.Revocation, err error) {
	for last := (revocation.ID{}); ; {
		page, err := read(last)
		if revocation.ErrorCode(err) == revocation.CodeUnavailable && err != nil && ctx.Err() == nil {
			continue
		}
		all = append(all, page.Entries...)
		if last = page.Next; err != nil || last.IsZero() {
			return all, err
		}
	}
}

// cancelHalfWay carries out a part of a job, spills a part and cancels the rest, while other goroutines read all of it.
func (f *fixture) cancelHalfWay(ctx context.Context, job revocation.Job) {
	f.Helper()
	over := make(chan struct{})
	_, err := concurrently(4, func(i int) (int, error) {
		if i == 0 {
			defer close(over)
			for _, step := range []func() error{
				func() error { _, err := f.CarryOutChunk(ctx, acme); return err },
				func() error { return f.SpillChunk(ctx, chunkOf(job, 2)) },
				func() error { _, err := f.CarryOutChunk(ctx, acme); return err },
				func() error { _, err := cancelJob(ctx, f.Store, acme, job.ID); return err },
			} {
				if err := step(); err != nil {
					return 0, err
				}
			}
			_, err := f.drainJobs(ctx, acme)
			return 0, err
		}
		for {
			var read []revocation.Revocation
			var err error
			switch i {
			case 1:
				read, err = readAll(ctx, func(after revocation.ID) (revocation.Page[revocation.Revocation], error) {
					return f.Results(ctx, revocation.ResultFilter{Account: acme, Job: job.ID, After: after.Row(), Limit: job.Total})
				})
			case 2:
				read, err = readAll(ctx, func(before revocation.ID) (revocation.Page[revocation.Revocation], error) {
					return f.Revocations(ctx, revocation.Filter{Account: acme, Before: before, Limit: job.Total})
				})
				slices.Reverse(read)
			default:
				for row := 1; row <= job.Total && err == nil; row += job.Total / 10 {
					_, err = f.Revocation(ctx, acme, job.ID.Item(row))
				}
				read = make([]revocation.Revocation, job.Total)
				for n := range read {
					read[n].ID = job.ID.Item(n + 1)
				}
			}
			if err != nil || len(read) != job.Total {
				return 0, fmt.Errorf("reader %d: %d of %d items: %w", i, len(read), job.Total, err)
			}
			for n, r := range read {
				if r.ID != job.ID.Item(n+1) {
					return 0, fmt.Errorf("reader %d: %v instead of row %d", i, r.ID, n+1)
				}
			}
			select {
			case <-over:
				return 0, nil
			default:
			}
		}
	})
	f.must(err)
}

func reportsOf(all []revocation.Revocation) []int64 {
	reports := make([]int64, len(all))
	for i, r := range all {
		reports[i] = r.ReportID
	}
	return reports
}
