package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// cancel cancels a job that has not ended.
func (f *fixture) cancel(job revocation.Job) {
	f.Helper()
	j, err := cancelJob(f.Context(), f.Store, job.Account, job.ID)
	f.must(err)
	f.checkNumbers(&j)
	f.equal("state", revocation.JobCancelling, j.State)
	f.equalIgnoringTimes("job", f.job(job), &j)
}

var cancelled = revocation.StatusCancelled

var cancelTests = []test{
	{"a job without outcomes", func(f *fixture) {
		job := f.bulk([]revocation.Item{item(1), invalid("no"), item(2), item(invites + 1)}, notifyAll)
		f.cancel(job)
		f.state(job, revocation.JobCancelling)
		f.equal("pending", 3, f.job(job).Pending())
		f.equal("cancelled by", apiKey, f.job(job).CancelledBy)
		f.equal("a chunk to carry out", revocation.Chunk{}, f.chunk(acme))
		chunk := f.cancelledChunk(acme)
		f.equal("chunk", []any{revocation.Counts{Cancelled: 3}, 0, true}, []any{chunk.Done.Counts, chunk.Done.Mails, chunk.Ended})
		f.state(job, revocation.JobCancelled)
		f.recount(job)
		f.final(rowOf(job, 1), revocation.Revocation{
			ReportID: 1, Job: job.ID, Notify: true, Status: cancelled,
			Notification: revocation.Notification{Status: revocation.NotificationSkipped},
		})
		f.equal("outcomes", []revocation.Status{cancelled, revocation.StatusInvalid, cancelled, cancelled}, f.outcomes(job))
		f.noWork("after it")
		single := f.submitNew(request(1))[0]
		f.carryOut(single)
		f.status(single, revoked, true)
	}},
	{"a running job keeps its outcomes", func(f *fixture) {
		job := f.bulk(append(items(1, 2), unknown(revocation.ChunkSize)...))
		f.chunk(acme)
		f.cancel(job)
		f.end(job)
		f.state(job, revocation.JobCancelled)
		f.equal("counts", revocation.Counts{Revoked: 2, NotFound: revocation.ChunkSize - 2, Cancelled: 2}, f.job(job).Counts)
	}},
	{"a job without attempts has no start time", func(f *fixture) {
		never, spilled, ran := f.bulk(items(1)), f.bulk(items(2)), f.bulk(unknown(revocation.ChunkSize+1), ofZenithJob)
		f.chunk(zenith)
		started := f.job(ran).StartedAt
		for _, job := range []revocation.Job{never, spilled, ran} {
			f.cancel(job)
		}
		f.spill(spilled)
		f.work(acme)
		f.work(zenith)
		for _, job := range []revocation.Job{never, spilled} {
			f.state(job, revocation.JobCancelled)
			f.equal("started", []any{time.Time{}, 0.0}, []any{f.job(job).StartedAt, f.job(job).ItemsPerSecond()})
		}
		f.state(ran, revocation.JobCancelled)
		f.equal("started", started, f.job(ran).StartedAt)
	}},
	{"an attempt that ends while its job is being cancelled sets the start time", func(f *fixture) {
		for name, end := range map[string]func(revocation.Ref){
			"failed":      func(ref revocation.Ref) { f.attemptFails(time.Hour, ref) },
			"failed last": func(ref revocation.Ref) { f.failBy(revocation.RetryPolicy{MaxAttempts: 1}, ref) },
		} {
			job := f.bulk(items(1))
			f.cancel(job)
			f.spill(job)
			f.equal(name+", before", time.Time{}, f.job(job).StartedAt)
			end(rowOf(job, 1))
			f.equal(name, false, f.job(job).StartedAt.IsZero())
		}
	}},
	{"waiting items are cancelled and keep their attempts", func(f *fixture) {
		job := f.bulk(append(items(1, 2, 3, 4), unknown(5)...), notifyAll)
		f.spill(job)
		f.attemptFails(time.Hour, rowOf(job, 1), rowOf(job, 2))
		f.attemptFails(0, rowOf(job, 3))
		f.attemptFails(time.Hour, next(rowOf(job, 3)))
		f.carryOut(rowOf(job, 4))
		f.cancel(job)
		f.equal("retrying", 3, f.job(job).Retrying)
		f.equal("ended", []revocation.ID{job.ID}, f.work(acme))
		f.recount(job)
		f.state(job, revocation.JobCancelled)
		f.equal("retrying", 0, f.job(job).Retrying)
		for row, want := range map[int]revocation.Revocation{
			1: {ReportID: 1, Status: cancelled, Attempts: 1},
			3: {ReportID: 3, Status: cancelled, Attempts: 2},
			4: {ReportID: 4, Status: revoked, Attempts: 1},
			5: {ReportID: invites + 1, Status: cancelled},
		} {
			want.Job, want.Notify = job.ID, true
			want.Notification.Status = revocation.NotificationSkipped
			if want.Status == revoked {
				want.Notification.Status = revocation.NotificationPending
			}
			f.final(rowOf(job, row), want)
		}
	}},
	{"chunks of jobs that are being cancelled are claimed separately", func(f *fixture) {
		job, other := f.bulk(items(1)), f.bulk(items(2))
		f.equal("nothing to cancel", revocation.Chunk{}, f.cancelledChunk(acme))
		f.cancel(job)
		f.equal("the other's", other.ID, f.chunk(acme).Job)
		f.equal("no more", revocation.Chunk{}, f.chunk(acme))
		f.equal("of another account", revocation.Chunk{}, f.cancelledChunk(zenith))
		f.equal("the job's", job.ID, f.cancelledChunk(acme).Job)
		f.equal("outcomes", []revocation.Status{cancelled, revoked}, append(f.outcomes(job), f.outcomes(other)...))
	}},
	{"each waiting item of a cancelled job is claimed once, due or not", func(f *fixture) {
		job, other := f.bulk(items(1, 2, 3, 4)), f.bulk(items(5, 6))
		for _, j := range []revocation.Job{job, other} {
			f.spill(j)
			f.attemptFails(time.Hour, rowOf(j, 1))
		}
		single := f.submitNew(request(7))[0]
		f.attemptFails(time.Hour, single)
		f.equal("nothing to cancel", 0, len(f.claimCancelled(acme, 9, time.Hour)))
		f.cancel(job)
		f.equal("of another account", 0, len(f.claimCancelled(zenith, 9, time.Hour)))
		var rows []int
		for _, want := range []int{3, 1, 0} {
			due := f.claimCancelled(acme, 3, time.Hour)
			f.equal("claimed", want, len(due))
			for _, d := range due {
				f.equal("job", job.ID, revocation.JobID(d.ID))
				rows = append(rows, d.ID.Row())
			}
		}
		slices.Sort(rows)
		f.equal("rows", []int{1, 2, 3, 4}, rows)
	}},
	{"the decision sees that the job is being cancelled", func(f *fixture) {
		job, other := f.bulk(items(1, 3)), f.bulk(items(2, 4))
		f.spill(job)
		f.spill(other)
		f.cancel(job)
		var seen []bool
		recordCancelled := func(decide func([]revocation.LockedRevocation) []revocation.Decision) func([]revocation.LockedRevocation) []revocation.Decision {
			return func(locked []revocation.LockedRevocation) []revocation.Decision {
				for _, h := range locked {
					seen = append(seen, h.Cancelled)
				}
				return decide(locked)
			}
		}
		f.carryOutBy(recordCancelled(revocation.Decide), rowOf(other, 1), rowOf(job, 1))
		_, err := f.RecordOutcomes(f.Context(), []revocation.Ref{rowOf(other, 2), rowOf(job, 2)}, recordCancelled(cancelAll))
		f.must(err)
		f.equal("cancelled", []bool{true, false, true, false}, seen)
		f.equal("outcomes", []revocation.Status{cancelled, cancelled, revoked, revocation.StatusPending},
			append(f.outcomes(job), f.outcomes(other)...))
	}},
	{"a claimed item is cancelled when its worker releases it", func(f *fixture) {
		job := f.bulk(items(1, 2, 3))
		f.spill(job)
		refs := refsOf(f.claimItems(acme, 9, time.Hour))
		f.cancel(job)
		f.equal("claimed items", 0, len(f.claimCancelled(acme, 9, time.Hour)))
		f.noWork("while all items are claimed")
		f.equal("the decision", cancelled, f.carryOut(refs[0])[0].Status)
		f.attemptFails(time.Hour, refs[1])
		f.state(job, revocation.JobCancelling)
		f.equal("retrying", 1, f.job(job).Retrying)
		f.equal("work", []revocation.AccountWork{jobsOfAcme}, f.accountTasks())
		f.carryOutBy(postponed(time.Hour), refs[2])
		f.end(job)
		f.equal("outcomes", slices.Repeat([]revocation.Status{cancelled}, 3), f.outcomes(job))
	}},
	{"an item whose worker died is cancelled after its visibility timeout", func(f *fixture) {
		job := f.bulk(items(1))
		f.spill(job)
		f.claimItems(acme, 9, 0)
		f.cancel(job)
		f.equal("work", []revocation.AccountWork{jobsOfAcme}, f.accountTasks())
		f.end(job)
		f.equal("outcomes", []revocation.Status{cancelled}, f.outcomes(job))
	}},
	{"the last attempt may end while the job is being cancelled", func(f *fixture) {
		job := f.bulk(items(1, 2))
		f.spill(job)
		refs := refsOf(f.claimItems(acme, 9, time.Hour))
		f.cancel(job)
		f.failBy(revocation.RetryPolicy{MaxAttempts: 1}, refs...)
		f.state(job, revocation.JobCancelled)
		f.recount(job)
		f.equal("outcomes", slices.Repeat([]revocation.Status{revocation.StatusErrorRevoking}, 2), f.outcomes(job))
	}},
	{"a chunk that is spilled while its job is being cancelled", func(f *fixture) {
		job := f.bulk(items(1, 2))
		f.cancel(job)
		f.spill(job)
		f.end(job)
		f.equal("outcomes", []revocation.Status{cancelled, cancelled}, f.outcomes(job))
	}},
	{"cancelling a job twice does not cancel another", func(f *fixture) {
		job, other := f.bulk(items(1)), f.bulk(items(1))
		f.cancel(job)
		f.cancel(job)
		f.work(acme)
		f.equal("states", []revocation.JobState{revocation.JobCancelled, revocation.JobCompleted},
			[]revocation.JobState{f.job(job).State, f.job(other).State})
		f.equal("outcomes", []revocation.Status{cancelled, revoked}, slices.Concat(f.outcomes(job), f.outcomes(other)))
	}},
	{"a completed job is not cancelled", func(f *fixture) {
		job := f.bulk(items(1))
		f.end(job)
		was := f.job(job)
		_, err := cancelJob(f.Context(), f.Store, job.Account, job.ID)
		f.code(revocation.CodeJobEnded, err)
		f.equalIgnoringTimes("job", was, f.job(job))
	}},
	{"a cancelled job that is cancelled again stays as it is", func(f *fixture) {
		job := f.bulk(items(1))
		f.cancel(job)
		f.end(job)
		was := f.job(job)
		got, err := cancelJob(f.Context(), f.Store, job.Account, job.ID)
		f.must(err)
		f.equalIgnoringTimes("returned", was, &got)
		f.equalIgnoringTimes("job", was, f.job(job))
	}},
	{"an unknown job, another account's, or an item is not found", func(f *fixture) {
		job := f.bulk(items(1))
		for account, id := range map[string]revocation.ID{acme: revocation.JobID(uuidv7.New()), zenith: job.ID, "nobody": job.ID} {
			_, err := cancelJob(f.Context(), f.Store, account, id)
			f.code(revocation.CodeNotFound, err)
		}
		_, err := cancelJob(f.Context(), f.Store, acme, job.ID.Item(1))
		f.code(revocation.CodeNotFound, err)
		f.state(job, revocation.JobQueued)
	}},
}
