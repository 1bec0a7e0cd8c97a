package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// jobList returns the ids of one page.
func (f *fixture) jobList(filter revocation.JobFilter) []revocation.ID {
	f.Helper()
	if filter.Account == "" {
		filter.Account = acme
	}
	if filter.Limit == 0 {
		filter.Limit = 100
	}
	jobs, err := f.Jobs(f.Context(), filter)
	f.must(err)
	ids := make([]revocation.ID, len(jobs.Entries))
	for i, j := range jobs.Entries {
		ids[i] = j.ID
	}
	return ids
}

// made returns a change that gives a job an id made at the time at.
func made(at time.Time) func(*revocation.FinalJob) {
	return func(s *revocation.FinalJob) { s.ID = revocation.JobID(idAt(at)) }
}

var jobReadTests = []test{
	{"jobs are listed newest first, page by page", func(f *fixture) {
		f.equal("none", []revocation.ID{}, f.jobList(revocation.JobFilter{}))
		noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		var want []revocation.ID
		for _, after := range []time.Duration{3 * time.Minute, time.Minute, 4 * time.Minute, 2 * time.Minute, 5 * time.Minute} {
			job := f.bulk(items(1), made(noon.Add(after)))
			want = append(want, job.ID)
		}
		f.bulk(items(1), ofZenithJob, made(noon))
		f.upload(items(1), made(noon))
		slices.SortFunc(want, func(a, b revocation.ID) int { return b.Compare(a) })
		f.chunk(acme)
		f.equal("all", want, f.jobList(revocation.JobFilter{}))
		var paged []revocation.ID
		for filter := (revocation.JobFilter{Limit: 2}); len(paged) < len(want); filter.Before = paged[len(paged)-1] {
			page := f.jobList(filter)
			f.equal("page", min(2, len(want)-len(paged)), len(page))
			if len(page) == 0 {
				break
			}
			paged = append(paged, page...)
		}
		f.equal("pages", want, paged)
		f.equal("after the last", []revocation.ID{}, f.jobList(revocation.JobFilter{Before: want[4]}))
	}},
	{"a list returns the same as reading each job", func(f *fixture) {
		label := "l"
		ended := f.bulk([]revocation.Item{item(1), invalid("no")}, notifyAll)
		f.chunk(acme)
		running := f.bulk(items(2, 3, 4), func(s *revocation.FinalJob) { s.Label = &label })
		f.spill(running)
		f.carryOut(rowOf(running, 1))
		f.attemptFails(time.Hour, rowOf(running, 2))
		want := []revocation.Job{f.bulk(items(2)), running, ended}
		for i, job := range want {
			want[i] = *f.job(job)
		}
		page, err := f.Jobs(f.Context(), revocation.JobFilter{Account: acme, Limit: 9})
		f.must(err)
		jobs := page.Entries
		f.equalIgnoringTimes("list", want, jobs)
		for i := range jobs {
			f.checkNumbers(&jobs[i])
			f.equal("times", []time.Time{want[i].StartedAt, want[i].FinishedAt}, []time.Time{jobs[i].StartedAt, jobs[i].FinishedAt})
		}
	}},
	{"a job is not visible to another account", func(f *fixture) {
		job := f.bulk(items(1))
		f.end(job)
		_, err := f.Job(f.Context(), zenith, job.ID)
		f.code(revocation.CodeNotFound, err)
		_, err = f.Revocation(f.Context(), zenith, job.ID.Item(1))
		f.code(revocation.CodeNotFound, err)
		f.equal("jobs", []revocation.ID{}, f.jobList(revocation.JobFilter{Account: zenith}))
		f.equal("results", 0, len(f.pages(revocation.ResultFilter{Account: zenith, Job: job.ID, Limit: 9})))
		f.equal("list", []revocation.ID{}, f.list(revocation.Filter{Account: zenith}))
		f.equal("list by job", []revocation.ID{}, f.list(revocation.Filter{Account: zenith, JobID: job.ID}))
	}},
	{"an unknown job", func(f *fixture) {
		job := f.bulk(items(1))
		single := f.submitNew(request(1))[0]
		for _, id := range []revocation.ID{revocation.JobID(uuidv7.New()), job.ID.Item(1), single.ID, {}} {
			_, err := f.Job(f.Context(), acme, id)
			f.code(revocation.CodeNotFound, err)
		}
		f.equal("results", 0, len(f.pages(revocation.ResultFilter{Account: acme, Job: revocation.JobID(uuidv7.New()), Limit: 9})))
	}},
	{"items are listed among single submissions, newest first", func(f *fixture) {
		early := f.submitNew(request(1))[0]
		job := f.bulk([]revocation.Item{item(1), invalid("no"), item(2), item(invites + 1)})
		late := f.submitNew(request(2))[0]
		want := []revocation.ID{late.ID, job.ID.Item(4), job.ID.Item(3), job.ID.Item(1), early.ID}
		f.equal("all", want, f.list(revocation.Filter{}))
		f.chunk(acme)
		f.equal("all after it", want, f.list(revocation.Filter{}))
		page, err := f.Revocations(f.Context(), revocation.Filter{Account: acme, Limit: 9})
		f.must(err)
		for i, r := range page.Entries {
			f.equal("by id", f.read(revocation.Ref{Account: acme, ID: want[i]}), r)
		}
		var paged []revocation.ID
		for filter := (revocation.Filter{Limit: 2}); len(paged) < len(want); filter.Before = paged[len(paged)-1] {
			ids := f.list(filter)
			if paged = append(paged, ids...); len(ids) == 0 {
				break
			}
		}
		f.equal("pages", want, paged)
	}},
	{"by job and other filters", func(f *fixture) {
		job, other := f.bulk([]revocation.Item{item(1), invalid("no"), item(2), item(invites + 1), item(1)}), f.bulk(items(1, 2))
		f.submitNew(request(1))
		f.chunk(acme)
		f.work(acme)
		at := func(job revocation.Job, rows ...int) []revocation.ID {
			ids := []revocation.ID{}
			for _, row := range rows {
				ids = append(ids, job.ID.Item(row))
			}
			return ids
		}
		f.equal("of the job", at(job, 5, 4, 3, 1), f.list(revocation.Filter{JobID: job.ID}))
		f.equal("of the other", at(other, 2, 1), f.list(revocation.Filter{JobID: other.ID}))
		f.equal("by report", at(job, 5, 1), f.list(revocation.Filter{JobID: job.ID, ReportID: 1}))
		f.equal("by status", at(job, 4), f.list(revocation.Filter{JobID: job.ID, Statuses: revocation.StatusFilter{missing}}))
		f.equal("by both", []revocation.ID{}, f.list(revocation.Filter{JobID: job.ID, Statuses: revocation.StatusFilter{missing}, ReportID: 1}))
		f.equal("the invalid ones", []revocation.ID{}, f.list(revocation.Filter{JobID: job.ID, Statuses: revocation.StatusFilter{revocation.StatusInvalid}}))
		f.equal("the invalid ones of all jobs", []revocation.ID{}, f.list(revocation.Filter{Statuses: revocation.StatusFilter{revocation.StatusInvalid}}))
		f.equal("a page", at(job, 4, 3), f.list(revocation.Filter{JobID: job.ID, Before: job.ID.Item(5), Limit: 2}))
		f.equal("a page before the job", []revocation.ID{}, f.list(revocation.Filter{JobID: job.ID, Before: job.ID}))
		f.equal("by time", at(job, 5, 4, 3, 1), f.list(revocation.Filter{
			JobID: job.ID, CreatedAfter: job.CreatedAt().Add(-time.Second), CreatedBefore: job.CreatedAt().Add(time.Second),
		}))
		f.equal("by a later time", []revocation.ID{}, f.list(revocation.Filter{JobID: job.ID, CreatedAfter: job.CreatedAt().Add(time.Second)}))
		f.equal("of a single submission", []revocation.ID{}, f.list(revocation.Filter{JobID: uuidv7.New()}))
		f.equal("of an item, which is no job", []revocation.ID{}, f.list(revocation.Filter{JobID: job.ID.Item(1)}))
	}},
	{"items are listed by status while they wait and fail", func(f *fixture) {
		job := f.bulk(items(1, 2, 3))
		f.spill(job)
		f.attemptFails(time.Hour, rowOf(job, 2))
		f.failBy(revocation.RetryPolicy{MaxAttempts: 1}, rowOf(job, 3))
		for status, want := range map[revocation.Status][]int{
			revocation.StatusPending: {1}, revocation.StatusErrorRevoking: {2, 3}, revoked: nil,
		} {
			var rows []int
			for _, r := range f.pages(revocation.ResultFilter{Account: acme, Job: job.ID, Statuses: oneStatus(status), Limit: 9}) {
				f.equal("status", status, r.Status)
				rows = append(rows, r.ID.Row())
			}
			f.equal("rows", want, rows)
			f.equal("listed", len(want), len(f.list(revocation.Filter{JobID: job.ID, Statuses: oneStatus(status)})))
		}
	}},
}
