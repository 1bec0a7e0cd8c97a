package storetest

import (
	"time"

	"rescind/internal/revocation"
)

// busy fails the test unless a job cannot begin because an upload with its key still runs.
func (f *fixture) busy(s revocation.FinalJob) {
	f.Helper()
	const code = revocation.CodeUploadInProgress
	bound, err := f.BeginJob(f.Context(), s.NewJob, time.Hour)
	f.code(code, err)
	f.same("bound", (*revocation.Binding)(nil), bound)
	_, err = f.BoundJob(f.Context(), s.NewJob)
	f.code(code, err)
	f.code(revocation.CodeJobEnded, f.AddItems(f.Context(), s.NewJob, []revocation.Item{{Row: 1, ReportID: 1}}, time.Hour))
}

// replays fails the test unless a job is not made, because its key is bound to that of sealed.
func (f *fixture) replays(sealed, s revocation.FinalJob) {
	f.Helper()
	want := &revocation.Binding{
		IdempotencyKey: revocation.IdempotencyKey{Account: sealed.Account, Key: sealed.IdempotencyKey},
		Fingerprint:    sealed.Fingerprint, Target: sealed.ID,
	}
	bound, err := f.BeginJob(f.Context(), s.NewJob, time.Hour)
	f.must(err)
	f.same("bound", want, bound)
	bound, err = f.BoundJob(f.Context(), s.NewJob)
	f.must(err)
	f.same("bound, when asked alone", want, bound)
	f.code(revocation.CodeJobEnded, f.AddItems(f.Context(), s.NewJob, []revocation.Item{{Row: 1, ReportID: 1}}, time.Hour))
}

func viaRetry(s *revocation.FinalJob) { s.Route = revocation.RouteRetry }

var jobKeyTests = []test{
	{"a key gives its job again, also after the job's end", func(f *fixture) {
		s := f.upload(items(1), underKey("k"), func(s *revocation.FinalJob) { s.Fingerprint = revocation.Fingerprint{1, 2, 31: 3} })
		job := f.seal(s)
		f.replays(s, newSeal(underKey("k")))
		f.end(job)
		f.replays(s, newSeal(underKey("k")))
		f.same("jobs", []revocation.ID{s.ID}, f.jobList(revocation.JobFilter{}))
	}},
	{"a key that is free is bound to nothing", func(f *fixture) {
		given, silent := f.upload(items(1), underKey("given up")), newSeal(underKey("silent"))
		f.must(f.DropJob(f.Context(), acme, given.ID))
		_, err := f.BeginJob(f.Context(), silent.NewJob, 0)
		f.must(err)
		f.upload(items(1), underKey("foreign"), zeniths)
		for _, key := range []string{"", "never sent", "given up", "silent", "foreign"} {
			bound, err := f.BoundJob(f.Context(), newSeal(underKey(key)).NewJob)
			f.must(err)
			f.same("bound", (*revocation.Binding)(nil), bound)
			f.seal(f.upload(items(1), underKey(key)))
		}
	}},
	{"a key's age counts from the end of the upload", func(f *fixture) {
		for gap := 50 * time.Millisecond; ; gap *= 2 {
			s := f.upload(items(1), underKey(gap.String()))
			ending := time.Now()
			time.Sleep(gap) // the upload goes on
			f.end(f.seal(s))
			asked := time.Now()
			f.expire(asked.Sub(ending), 9)
			if time.Since(asked) < gap { // or what was asked may be about the time after the upload
				f.replays(s, newSeal(underKey(gap.String())))
				return
			}
		}
	}},
	{"a key whose upload runs begins no other", func(f *fixture) {
		s := f.upload(items(1), underKey("k"))
		f.busy(newSeal(underKey("k")))
		f.add(&s, item(2))
		f.same("total", 2, f.seal(s).Total)
		f.replays(s, newSeal(underKey("k")))
	}},
	{"a key whose upload was given up is free", func(f *fixture) {
		s := f.upload(items(1), underKey("k"))
		f.must(f.DropJob(f.Context(), acme, s.ID))
		next := f.upload(items(2), underKey("k"))
		f.busy(newSeal(underKey("k")))
		f.seal(next)
		f.replays(next, newSeal(underKey("k")))
		f.hidden(s)
	}},
	{"a key whose upload is silent for too long is taken over", func(f *fixture) {
		s := newSeal(underKey("k"))
		_, err := f.BeginJob(f.Context(), s.NewJob, 0)
		f.must(err)
		next := f.upload(items(2), underKey("k"))
		f.code(revocation.CodeJobEnded, f.AddItems(f.Context(), s.NewJob, []revocation.Item{{Row: 1, ReportID: 1}}, time.Hour))
		_, err = f.FinalizeJob(f.Context(), s)
		f.code(revocation.CodeJobEnded, err)
		f.must(f.DropJob(f.Context(), acme, s.ID))
		f.busy(newSeal(underKey("k")))
		f.seal(next)
		f.replays(next, newSeal(underKey("k")))
		f.hidden(s)
	}},
	{"a key counts for its account and its route", func(f *fixture) {
		single := f.fresh(request(1, withKey("k")))[0]
		var seals []revocation.FinalJob
		for _, with := range [][]func(*revocation.FinalJob){{}, {zeniths}, {viaRetry}, {viaRetry, zeniths}} {
			seals = append(seals, f.upload(items(2), append(with, underKey("k"))...))
		}
		for _, s := range seals {
			f.seal(s)
			f.replays(s, newSeal(underKey("k"), func(again *revocation.FinalJob) { again.Account, again.Route = s.Account, s.Route }))
		}
		f.same("the single submission's", []revocation.Accepted{{ID: single.ID}}, f.submit(request(1, withKey("k"))))
		f.fresh(request(1, withKey("k"), ofZenith))
	}},
	{"a key is compared as it is", func(f *fixture) {
		for _, key := range []string{"K", "k", "k ", "ключ", ""} {
			f.upload(items(1), underKey(key))
		}
	}},
	{"without a key every upload is a job of its own", func(f *fixture) {
		one, two := f.upload(items(1)), f.upload(items(1))
		f.seal(one)
		f.seal(two)
		f.same("jobs", 2, len(f.jobList(revocation.JobFilter{})))
	}},
	{"of many uploads under one key at once one begins", func(f *fixture) {
		begin := func(int) (*revocation.FinalJob, error) {
			s := newSeal(underKey("k"))
			bound, err := f.BeginJob(f.Context(), s.NewJob, time.Hour)
			switch {
			case err != nil && revocation.ErrorCode(err) == revocation.CodeUploadInProgress:
				return nil, nil
			case err != nil || bound != nil:
				return nil, err
			}
			return &s, nil
		}
		all, err := together(16, begin)
		f.must(err)
		var begun []revocation.FinalJob
		for _, s := range all {
			if s != nil {
				begun = append(begun, *s)
			}
		}
		f.same("begun", 1, len(begun))
		if f.Failed() {
			return
		}
		s := begun[0]
		f.add(&s, item(1))
		f.seal(s)
		all, err = together(16, begin)
		f.must(err)
		for _, again := range all {
			f.same("begun after it", (*revocation.FinalJob)(nil), again)
		}
		f.replays(s, newSeal(underKey("k")))
	}},
}
