package storetest

import (
	"time"

	"rescind/internal/revocation"
)

// retrying makes a job a retry of another.
func retrying(of revocation.Job) func(*revocation.FinalJob) {
	return func(s *revocation.FinalJob) { s.Route, s.RetryOf = revocation.RouteRetry, of.ID }
}

// retryRuns fails the test unless s cannot begin because live has not ended, and nothing of s is there.
func (f *fixture) retryRuns(live, s revocation.FinalJob) {
	f.Helper()
	bound, err := f.BeginJob(f.Context(), s.NewJob, time.Hour)
	f.code(revocation.CodeRetryRunning, err)
	f.same("bound", (*revocation.Binding)(nil), bound)
	f.same("the live retry", live.ID, err.(*revocation.Error).Job) //nolint:errorlint,forcetypeassert // its code was read
	f.code(revocation.CodeJobEnded, f.AddItems(f.Context(), s.NewJob, []revocation.Item{{Row: 1, ReportID: 1}}, time.Hour))
}

var jobRetryTests = []test{
	{"a job has one live retry, until that ends", func(f *fixture) {
		job := f.bulk(items(1))
		f.end(job)
		live := f.upload(items(2), retrying(job))
		f.retryRuns(live, newSeal(retrying(job)))
		retry := f.seal(live)
		f.same("retry of", job.ID, retry.RetryOf)
		f.retryRuns(live, newSeal(retrying(job), underKey("k")))
		f.cancel(retry)
		f.retryRuns(live, newSeal(retrying(job)))
		f.end(retry)
		next := f.upload(items(3), retrying(job), underKey("k")) // the refusal has not bound the key
		f.retryRuns(next, newSeal(retrying(job)))
		f.end(f.seal(next))
		f.end(f.bulk(items(4), retrying(job)))
	}},
	{"other jobs have retries of their own", func(f *fixture) {
		one, two := f.bulk(items(1)), f.bulk(items(2))
		foreign := f.bulk(items(1), zeniths)
		f.end(one) // and with it the other of the account
		f.end(foreign)
		of := f.upload(items(3), retrying(one))
		f.upload(items(3), retrying(two))
		f.upload(items(3), retrying(foreign), zeniths)
		retry := f.seal(of)
		f.upload(items(4), retrying(retry)) // a store leaves it to its caller whether a job has ended
		f.upload(items(4))
	}},
	{"a retry that was given up, or is silent for too long, is not live", func(f *fixture) {
		job := f.bulk(items(1))
		f.end(job)
		given := f.upload(items(2), retrying(job))
		f.must(f.DropJob(f.Context(), acme, given.ID))
		silent := newSeal(retrying(job), underKey("k"))
		_, err := f.BeginJob(f.Context(), silent.NewJob, 0)
		f.must(err)
		next := f.upload(items(3), retrying(job))
		_, err = f.FinalizeJob(f.Context(), silent)
		f.code(revocation.CodeJobEnded, err)
		f.retryRuns(next, newSeal(retrying(job)))
		f.upload(items(3), underKey("k"), viaRetry) // whose key is free
	}},
	{"what is not there cannot be retried", func(f *fixture) {
		hidden, foreign := f.upload(items(1)), f.bulk(items(1), zeniths)
		given := f.upload(items(1))
		f.must(f.DropJob(f.Context(), acme, given.ID))
		for _, of := range []revocation.ID{newSeal().ID, hidden.ID, foreign.ID, given.ID} {
			s := newSeal(retrying(revocation.Job{ID: of}), underKey("k"))
			_, err := f.BeginJob(f.Context(), s.NewJob, time.Hour)
			f.code(revocation.CodeNotFound, err)
		}
	}},
	{"an idempotency key is looked at before the live retry", func(f *fixture) {
		job := f.bulk(items(1))
		f.end(job)
		same := func() revocation.FinalJob { return newSeal(retrying(job), underKey("k")) }
		s := f.upload(items(2), retrying(job), underKey("k"))
		f.busy(same())
		f.retryRuns(s, newSeal(retrying(job), underKey("l")))
		f.seal(s)
		f.replays(s, same())
	}},
	{"of many retries at once one begins", func(f *fixture) {
		job := f.bulk(items(1))
		f.end(job)
		all, err := together(16, func(int) (*revocation.FinalJob, error) {
			s := newSeal(retrying(job))
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
		f.same("begun", 1, len(begun))
		if !f.Failed() {
			f.retryRuns(begun[0], newSeal(retrying(job)))
		}
	}},
}
