package storetest

import (
	"fmt"
	"strings"
	"time"

	"rescind/internal/revocation"
)

// A page may end because of the number of rows read. Then it is short or empty, and the list continues after it.
var pageTests = []test{
	{"rare revocations are found after short pages", func(f *fixture) {
		rare := f.submitNew(request(1))[0]
		f.failBy(revocation.RetryPolicy{MaxAttempts: 1}, rare)
		job := f.bulk(append(items(1), unknown(40)...))
		f.end(job)
		filter := revocation.Filter{Account: acme, Statuses: revocation.StatusFilter{revocation.StatusErrorRevoking}, Limit: 5, Scan: 30}
		page, err := f.Revocations(f.Context(), filter)
		f.must(err)
		f.equal("found", 0, len(page.Entries))
		f.equal("the last that was read", job.ID.Item(12), page.Next)
		filter.Before = page.Next
		page, err = f.Revocations(f.Context(), filter)
		f.must(err)
		f.equal("found", []revocation.ID{rare.ID}, idsOf(page))
		f.equal("the end", revocation.ID{}, page.Next)

		results := revocation.ResultFilter{Account: acme, Job: job.ID, Statuses: revocation.StatusFilter{revoked}, After: 1, Limit: 5, Scan: 30}
		page, err = f.Results(f.Context(), results)
		f.must(err)
		f.equal("found", 0, len(page.Entries))
		f.equal("the last that was read", job.ID.Item(31), page.Next)
		results.After = page.Next.Row()
		page, err = f.Results(f.Context(), results)
		f.must(err)
		f.equal("found", 0, len(page.Entries))
		f.equal("the end", revocation.ID{}, page.Next)
	}},
	{"lists do not depend on the number of rows that a page reads", func(f *fixture) {
		jobs := f.pageWorld()
		all := f.everyPage(revocation.Filter{})
		for _, statuses := range someStatuses() {
			for _, report := range []int64{0, 1, 3, invites + 1} {
				for _, job := range append([]revocation.ID{{}}, jobs...) {
					filter := revocation.Filter{Statuses: statuses, ReportID: report, JobID: job}
					want := []revocation.ID{}
					for _, r := range all {
						if statuses.Includes(r.Status) && (report == 0 || r.ReportID == report) && (job.IsZero() || r.Job == job) {
							want = append(want, r.ID)
						}
					}
					for _, page := range pageSizes {
						filter.Scan, filter.Limit = page.scan, page.limit
						got := []revocation.ID{}
						for _, r := range f.everyPage(filter) {
							got = append(got, r.ID)
						}
						f.equal(fmt.Sprint(statuses, " of ", job), want, got)
					}
				}
			}
		}
	}},
	{"results do not depend on the number of rows that a page reads", func(f *fixture) {
		for _, job := range f.pageWorld() {
			all := f.pages(revocation.ResultFilter{Account: acme, Job: job, Limit: 100})
			for _, statuses := range someStatuses() {
				var want []int
				for _, r := range all {
					if statuses.Includes(r.Status) {
						want = append(want, r.ID.Row())
					}
				}
				for _, page := range pageSizes {
					var got []int
					for _, r := range f.pages(revocation.ResultFilter{Account: acme, Job: job, Statuses: statuses, Scan: page.scan, Limit: page.limit}) {
						got = append(got, r.ID.Row())
					}
					f.equal(fmt.Sprint(statuses), want, got)
				}
			}
		}
	}},
	{"jobs are listed after jobs that are not visible", func(f *fixture) {
		want := []revocation.ID{f.bulk(items(1)).ID}
		for range 5 {
			f.upload(items(2))
		}
		want = append([]revocation.ID{f.bulk(items(3)).ID}, want...)
		for _, scan := range []int{1, 3, 0} {
			got, pages := []revocation.ID{}, 0
			for filter := (revocation.JobFilter{Account: acme, Limit: 10, Scan: scan}); ; pages++ {
				page, err := f.Jobs(f.Context(), filter)
				f.must(err)
				for _, job := range page.Entries {
					got = append(got, job.ID)
				}
				if filter.Before = page.Next; page.Next.IsZero() {
					break
				}
			}
			f.equal("jobs", want, got)
			f.equal("several pages", scan > 0, pages > 0)
		}
	}},
	{"a page is limited in bytes", func(f *fixture) {
		long := strings.Repeat("\U0001f600", 255)
		rows := unknown(1000)
		for i := range rows {
			rows[i].ClientReference = &long
		}
		job := f.bulk(rows)
		for range 2 { // while its chunk waits, and after it was carried out
			page, err := f.Results(f.Context(), revocation.ResultFilter{Account: acme, Job: job.ID, Limit: 1000})
			f.must(err)
			if n := len(page.Entries); n == 0 || n > revocation.PageBytes/len(long)+1 || page.Next != page.Entries[n-1].ID {
				f.Fatalf("a page of %d, before %v", n, page.Next)
			}
			f.equal("listed", len(rows), len(f.everyPage(revocation.Filter{Limit: 1000})))
			f.equal("results", len(rows), len(f.pages(revocation.ResultFilter{Account: acme, Job: job.ID, Limit: 1000})))
			f.work(acme)
		}
	}},
}

