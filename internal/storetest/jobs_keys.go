package storetest

import (
	"time"

	"rescind/internal/revocation"
)

// uploadInProgress fails the test unless s is refused because another upload with its key is in progress.
func (f *fixture) uploadInProgress(s revocation.FinalJob) {
	f.Helper()
	const code = revocation.CodeUploadInProgress
	bound, err := f.BeginJob(f.Context(), s.NewJob, time.Hour)
	f.code(code, err)
	f.equal("bound", (*revocation.Binding)(nil), bound)
	_, err = f.BoundJob(f.Context(), s.NewJob)
	f.code(code, err)
	f.code(revocation.CodeJobEnded, f.AddItems(f.Context(), s.NewJob, []revocation.Item{{Row: 1, ReportID: 1}}, time.Hour))
}

// replayed fails the test unless the key of s is bound to the job first, and s creates no job.
func (f *fixture) replayed(first, s revocation.FinalJob) {
	f.Helper()
	want := &revocation.Binding{
		IdempotencyKey: revocation.IdempotencyKey{Account: first.Account, Key: first.IdempotencyKey},
		Fingerprint:    first.Fingerprint, Target: first.ID,
	}
	bound, err := f.BeginJob(f.Context(), s.NewJob, time.Hour)
	f.must(err)
	f.equal("bound", want, bound)
	bound, err = f.BoundJob(f.Context(), s.NewJob)
	f.must(err)
	f.equal("bound, by BoundJob", want, bound)
	f.code(revocation.CodeJobEnded, f.AddItems(f.Context(), s.NewJob, []revocation.Item{{Row: 1, ReportID: 1}}, time.Hour))
}

func viaRetry(s *revocation.FinalJob) { s.Route = revocation.RouteRetry }

var jobKeyTests = []test{
	{"a key returns its job, also after the job's end", func(f *fixture) {
		s := f.upload(items(1), withJobKey("k"), func(s *revocation.FinalJob) { s.Fingerprint = revocation.Fingerprint{1, 2, 31: 3} })
		job := f.finalize(s)
		f.replayed(s, newJob(withJobKey("k")))
		f.end(job)
		f.replayed(s, newJob(withJobKey("k")))
		f.equal("jobs", []revocation.ID{s.ID}, f.jobList(revocation.JobFilter{}))
	}},
	{"a free key is bound to no job", func(f *fixture) {
		dropped, silent := f.upload(items(1), withJobKey("dropped")), newJob(withJobKey("silent"))
		f.must(f.DropJob(f.Context(), acme, dropped.ID))
		_, err := f.BeginJob(f.Context(), silent.NewJob, 0)
		f.must(err)
		f.upload(items(1), withJobKey("foreign"), ofZenithJob)
		for _, key := range []string{"", "never sent", "dropped", "silent", "foreign"} {
			bound, err := f.BoundJob(f.Context(), newJob(withJobKey(key)).NewJob)
			f.must(err)
			f.equal("bound", (*revocation.Binding)(nil), bound)
			f.finalize(f.upload(items(1), withJobKey(key)))
		}
	}},
	{"a key's age counts from the end of the upload", func(f *fixture) {
		for gap := 50 * time.Millisecond; ; gap *= 2 {
			s := f.upload(items(1), withJobKey(gap.String()))
			ending := time.Now()
			time.Sleep(gap) // the upload continues
			f.end(f.finalize(s))
			asked := time.Now()
			f.expire(asked.Sub(ending), 9)
			if time.Since(asked) < gap { // otherwise the retention may reach back only to the end of the upload
				f.replayed(s, newJob(withJobKey(gap.String())))
				return
			}
		}
	}},
	{"a key whose upload is in progress cannot begin another", func(f *fixture) {
		s := f.upload(items(1), withJobKey("k"))
		f.uploadInProgress(newJob(withJobKey("k")))
		f.add(&s, item(2))
		f.equal("total", 2, f.finalize(s).Total)
		f.replayed(s, newJob(withJobKey("k")))
	}},
	{"the key of a dropped upload is free", func(f *fixture) {
		s := f.upload(items(1), withJobKey("k"))
		f.must(f.DropJob(f.Context(), acme, s.ID))
		next := f.upload(items(2), withJobKey("k"))
		f.uploadInProgress(newJob(withJobKey("k")))
		f.finalize(next)
		f.replayed(next, newJob(withJobKey("k")))
		f.checkHidden(s)
	}},
	{"a new upload takes over the key of a silent one", func(f *fixture) {
		s := newJob(withJobKey("k"))
		_, err := f.BeginJob(f.Context(), s.NewJob, 0)
		f.must(err)
		next := f.upload(items(2), withJobKey("k"))
		f.code(revocation.CodeJobEnded, f.AddItems(f.Context(), s.NewJob, []revocation.Item{{Row: 1, ReportID: 1}}, time.Hour))
		_, err = f.FinalizeJob(f.Context(), s)
		f.code(revocation.CodeJobEnded, err)
		f.must(f.DropJob(f.Context(), acme, s.ID))
		f.uploadInProgress(newJob(withJobKey("k")))
		f.finalize(next)
		f.replayed(next, newJob(withJobKey("k")))
		f.checkHidden(s)
	}},
	{"a key counts for its account and its route", func(f *fixture) {
		single := f.submitNew(request(1, withKey("k")))[0]
		var uploads []revocation.FinalJob
		for _, with := range [][]func(*revocation.FinalJob){{}, {ofZenithJob}, {viaRetry}, {viaRetry, ofZenithJob}} {
			uploads = append(uploads, f.upload(items(2), append(with, withJobKey("k"))...))
		}
		for _, s := range uploads {
			f.finalize(s)
			f.replayed(s, newJob(withJobKey("k"), func(again *revocation.FinalJob) { again.Account, again.Route = s.Account, s.Route }))
		}
		f.equal("the single submission's", []revocation.Accepted{{ID: single.ID}}, f.submit(request(1, withKey("k"))))
		f.submitNew(request(1, withKey("k"), ofZenith))
	}},
	{"keys are compared byte by byte", func(f *fixture) {
		for _, key := range []string{"K", "k", "k ", "ключ", ""} {
			f.upload(items(1), withJobKey(key))
		}
	}},
	{"without a key every upload is a new job", func(f *fixture) {
		one, two := f.upload(items(1)), f.upload(items(1))
		f.finalize(one)
		f.finalize(two)
		f.equal("jobs", 2, len(f.jobList(revocation.JobFilter{})))
	}},
	{"one of many concurrent uploads with the same key begins", func(f *fixture) {
		begin := func(int) (*revocation.FinalJob, error) {
			s := newJob(withJobKey("k"))
			bound, err := f.BeginJob(f.Context(), s.NewJob, time.Hour)
			switch {
			case err != nil && revocation.ErrorCode(err) == revocation.CodeUploadInProgress:
				return nil, nil
			case err != nil || bound != nil:
				return nil, err
			}
			return &s, nil
		}
		all, err := concurrently(16, begin)
		f.must(err)
		var begun []revocation.FinalJob
		for _, s := range all {
			if s != nil {
				begun = append(begun, *s)
			}
		}
		f.equal("begun", 1, len(begun))
		if f.Failed() {
			return
		}
		s := begun[0]
		f.add(&s, item(1))
		f.finalize(s)
		all, err = concurrently(16, begin)
		f.must(err)
		for _, again := range all {
			f.equal("begun after it", (*revocation.FinalJob)(nil), again)
		}
		f.replayed(s, newJob(withJobKey("k")))
	}},
}
