package storetest

import (
	"fmt"
	"slices"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

func (f *fixture) confirmAbove(limit int) {
	f.Helper()
	f.set(func(c *revocation.AccountChange) { c.ConfirmAbove = &limit })
}

func (f *fixture) approveAbove(limit int) {
	f.Helper()
	f.set(func(c *revocation.AccountChange) { c.ApproveAbove = &limit })
}

// bulkInState uploads a job of acme's with n invites that exist and a row that cannot be read, and fails the test unless its
// state is then want.
func (f *fixture) bulkInState(what string, want revocation.JobState, n int, with ...func(*revocation.FinalJob)) revocation.Job {
	f.Helper()
	job := f.bulk(append(items(ownReports()[:n]...), invalid("no")), with...)
	f.equal("state of "+what, want, job.State)
	return job
}

// confirmedInState previews a job of acme's with n invites that can be revoked and one that does not exist, confirms it by a key of
// its own, and fails the test unless its state is then want.
func (f *fixture) confirmedInState(what string, want revocation.JobState, n int) revocation.Job {
	f.Helper()
	job := f.preview(items(append(ownReports()[invites-n:], invites+1)...))
	f.equal("predicted of "+what, n, job.Preview.Predicted.Revoked)
	change := confirmation(job)
	change.By = revocation.ByKey(uuidv7.New())
	job, err := f.ChangeJob(f.Context(), acme, job.ID, change)
	f.must(err)
	f.equal("state of "+what, want, job.State)
	return job
}

var limitTests = []test{
	{"what is accepted one after the other adds up, with what has ended", func(f *fixture) {
		f.confirmAbove(5)
		f.bulkInState("the first", revocation.JobQueued, 2)
		f.bulkInState("the second", revocation.JobQueued, 2)
		third := f.bulkInState("what is over the limit", revocation.JobPreviewing, 2)
		f.cancel(third)
		f.work(acme)
		f.bulkInState("what fills the limit after the others have ended", revocation.JobQueued, 1)
		f.bulkInState("what comes after that", revocation.JobPreviewing, 1)
		f.bulk(items(1), ofZenithJob)
		f.confirmAbove(6)
		f.bulkInState("what another account's job does not count for", revocation.JobQueued, 1)
	}},
	{"what was previewed and confirmed counts for no confirmation, and what was approved for no approval", func(f *fixture) {
		f.confirmAbove(2)
		f.approveAbove(3)
		f.confirmedInState("the first", revocation.JobQueued, 2)
		second := f.confirmedInState("the second", revocation.JobAwaitingApproval, 2)
		third := f.confirmedInState("one beside a job that waits", revocation.JobAwaitingApproval, 1)
		f.mustChange(second, revocation.ChangeApprove, anotherKey, 2)
		f.confirmedInState("one beside another that waits", revocation.JobAwaitingApproval, 1)
		f.cancel(third)
		f.bulkInState("what needs no look", revocation.JobPreviewing, 1)
		for _, job := range f.jobList(revocation.JobFilter{States: []revocation.JobState{revocation.JobAwaitingApproval}}) {
			f.mustChange(revocation.Job{Account: acme, ID: job}, revocation.ChangeApprove, anotherKey, 1)
		}
		f.bulkInState("what fits beside the first", revocation.JobQueued, 1)
		f.confirmedInState("what comes after that", revocation.JobAwaitingApproval, 1)
	}},
	{"a retry has the account's hold and limits, and its items count", func(f *fixture) {
		failed := f.bulk(items(1, 2))
		f.spill(failed)
		f.failBy(revocation.RetryPolicy{MaxAttempts: 1}, rowOf(failed, 1), rowOf(failed, 2))
		f.state(failed, revocation.JobCompleted)
		f.set(func(c *revocation.AccountChange) { c.Hold = new(time.Hour) })
		f.confirmAbove(3)
		over := f.bulk(items(1, 2), retrying(failed))
		f.equal("state of a retry over the limit", revocation.JobPreviewing, over.State)
		f.cancel(over)
		f.end(over)
		f.confirmAbove(4)
		within := f.bulk(items(1, 2), retrying(failed))
		f.equal("state of a retry", revocation.JobScheduled, within.State)
		if hold := within.DueAt.Sub(f.job(within).ReadAt); hold <= 0 || hold > time.Hour {
			f.Errorf("a retry begins in %v, and the hold is an hour", hold)
		}
		f.equal("chunk", revocation.Chunk{}, f.chunk(acme))
		f.bulkInState("a job beside it", revocation.JobPreviewing, 1)
	}},
	{"what waits for its time counts after a day too, and what has begun does not", func(f *fixture) {
		same := time.Now().Add(48 * time.Hour)
		f.confirmAbove(4)
		f.approveAbove(4)
		scheduled := []revocation.Job{
			f.bulkInState("the first of a moment", revocation.JobScheduled, 1, withNotBefore(same)),
			f.bulkInState("the second of the moment", revocation.JobScheduled, 2, withNotBefore(same)),
		}
		f.bulkInState("one that begins", revocation.JobQueued, 1)
		over := f.bulkInState("the third of the moment", revocation.JobPreviewing, 1, withNotBefore(same))
		f.cancel(over)
		f.work(acme)
		f.tables.Pass(f, revocation.LimitWindow+time.Minute)
		f.bulkInState("what fits a day later", revocation.JobQueued, 1)
		f.bulkInState("what comes after that", revocation.JobPreviewing, 1, withNotBefore(same))
		f.confirmedInState("a confirmed one", revocation.JobAwaitingApproval, 1)
		f.mustChange(scheduled[1], revocation.ChangeStart, apiKey, 0)
		f.bulkInState("what fits when one has begun", revocation.JobQueued, 1)
		f.bulkInState("what comes after all", revocation.JobPreviewing, 1)
	}},
	{"what was cancelled before it began does not count, and what had begun does", func(f *fixture) {
		f.confirmAbove(2)
		f.approveAbove(2)
		f.cancel(f.bulkInState("one that waits", revocation.JobScheduled, 2, withNotBefore(time.Now().Add(time.Hour))))
		f.bulkInState("one beside a job that is being cancelled", revocation.JobScheduled, 2, withNotBefore(time.Now().Add(time.Hour)))
		f.cancel(revocation.Job{Account: acme, ID: f.jobList(revocation.JobFilter{Limit: 1})[0]})
		f.work(acme)
		f.cancel(f.bulkInState("one beside cancelled jobs", revocation.JobQueued, 2))
		f.bulkInState("one beside a begun job that is being cancelled", revocation.JobPreviewing, 1)
		f.work(acme)
		f.bulkInState("one beside a begun job that was cancelled", revocation.JobPreviewing, 1)
	}},
	{"of two jobs that exceed a limit together one is held up, whichever keys confirm or accept them at once", func(f *fixture) {
		for i := range 20 {
			f.exceedTogether(fmt.Sprint("race-", i), i%2 == 0)
		}
	}},
}

// exceedTogether has two jobs of a new account exceed its limit for approvals at once: two that are confirmed by two keys, or
// one that is accepted while the other is confirmed.
func (f *fixture) exceedTogether(account string, accepted bool) {
	f.Helper()
	limit, none := 3, -1
	url := "https://upstream.example" // where previews are complete at once
	f.must(f.SetAccount(f.Context(), revocation.AccountChange{
		ID: account, ApproveAbove: &none, Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte("sealed")},
	}))
	ofAccount := func(s *revocation.FinalJob) { s.Account, s.PreviewTTL = account, time.Hour }
	keys := []revocation.ID{uuidv7.New(), uuidv7.New()}
	jobs := []revocation.Job{f.bulk(items(1, 2), ofAccount, withPreview(time.Hour)), {}}
	var upload revocation.FinalJob
	if accepted {
		upload = f.upload(items(3, 4), ofAccount)
	} else {
		jobs[1] = f.bulk(items(3, 4), ofAccount, withPreview(time.Hour))
	}
	f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: account, ApproveAbove: &limit}))
	raced, err := concurrently(2, func(i int) (revocation.Job, error) {
		if i == 1 && accepted {
			return f.FinalizeJob(f.Context(), upload)
		}
		return f.change(jobs[i], revocation.ChangeConfirm, keys[i], 2)
	})
	f.must(err)
	begun := slices.IndexFunc(raced, func(j revocation.Job) bool { return j.State == revocation.JobQueued })
	if begun < 0 {
		f.Fatalf("both are held up: %s and %s", raced[0].State, raced[1].State)
	}
	held := raced[1-begun]
	if accepted && begun == 0 {
		f.equal("state of what was accepted", revocation.JobPreviewed, held.State)
		return
	}
	f.equal("state of the other", revocation.JobAwaitingApproval, held.State)
	_, err = f.change(held, revocation.ChangeApprove, keys[1-begun], 2)
	f.code(revocation.CodeSameKey, err)
	f.equal("state when another key has approved it", revocation.JobQueued, f.mustChange(held, revocation.ChangeApprove, keys[begun], 2).State)
}