// pageSizes are the numbers of rows that a page may read, and that it may have. No number of rows to read means the usual one.
var pageSizes = []struct{ scan, limit int }{{1, 100}, {2, 1}, {7, 4}, {7, 100}, {0, 1}, {0, 100}}

// everyPage reads all pages of a list of acme's.
func (f *fixture) everyPage(filter revocation.Filter) []revocation.Revocation {
	f.Helper()
	if filter.Account = acme; filter.Limit == 0 {
		filter.Limit = 1000
	}
	all, err := readAll(f.Context(), func(before revocation.ID) (revocation.Page[revocation.Revocation], error) {
		filter.Before = before
		page, err := f.Revocations(f.Context(), filter)
		if len(page.Entries) > filter.Limit || !before.IsZero() && !page.Next.IsZero() && page.Next.Compare(before) >= 0 {
			f.Fatalf("%d entries before %v, and then before %v", len(page.Entries), before, page.Next)
		}
		return page, err
	})
	f.must(err)
	return all
}

// pageWorld creates revocations in every table and state, and jobs that are not visible. It returns the visible jobs.
func (f *fixture) pageWorld() []revocation.ID {
	f.Helper()
	end := func(ref revocation.Ref) { f.failBy(revocation.RetryPolicy{MaxAttempts: 1}, ref) }
	singles := f.submitNew(request(1), request(2), request(3))
	end(singles[0])
	f.attemptFails(time.Hour, singles[1])
	ended := f.bulk(append([]revocation.Item{invalid("no"), item(4), item(1)}, unknown(3)...))
	f.end(ended)
	f.upload(items(1, 2, 3))
	spilled := f.bulk(append(items(1, 5, 6, 3), invalid("no")))
	f.spill(spilled)
	f.attemptFails(time.Hour, rowOf(spilled, 2))
	end(rowOf(spilled, 3))
	f.carryOut(f.submitNew(request(7))[0])
	f.upload(items(4))
	waiting := f.bulk(append([]revocation.Item{invalid("no")}, items(1, 3, 8)...))
	f.submitNew(request(9))
	later := f.bulk(items(1, 1, 10))
	return []revocation.ID{ended.ID, spilled.ID, waiting.ID, later.ID}
}

// someStatuses returns filters without a status, with each single status, and with statuses that different tables hold.
func someStatuses() []revocation.StatusFilter {
	filters := []revocation.StatusFilter{
		nil,
		{revocation.StatusPending, revocation.StatusErrorRevoking},
		{revocation.StatusPending, revocation.StatusRevoked, revocation.StatusInvalid},
		{revocation.StatusErrorRevoking, revocation.StatusNotFound},
		{revocation.StatusRevoked, revocation.StatusAlreadyRevoked},
		revocation.Statuses,
	}
	for _, status := range revocation.Statuses {
		filters = append(filters, oneStatus(status))
	}
	return filters
}

// oneStatus returns a filter for one status. For an empty status, the filter selects all.
func oneStatus(status revocation.Status) revocation.StatusFilter {
	if status == "" {
		return nil
	}
	return revocation.StatusFilter{status}
}
