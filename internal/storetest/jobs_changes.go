package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// anotherKey is an API key that has requested nothing before.
var anotherKey = uuidv7.New()

// set changes acme's settings.
func (f *fixture) set(with func(*revocation.AccountChange)) {
	f.Helper()
	change := revocation.AccountChange{ID: acme}
	with(&change)
	f.must(f.SetAccount(f.Context(), change))
}

func withPreview(ttl time.Duration) func(*revocation.FinalJob) {
	return func(s *revocation.FinalJob) { s.Preview, s.PreviewTTL = true, ttl }
}

func withNotBefore(t time.Time) func(*revocation.FinalJob) {
	return func(s *revocation.FinalJob) { s.NotBefore = t }
}

// change requests a change of a job by the key.
func (f *fixture) change(job revocation.Job, kind revocation.JobChangeKind, key revocation.ID, count int) (revocation.Job, error) {
	return f.ChangeJob(f.Context(), job.Account, job.ID, revocation.JobChange{
		Kind: kind, By: revocation.ByKey(key), Count: count, PreviewTTL: time.Hour,
	})
}

func (f *fixture) mustChange(job revocation.Job, kind revocation.JobChangeKind, key revocation.ID, count int) revocation.Job {
	f.Helper()
	changed, err := f.change(job, kind, key, count)
	f.must(err)
	return changed
}

// useUpstream puts acme on an upstream, where every preview is complete at once.
func (f *fixture) useUpstream() {
	f.Helper()
	f.useUpstreamOf(acme)
}

// inState makes a job of acme's with one item in the given state. acme is on an upstream.
func (f *fixture) inState(state revocation.JobState) revocation.Job {
	f.Helper()
	none, held := -1, time.Hour
	zero := 0
	f.set(func(c *revocation.AccountChange) { c.ApproveAbove = &none; c.Hold = new(time.Duration) })
	switch state {
	case revocation.JobPreviewed:
		return f.bulk(items(1), withPreview(time.Hour))
	case revocation.JobAwaitingApproval:
		f.set(func(c *revocation.AccountChange) { c.ApproveAbove = &zero })
		return f.mustChange(f.bulk(items(1), withPreview(time.Hour)), revocation.ChangeConfirm, apiKey, 1)
	case revocation.JobScheduled:
		f.set(func(c *revocation.AccountChange) { c.Hold = &held })
		return f.mustChange(f.bulk(items(1), withPreview(time.Hour)), revocation.ChangeConfirm, apiKey, 1)
	case revocation.JobQueued:
		return f.bulk(items(1))
	case revocation.JobCancelling:
		return f.mustChange(f.bulk(items(1)), revocation.ChangeCancel, apiKey, 0)
	case revocation.JobCancelled:
		f.mustChange(f.bulk(items(1)), revocation.ChangeCancel, apiKey, 0)
		return f.endedBy(f.cancelledChunk(acme))
	case revocation.JobCompleted:
		return f.bulk([]revocation.Item{invalid("bad")})
	case revocation.JobExpired:
		return f.bulk(items(1), withPreview(-time.Second))
	default:
		panic(state)
	}
}

func (f *fixture) endedBy(c revocation.Chunk) revocation.Job {
	f.Helper()
	job, err := f.Job(f.Context(), c.Account, c.Job)
	f.must(err)
	return job
}

