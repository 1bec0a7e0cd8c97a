package storetest

import (
	"time"

	"rescind/internal/revocation"
)

// retrying returns a change that makes a job a retry of another.
func retrying(of revocation.Job) func(*revocation.FinalJob) {
	return func(s *revocation.FinalJob) { s.Route, s.RetryOf = revocation.RouteRetry, of.ID }
}

// retryRuns fails the test unless s is refused because the retry live has not ended.
func (f *fixture) retryRuns(live, s revocation.FinalJob) {
	f.Helper()
	bound, err := f.BeginJob(f.Context(), s.NewJob, time.Hour)
	f.code(revocation.CodeRetryRunning, err)
	f.equal("bound", (*revocation.Binding)(nil), bound)
	f.equal("the live retry", live.ID, err.(*revocation.Error).Job) //nolint:errorlint,forcetypeassert // f.code has checked the type
	f.code(revocation.CodeJobEnded, f.AddItems(f.Context(), s.NewJob, []revocation.Item{{Row: 1, ReportID: 1}}, time.Hour))
}

var jobRetryTests = []test{
	{"a job has at most one live retry", func(f *fixture) {
		job := f.bulk(items(1))
		f.end(job)
		live := f.upload(items(2), retrying(job))
		f.retryRuns(live, newJob(retrying(job)))
		retry := f.finalize(live)
		f.equal("retry of", job.ID, retry.RetryOf)
		f.retryRuns(live, newJob(retrying(job), withJobKey("k")))
		f.cancel(retry)
		f.retryRuns(live, newJob(retrying(job)))
		f.end(retry)
		next := f.upload(items(3), retrying(job), withJobKey("k")) // the refused retry has not bound the key
		f.retryRuns(next, newJob(retrying(job)))
		f.end(f.finalize(next))
		f.end(f.bulk(items(4), retrying(job)))
		f.useUpstream() // where previews are complete at once
		waits := f.bulk(items(5), retrying(job), withPreview(time.Hour))
		f.retryRuns(revocation.FinalJob{NewJob: revocation.NewJob{ID: waits.ID}}, newJob(retrying(job)))
		f.tables.Pass(f, 2*time.Hour)
		f.upload(items(6), retrying(job)) // the one that was not confirmed has expired
	}},
	{"retries of different jobs are independent", func(f *fixture) {
		one, two := f.bulk(items(1)), f.bulk(items(2))
		foreign := f.bulk(items(1), ofZenithJob)
		f.end(one) // which also ends the other job of the account
		f.end(foreign)
		of := f.upload(items(3), retrying(one))
		f.upload(items(3), retrying(two))
		f.upload(items(3), retrying(foreign), ofZenithJob)
		retry := f.finalize(of)
		f.upload(items(4), retrying(retry)) // the store does not check whether a job has ended: its caller does
		f.upload(items(4))
	}},
	{"a dropped or silent retry is not live", func(f *fixture) {
		job := f.bulk(items(1))
		f.end(job)
		dropped := f.upload(items(2), retrying(job))
		f.must(f.DropJob(f.Context(), acme, dropped.ID))
		silent := newJob(retrying(job), withJobKey("k"))
		_, err := f.BeginJob(f.Context(), silent.NewJob, 0)
		f.must(err)
		next := f.upload(items(3), retrying(job))
		_, err = f.FinalizeJob(f.Context(), silent)
		f.code(revocation.CodeJobEnded, err)
		f.retryRuns(next, newJob(retrying(job)))
		f.upload(items(3), withJobKey("k"), viaRetry) // the key is free
	}},
	{"a job that does not exist cannot be retried", func(f *fixture) {
		hidden, foreign := f.upload(items(1)), f.bulk(items(1), ofZenithJob)
		dropped := f.upload(items(1))
		f.must(f.DropJob(f.Context(), acme, dropped.ID))
		for _, of := range []revocation.ID{newJob().ID, hidden.ID, foreign.ID, dropped.ID} {
			s := newJob(retrying(revocation.Job{ID: of}), withJobKey("k"))
			_, err := f.BeginJob(f.Context(), s.NewJob, time.Hour)
			f.code(revocation.CodeNotFound, err)
		}
	}},
	{"an idempotency key is checked before the live retry", func(f *fixture) {
		job := f.bulk(items(1))
		f.end(job)
		same := func() revocation.FinalJob { return newJob(retrying(job), withJobKey("k")) }
		s := f.upload(items(2), retrying(job), withJobKey("k"))
		f.uploadInProgress(same())
		f.retryRuns(s, newJob(retrying(job), withJobKey("l")))
		f.finalize(s)
		f.replayed(s, same())
	}},
	{"one of many concurrent retries begins", func(f *fixture) {
		job := f.bulk(items(1))
		f.end(job)
		all, err := concurrently(16, func(int) (*revocation.FinalJob, error) {
			s := newJob(retrying(job))
			_, err := f.BeginJob(f.Context(), s.NewJob, time.Hour)
			if revocation.ErrorCode(err) == revocation.CodeRetryRunning && err != nil {
				return nil, nil
			}
			return &s, err
		})
		f.must(err)
		var begun []revocation.FinalJob
		for _, s := range all {
			if s != nil {
				begun = append(begun, *s)
			}
		}
		f.equal("begun", 1, len(begun))
		if !f.Failed() {
			f.retryRuns(begun[0], newJob(retrying(job)))
		}
	}},
}
