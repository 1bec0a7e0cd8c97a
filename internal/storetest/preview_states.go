package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rescind/internal/revocation"
)

// checkItems fails the test unless the job is in the state want and has these items, by all ways to read them. Lists have them
// once the job has begun.
func (f *fixture) checkItems(job revocation.Job, state revocation.JobState, begun bool, want []revocation.Revocation) {
	f.Helper()
	only := func(keep func(r *revocation.Revocation) bool) (some []revocation.Revocation) {
		for i := range want {
			if keep(&want[i]) {
				some = append(some, want[i])
			}
		}
		return some
	}
	pending := only(func(r *revocation.Revocation) bool { return r.Status == revocation.StatusPending })
	f.state(job, state)
	f.allEqualIgnoringTimes("results of a job that is "+string(state), want, f.results(job))
	f.allEqualIgnoringTimes("results that are PENDING", pending,
		f.pages(revocation.ResultFilter{Account: acme, Job: job.ID, Statuses: oneStatus(revocation.StatusPending), Limit: 2000}))
	j := f.job(job)
	var counts revocation.Counts
	for _, r := range want {
		if r.Final {
			*counts.Of(r.Status)++
		}
	}
	f.equal("numbers", []any{len(want), len(pending), 0, counts}, []any{j.Total, j.Pending(), j.Retrying, j.Counts})
	for row := 1; row <= len(want); row += revocation.ChunkSize - 7 {
		f.equalIgnoringTimes("by id", want[row-1], f.read(rowOf(job, row)))
	}
	_, err := f.Revocation(f.Context(), acme, job.ID.Item(len(want)+1))
	f.code(revocation.CodeNotFound, err)
	for what, selection := range map[string]struct {
		filter revocation.Filter
		keep   func(r *revocation.Revocation) bool
	}{
		"all": {revocation.Filter{}, func(*revocation.Revocation) bool { return true }},
		"those of the job that are PENDING": {
			revocation.Filter{JobID: job.ID, Statuses: oneStatus(revocation.StatusPending)},
			func(r *revocation.Revocation) bool { return r.Status == revocation.StatusPending },
		},
		"those of a report": {
			revocation.Filter{ReportID: 1, CreatedAfter: job.CreatedAt().Add(-time.Second)},
			func(r *revocation.Revocation) bool { return r.ReportID == 1 },
		},
	} {
		var listed []revocation.Revocation
		if begun {
			listed = only(func(r *revocation.Revocation) bool { return r.Status != revocation.StatusInvalid && selection.keep(r) })
		}
		selection.filter.Limit = 2000
		f.allEqualIgnoringTimes("list of "+what, listed, f.oldestFirst(selection.filter))
	}
	for _, s := range revocation.JobStates {
		f.equal("listed as "+string(s), s == state, len(f.jobList(revocation.JobFilter{States: []revocation.JobState{s}})) == 1)
	}
	if f.Failed() {
		f.FailNow()
	}
}

// inWork makes a job of acme's that is previewed or carried out in part.
func (f *fixture) inWork(state revocation.JobState) revocation.Job {
	f.Helper()
	if state == revocation.JobPreviewing {
		job := f.bulk(items(1, 2), withPreview(time.Hour))
		_, err := f.PredictChunk(f.Context(), acme)
		f.must(err)
		return job
	}
	job := f.bulk(items(1, 2))
	f.spill(job)
	f.carryOut(rowOf(job, 1))
	return job
}

// answersInWork are like answers, for the states in which workers are at the job.
var answersInWork = map[revocation.JobState]map[revocation.JobChangeKind]any{
	revocation.JobPreviewing: {
		revocation.ChangeConfirm: revocation.CodeWrongState, revocation.ChangeApprove: revocation.CodeWrongState,
		revocation.ChangeStart: revocation.CodeWrongState, revocation.ChangeCancel: revocation.JobCancelling,
		revocation.ChangeDue: revocation.JobPreviewing, revocation.ChangeExpire: revocation.JobPreviewing,
	},
	revocation.JobRunning: {
		revocation.ChangeConfirm: revocation.CodeWrongState, revocation.ChangeApprove: revocation.CodeWrongState,
		revocation.ChangeStart: revocation.CodeWrongState, revocation.ChangeCancel: revocation.JobCancelling,
		revocation.ChangePredicted: revocation.JobRunning, revocation.ChangeDue: revocation.JobRunning,
		revocation.ChangeExpire: revocation.JobRunning,
	},
}