// answers are the state of a job after a request, or the code of the refusal, for each state and request.
var answers = map[revocation.JobState]map[revocation.JobChangeKind]any{
	revocation.JobPreviewed: {
		revocation.ChangeConfirm: revocation.JobQueued, revocation.ChangeApprove: revocation.CodeWrongState,
		revocation.ChangeStart: revocation.CodeWrongState, revocation.ChangeCancel: revocation.JobCancelling,
		revocation.ChangeDue: revocation.JobPreviewed, revocation.ChangeExpire: revocation.JobPreviewed,
	},
	revocation.JobAwaitingApproval: {
		revocation.ChangeConfirm: revocation.JobAwaitingApproval, revocation.ChangeApprove: revocation.JobQueued,
		revocation.ChangeStart: revocation.CodeWrongState, revocation.ChangeCancel: revocation.JobCancelling,
		revocation.ChangeDue: revocation.JobAwaitingApproval, revocation.ChangeExpire: revocation.JobAwaitingApproval,
	},
	revocation.JobScheduled: {
		revocation.ChangeConfirm: revocation.JobScheduled, revocation.ChangeApprove: revocation.CodeWrongState,
		revocation.ChangeStart: revocation.JobQueued, revocation.ChangeCancel: revocation.JobCancelling,
		revocation.ChangeDue: revocation.JobScheduled, revocation.ChangeExpire: revocation.JobScheduled,
	},
	revocation.JobQueued: {
		revocation.ChangeConfirm: revocation.CodeWrongState, revocation.ChangeApprove: revocation.CodeWrongState,
		revocation.ChangeStart: revocation.CodeWrongState, revocation.ChangeCancel: revocation.JobCancelling,
		revocation.ChangeDue: revocation.JobQueued, revocation.ChangeExpire: revocation.JobQueued,
	},
	revocation.JobCancelling: {
		revocation.ChangeConfirm: revocation.CodeWrongState, revocation.ChangeApprove: revocation.CodeWrongState,
		revocation.ChangeStart: revocation.CodeWrongState, revocation.ChangeCancel: revocation.JobCancelling,
		revocation.ChangeDue: revocation.JobCancelling, revocation.ChangeExpire: revocation.JobCancelling,
	},
	revocation.JobCancelled: {
		revocation.ChangeConfirm: revocation.CodeWrongState, revocation.ChangeApprove: revocation.CodeWrongState,
		revocation.ChangeStart: revocation.CodeWrongState, revocation.ChangeCancel: revocation.JobCancelled,
		revocation.ChangeDue: revocation.JobCancelled, revocation.ChangeExpire: revocation.JobCancelled,
	},
	revocation.JobCompleted: {
		revocation.ChangeConfirm: revocation.CodeWrongState, revocation.ChangeApprove: revocation.CodeWrongState,
		revocation.ChangeStart: revocation.CodeWrongState, revocation.ChangeCancel: revocation.CodeJobEnded,
		revocation.ChangeDue: revocation.JobCompleted, revocation.ChangeExpire: revocation.JobCompleted,
	},
	revocation.JobExpired: {
		revocation.ChangeConfirm: revocation.CodeWrongState, revocation.ChangeApprove: revocation.CodeWrongState,
		revocation.ChangeStart: revocation.CodeWrongState, revocation.ChangeCancel: revocation.CodeJobEnded,
		revocation.ChangeDue: revocation.JobExpired, revocation.ChangeExpire: revocation.JobExpired,
	},
}

// checkAnswers makes a request of each kind to jobs that inState makes, and fails the test unless they are answered as in want.
func (f *fixture) checkAnswers(want map[revocation.JobState]map[revocation.JobChangeKind]any, inState func(revocation.JobState) revocation.Job) {
	f.Helper()
	for state, requests := range want {
		for kind, want := range requests {
			job := inState(state)
			what := fmt.Sprintf("request %d of a job that is %s", kind, state)
			f.equal("state before "+what, state, f.job(job).State)
			f.set(func(c *revocation.AccountChange) { c.Hold = new(time.Duration) })
			changed, err := f.change(job, kind, anotherKey, 1)
			if code, refused := want.(revocation.Code); refused {
				f.code(code, err)
				if told, ok := errors.AsType[*revocation.Error](err); ok {
					f.equal("state in the answer to "+what, state, told.State)
				}
				f.equal("state after "+what, state, f.job(job).State)
			} else if err != nil {
				f.Errorf("%s: %v", what, err)
			} else {
				f.equal("state after "+what, want, changed.State)
				f.equal("stored state after "+what, want, f.job(job).State)
			}
			if state == revocation.JobExpired {
				f.equal("results of an expired job", 0, len(f.results(job)))
			}
			_, _ = cancelJob(f.Context(), f.Store, acme, job.ID)
			for more := true; more; { // leave no work for the next one
				more = !f.cancelledChunk(acme).Job.IsZero()
			}
		}
	}
}

var jobChangeTests = []test{
	{"every request in every state has its answer", func(f *fixture) {
		f.useUpstream()
		f.checkAnswers(answers, f.inState)
	}},
	{"a wrong count, the same key and an account without the job are refused", func(f *fixture) {
		f.useUpstream()
		job := f.inState(revocation.JobPreviewed)
		_, err := f.change(job, revocation.ChangeConfirm, apiKey, 2)
		var refused *revocation.Error
		if f.code(revocation.CodeCountMismatch, err); errors.As(err, &refused) {
			f.equal("count", 1, refused.Count)
		}
		job = f.inState(revocation.JobAwaitingApproval)
		_, err = f.change(job, revocation.ChangeApprove, apiKey, 1)
		f.code(revocation.CodeSameKey, err)
		_, err = f.change(job, revocation.ChangeApprove, uuidv7.New(), 2)
		if f.code(revocation.CodeCountMismatch, err); errors.As(err, &refused) {
			f.equal("count to approve", 1, refused.Count)
		}
		f.cancel(job)
		confirmer := uuidv7.New()
		f.set(func(c *revocation.AccountChange) { c.ApproveAbove = new(0) })
		job = f.mustChange(f.bulk(items(1), withPreview(time.Hour)), revocation.ChangeConfirm, confirmer, 1)
		_, err = f.change(job, revocation.ChangeApprove, confirmer, 1)
		f.code(revocation.CodeSameKey, err)
		f.state(job, revocation.JobAwaitingApproval)
		_, err = f.ChangeJob(f.Context(), zenith, job.ID, revocation.JobChange{Kind: revocation.ChangeCancel})
		f.code(revocation.CodeNotFound, err)
		_, err = f.ChangeJob(f.Context(), "nobody", job.ID, revocation.JobChange{Kind: revocation.ChangeCancel})
		f.code(revocation.CodeNotFound, err)
	}},
	{"a job waits for its time, and its items are listed from then on", func(f *fixture) {
		job := f.bulk(items(1), withNotBefore(time.Now().Add(time.Hour)))
		f.state(job, revocation.JobScheduled)
		if until := f.job(job).DueAt.Sub(f.job(job).ReadAt); until < 59*time.Minute || until > time.Hour {
			f.Errorf("due in %v, want an hour", until)
		}
		f.equal("chunk", revocation.Chunk{}, f.chunk(acme))
		f.noWork("for a job that waits")
		listed := func() int {
			page, err := f.Revocations(f.Context(), revocation.Filter{Account: acme, Limit: 10})
			f.must(err)
			return len(page.Entries)
		}
		f.equal("listed before", 0, listed())
		f.equal("results", 1, len(f.results(job)))
		for _, state := range []revocation.JobState{revocation.JobScheduled, revocation.JobQueued} {
			page, err := f.Jobs(f.Context(), revocation.JobFilter{Account: acme, Limit: 10, States: []revocation.JobState{state}})
			f.must(err)
			f.equal("jobs that are "+string(state), state == revocation.JobScheduled, len(page.Entries) == 1)
		}
		f.mustChange(job, revocation.ChangeStart, apiKey, 0)
		f.equal("listed after", 1, listed())
		f.equal("work", []revocation.AccountWork{jobsOfAcme}, f.accountTasks())
	}},
	{"what is due is found, and changed once", func(f *fixture) {
		soon := time.Now().Add(300 * time.Millisecond)
		job := f.bulk(items(1), withNotBefore(soon))
		f.useUpstreamOf(zenith)
		expired := f.bulk(items(1), ofZenithJob, withPreview(-time.Second))
		for _, early := range []struct {
			job    revocation.Job
			change revocation.JobChangeKind
			state  revocation.JobState
		}{
			{f.bulk(items(1), ofZenithJob, withPreview(time.Hour)), revocation.ChangeExpire, revocation.JobPreviewed},
			{f.bulk(items(2), withNotBefore(time.Now().Add(time.Hour))), revocation.ChangeDue, revocation.JobScheduled},
		} {
			seen := f.newest(early.job.Account)
			_, err := f.ChangeJob(f.Context(), early.job.Account, early.job.ID, revocation.JobChange{Kind: early.change, By: revocation.Actor{Type: revocation.ActorService}})
			f.must(err)
			f.state(early.job, early.state)
			f.events(revocation.EventFilter{Account: early.job.Account, After: &seen})
		}
		var due []revocation.DueJob
		for len(due) < 2 {
			pending, err := f.PendingWork(f.Context())
			f.must(err)
			due = pending.Jobs
		}
		for _, d := range due {
			for range 2 {
				_, err := f.ChangeJob(f.Context(), d.Account, d.ID, revocation.JobChange{Kind: d.Change, By: revocation.Actor{Type: revocation.ActorService}})
				f.must(err)
			}
		}
		f.state(job, revocation.JobQueued)
		f.state(expired, revocation.JobExpired)
		pending, err := f.PendingWork(f.Context())
		f.must(err)
		f.equal("due again", 0, len(pending.Jobs))
		for n := 1; n > 0; {
			n, err = f.ClearDropped(f.Context(), 10)
			f.must(err)
		}
		f.state(expired, revocation.JobExpired)
	}},
	{"a change of the platform cancels what has not begun", func(f *fixture) {
		waits := f.bulk(items(1), withNotBefore(time.Now().Add(time.Hour)))
		begun := f.bulk(items(2))
		f.useUpstream()
		f.state(waits, revocation.JobCancelling)
		f.state(begun, revocation.JobQueued)
		previewed := f.bulk(items(1), withPreview(time.Hour))
		f.useUpstream()
		f.state(previewed, revocation.JobPreviewed)
		f.set(func(c *revocation.AccountChange) { c.Upstream = &revocation.UpstreamChange{URL: new(string)} })
		f.state(previewed, revocation.JobCancelling)
	}},
	{"jobs that are accepted at once cannot get around a limit", func(f *fixture) {
		limit := 3
		f.set(func(c *revocation.AccountChange) { c.ConfirmAbove = &limit })
		jobs := make([]revocation.Job, 6)
		for i := range jobs {
			s := f.upload(items(int64(i + 1)))
			jobs[i] = revocation.Job{ID: s.ID, Account: acme}
		}
		var wg sync.WaitGroup
		for i := range jobs {
			wg.Go(func() {
				s := newJob()
				s.ID, s.Total = jobs[i].ID, 1
				_, err := f.FinalizeJob(f.Context(), s)
				if err != nil {
					f.Error(err)
				}
			})
		}
		wg.Wait()
		begun := 0
		for _, job := range jobs {
			if f.job(job).State == revocation.JobQueued {
				begun++
			}
		}
		f.equal("jobs without a preview", limit, begun)
	}},
	{"jobs that are confirmed at once cannot get around a limit", func(f *fixture) {
		f.useUpstream()
		jobs := make([]revocation.Job, 6)
		for i := range jobs {
			jobs[i] = f.bulk(items(int64(i+1)), withPreview(time.Hour))
		}
		limit := 3
		f.set(func(c *revocation.AccountChange) { c.ApproveAbove = &limit })
		var wg sync.WaitGroup
		for i := range jobs {
			wg.Go(func() {
				if _, err := f.change(jobs[i], revocation.ChangeConfirm, uuidv7.New(), 1); err != nil {
					f.Error(err)
				}
			})
		}
		wg.Wait()
		begun := 0
		for _, job := range jobs {
			if f.job(job).State == revocation.JobQueued {
				begun++
			}
		}
		f.equal("jobs without an approval", limit, begun)
	}},
	{"a cancel that races with a start: both or only the cancel", func(f *fixture) {
		for range 20 {
			job := f.bulk(items(1), withNotBefore(time.Now().Add(time.Hour)))
			var started, cancelled error
			var wg sync.WaitGroup
			wg.Go(func() { _, started = f.change(job, revocation.ChangeStart, apiKey, 0) })
			wg.Go(func() { _, cancelled = f.change(job, revocation.ChangeCancel, apiKey, 0) })
			wg.Wait()
			f.must(cancelled)
			j := f.job(job)
			f.equal("state", revocation.JobCancelling, j.State)
			f.equal("begun", started == nil, !j.QueuedAt.IsZero())
			if started != nil {
				f.code(revocation.CodeWrongState, started)
			}
		}
	}},
}

func (f *fixture) useUpstreamOf(account string) {
	f.Helper()
	url := "https://upstream.example"
	f.must(f.SetAccount(f.Context(), revocation.AccountChange{
		ID: account, Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte("sealed")},
	}))
}