var previewStateTests = []test{
	{"every request has its answer while a job is previewed or carried out", func(f *fixture) {
		f.checkAnswers(answersInWork, f.inWork)
	}},
	{"a confirmation and an approval are answered again while the job runs", func(f *fixture) {
		f.approveAbove(0)
		job := f.preview(items(1, 2))
		f.confirm(job)
		f.mustChange(job, revocation.ChangeApprove, anotherKey, 2)
		f.spill(job)
		f.carryOut(rowOf(job, 1))
		for _, kind := range []revocation.JobChangeKind{revocation.ChangeConfirm, revocation.ChangeApprove} {
			f.equal("state", revocation.JobRunning, f.mustChange(job, kind, anotherKey, 2).State)
			_, err := f.change(job, kind, anotherKey, 1)
			f.code(revocation.CodeWrongState, err)
		}
		j := f.job(job)
		f.equal("keys", []revocation.ID{apiKey, anotherKey}, []revocation.ID{j.ConfirmedBy, j.ApprovedBy})
	}},
	{"items are counted in every state, and listed once their job has begun", func(f *fixture) {
		rows := mixed()[:revocation.ChunkSize+25]
		job := f.bulk(rows, notifyAll, withPreview(time.Hour))
		want := pendingItems(job, rows, true)
		for i := range want {
			want[i].Unconfirmed = !want[i].Final
		}
		_, err := f.PredictChunk(f.Context(), acme) // of two
		f.must(err)
		f.checkItems(job, revocation.JobPreviewing, false, want)
		f.predict(acme)
		for i := range want {
			switch r := &want[i]; {
			case r.Final:
				r.Predicted = revocation.StatusInvalid
			case r.ReportID <= invites:
				r.Predicted = revoked
			default:
				r.Predicted = missing
			}
		}
		f.checkItems(job, revocation.JobPreviewed, false, want)
		f.set(func(c *revocation.AccountChange) { c.Hold = new(time.Hour) })
		f.confirm(*f.job(job))
		for i := range want {
			want[i].Unconfirmed = false
		}
		f.state(job, revocation.JobScheduled)
		f.equal("listed while the job waits for its time", []revocation.ID{}, f.list(revocation.Filter{}))
		f.mustChange(job, revocation.ChangeStart, apiKey, 0)
		f.checkItems(job, revocation.JobQueued, true, want)
		f.chunk(acme)
		for i := range revocation.ChunkSize {
			attempts := 0
			if want[i].Predicted == revoked {
				attempts = 1
			}
			applyOutcome(want, i, i+1, attempts, func(r *revocation.Revocation) revocation.Status { return r.Predicted })
		}
		f.checkItems(job, revocation.JobRunning, true, want)
		f.cancel(job)
		f.end(job)
		applyOutcome(want, 0, len(want), 0, func(*revocation.Revocation) revocation.Status { return cancelled })
		f.checkItems(job, revocation.JobCancelled, true, want)
	}},
	{"readers see a job's numbers add up, and all or none of its items, while it is previewed and carried out", func(f *fixture) {
		ctx, cancel := context.WithTimeout(f.Context(), maxWait)
		defer cancel()
		job := f.bulk(append(items(1, 2, 3, 1), unknown(revocation.ChunkSize)...), withPreview(time.Hour))
		_, err := concurrently(3, func(i int) (struct{}, error) {
			switch i {
			case 0:
				return struct{}{}, f.follow(ctx, job)
			case 1:
				return struct{}{}, f.listWhole(ctx, job)
			}
			if _, err := f.predictAll(ctx, acme); err != nil {
				return struct{}{}, err
			}
			j, err := f.Job(ctx, acme, job.ID)
			if err == nil {
				_, err = f.ChangeJob(ctx, acme, job.ID, confirmation(j))
			}
			if err == nil {
				_, err = f.finishJob(ctx, acme, job.ID)
			}
			return struct{}{}, err
		})
		f.must(err)
		f.recount(job)
		f.equal("counts", revocation.Counts{Revoked: 3, AlreadyRevoked: 1, NotFound: revocation.ChunkSize}, f.job(job).Counts)
	}},
}

// listWhole lists the items of a job until it has ended. They must be all there when the job has begun, and none before.
func (f *fixture) listWhole(ctx context.Context, job revocation.Job) error {
	begun := func() (bool, bool, error) {
		j, err := f.Job(ctx, acme, job.ID)
		if err == nil && j.Preview.Predicted.Sum() > j.Total {
			err = fmt.Errorf("%d items are predicted of %d", j.Preview.Predicted.Sum(), j.Total)
		}
		return !j.QueuedAt.IsZero(), j.Ended(), err
	}
	for {
		before, ended, err := begun()
		if err != nil {
			return err
		}
		all, err := readAll(ctx, func(last revocation.ID) (revocation.Page[revocation.Revocation], error) {
			return f.Revocations(ctx, revocation.Filter{Account: acme, JobID: job.ID, Before: last, Limit: job.Total + 1})
		})
		if err != nil {
			return err
		}
		after, _, err := begun()
		switch {
		case err != nil:
			return err
		case before && len(all) != job.Total, len(all) > 0 && !after:
			return fmt.Errorf("%d of %d items are listed of a job that has begun before: %t, after: %t", len(all), job.Total, before, after)
		case ended:
			return nil
		case ctx.Err() != nil:
			return errors.New("the job does not end")
		}
	}
}
