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
	j, err := f.CancelJob(f.Context(), job.Account, job.ID)
	f.must(err)
	f.sound(&j)
	f.same("state", revocation.JobCancelling, j.State)
	f.alike("job", f.look(job), &j)
}

var cancelled = revocation.StatusCancelled

var cancelTests = []test{
	{"a job of which nothing was carried out", func(f *fixture) {
		job := f.bulk([]revocation.Item{item(1), invalid("no"), item(2), item(invites + 1)}, notifyAll)
		f.cancel(job)
		f.state(job, revocation.JobCancelling)
		f.same("pending", 3, f.look(job).Pending())
		f.same("a chunk to carry out", revocation.Chunk{}, f.chunk(acme))
		chunk := f.cancelledChunk(acme)
		f.same("chunk", []any{revocation.Counts{Cancelled: 3}, 0, true}, []any{chunk.Done.Counts, chunk.Done.Mails, chunk.Ended})
		f.state(job, revocation.JobCancelled)
		f.recount(job)
		f.final(rowOf(job, 1), revocation.Revocation{
			ReportID: 1, Job: job.ID, Notify: true, Status: cancelled,
			Notification: revocation.Notification{Status: revocation.NotificationSkipped},
		})
		f.same("outcomes", []revocation.Status{cancelled, revocation.StatusInvalid, cancelled, cancelled}, f.outcomes(job))
		f.idle("after it")
		single := f.fresh(request(1))[0]
		f.carryOut(single)
		f.status(single, revoked, true)
	}},
	{"a job that runs: what was carried out stays", func(f *fixture) {
		job := f.bulk(append(items(1, 2), unknown(revocation.ChunkSize)...))
		f.chunk(acme)
		f.cancel(job)
		f.end(job)
		f.state(job, revocation.JobCancelled)
		f.same("counts", revocation.Counts{Revoked: 2, NotFound: revocation.ChunkSize - 2, Cancelled: 2}, f.look(job).Counts)
	}},
	{"a job of which nothing was taken up has no start", func(f *fixture) {
		never, spilled, ran := f.bulk(items(1)), f.bulk(items(2)), f.bulk(unknown(revocation.ChunkSize+1), zeniths)
		f.chunk(zenith)
		started := f.look(ran).StartedAt
		for _, job := range []revocation.Job{never, spilled, ran} {
			f.cancel(job)
		}
		f.spill(spilled)
		f.work(acme)
		f.work(zenith)
		for _, job := range []revocation.Job{never, spilled} {
			f.state(job, revocation.JobCancelled)
			f.same("started", []any{time.Time{}, 0.0}, []any{f.look(job).StartedAt, f.look(job).ItemsPerSecond()})
		}
		f.state(ran, revocation.JobCancelled)
		f.same("started", started, f.look(ran).StartedAt)
	}},
	{"an attempt under way that ends while its job is being cancelled starts it", func(f *fixture) {
		for name, end := range map[string]func(revocation.Ref){
			"failed":      func(ref revocation.Ref) { f.attemptFails(time.Hour, ref) },
			"failed last": func(ref revocation.Ref) { f.failBy(revocation.RetryPolicy{MaxAttempts: 1}, ref) },
		} {
			job := f.bulk(items(1))
			f.cancel(job)
			f.spill(job)
			f.same(name+", before", time.Time{}, f.look(job).StartedAt)
			end(rowOf(job, 1))
			f.same(name, false, f.look(job).StartedAt.IsZero())
		}
	}},
	{"items that wait are cancelled with the attempts they had", func(f *fixture) {
		job := f.bulk(append(items(1, 2, 3, 4), unknown(5)...), notifyAll)
		f.spill(job)
		f.attemptFails(time.Hour, rowOf(job, 1), rowOf(job, 2))
		f.attemptFails(0, rowOf(job, 3))
		f.attemptFails(time.Hour, next(rowOf(job, 3)))
		f.carryOut(rowOf(job, 4))
		f.cancel(job)
		f.same("retrying", 3, f.look(job).Retrying)
		f.same("ended", []revocation.ID{job.ID}, f.work(acme))
		f.recount(job)
		f.state(job, revocation.JobCancelled)
		f.same("retrying", 0, f.look(job).Retrying)
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
	{"chunks of jobs that are being cancelled are taken apart from the others", func(f *fixture) {
		job, other := f.bulk(items(1)), f.bulk(items(2))
		f.same("none is to be cancelled", revocation.Chunk{}, f.cancelledChunk(acme))
		f.cancel(job)
		f.same("the other's", other.ID, f.chunk(acme).Job)
		f.same("no more", revocation.Chunk{}, f.chunk(acme))
		f.same("of another account", revocation.Chunk{}, f.cancelledChunk(zenith))
		f.same("the job's", job.ID, f.cancelledChunk(acme).Job)
		f.same("outcomes", []revocation.Status{cancelled, revoked}, append(f.outcomes(job), f.outcomes(other)...))
	}},
	{"items that wait are claimed once each, due or not, and no others", func(f *fixture) {
		job, other := f.bulk(items(1, 2, 3, 4)), f.bulk(items(5, 6))
		for _, j := range []revocation.Job{job, other} {
			f.spill(j)
			f.attemptFails(time.Hour, rowOf(j, 1))
		}
		single := f.fresh(request(7))[0]
		f.attemptFails(time.Hour, single)
		f.same("none is to be cancelled", 0, len(f.claimCancelled(acme, 9, time.Hour)))
		f.cancel(job)
		f.same("of another account", 0, len(f.claimCancelled(zenith, 9, time.Hour)))
		var rows []int
		for _, want := range []int{3, 1, 0} {
			due := f.claimCancelled(acme, 3, time.Hour)
			f.same("claimed", want, len(due))
			for _, d := range due {
				f.same("job", job.ID, revocation.JobID(d.ID))
				rows = append(rows, d.ID.Row())
			}
		}
		slices.Sort(rows)
		f.same("rows", []int{1, 2, 3, 4}, rows)
	}},
	{"a decision about an item of a job that is being cancelled knows it", func(f *fixture) {
		job, other := f.bulk(items(1, 3)), f.bulk(items(2, 4))
		f.spill(job)
		f.spill(other)
		f.cancel(job)
		var seen []bool
		knows := func(decide func([]revocation.LockedRevocation) []revocation.Decision) func([]revocation.LockedRevocation) []revocation.Decision {
			return func(held []revocation.LockedRevocation) []revocation.Decision {
				for _, h := range held {
					seen = append(seen, h.Cancelled)
				}
				return decide(held)
			}
		}
		f.carryOutBy(knows(revocation.Decide), rowOf(other, 1), rowOf(job, 1))
		_, err := f.RecordOutcomes(f.Context(), []revocation.Ref{rowOf(other, 2), rowOf(job, 2)}, knows(cancelAll))
		f.must(err)
		f.same("cancelled", []bool{true, false, true, false}, seen)
		f.same("outcomes", []revocation.Status{cancelled, cancelled, revoked, revocation.StatusPending},
			append(f.outcomes(job), f.outcomes(other)...))
	}},
	{"what somebody has in hand is left to them, and given back it is cancelled", func(f *fixture) {
		job := f.bulk(items(1, 2, 3))
		f.spill(job)
		refs := refsOf(f.claimItems(acme, 9, time.Hour))
		f.cancel(job)
		f.same("in hand", 0, len(f.claimCancelled(acme, 9, time.Hour)))
		f.idle("while all is in hand")
		f.same("its decision", cancelled, f.carryOut(refs[0])[0].Status)
		f.attemptFails(time.Hour, refs[1])
		f.state(job, revocation.JobCancelling)
		f.same("retrying", 1, f.look(job).Retrying)
		f.same("work", []revocation.AccountWork{jobsOfAcme}, f.turns())
		f.carryOutBy(postponed(time.Hour), refs[2])
		f.end(job)
		f.same("outcomes", slices.Repeat([]revocation.Status{cancelled}, 3), f.outcomes(job))
	}},
	{"what somebody had in hand and lost is cancelled when its time is over", func(f *fixture) {
		job := f.bulk(items(1))
		f.spill(job)
		f.claimItems(acme, 9, 0)
		f.cancel(job)
		f.same("work", []revocation.AccountWork{jobsOfAcme}, f.turns())
		f.end(job)
		f.same("outcomes", []revocation.Status{cancelled}, f.outcomes(job))
	}},
	{"an attempt that was under way can be the last", func(f *fixture) {
		job := f.bulk(items(1, 2))
		f.spill(job)
		refs := refsOf(f.claimItems(acme, 9, time.Hour))
		f.cancel(job)
		f.failBy(revocation.RetryPolicy{MaxAttempts: 1}, refs...)
		f.state(job, revocation.JobCancelled)
		f.recount(job)
		f.same("outcomes", slices.Repeat([]revocation.Status{revocation.StatusErrorRevoking}, 2), f.outcomes(job))
	}},
	{"a chunk that is spilled while its job is being cancelled", func(f *fixture) {
		job := f.bulk(items(1, 2))
		f.cancel(job)
		f.spill(job)
		f.end(job)
		f.same("outcomes", []revocation.Status{cancelled, cancelled}, f.outcomes(job))
	}},
	{"a job is cancelled again, and another is not", func(f *fixture) {
		job, other := f.bulk(items(1)), f.bulk(items(1))
		f.cancel(job)
		f.cancel(job)
		f.work(acme)
		f.same("states", []revocation.JobState{revocation.JobCancelled, revocation.JobCompleted},
			[]revocation.JobState{f.look(job).State, f.look(other).State})
		f.same("outcomes", []revocation.Status{cancelled, revoked}, slices.Concat(f.outcomes(job), f.outcomes(other)))
	}},
	{"a completed job is not cancelled", func(f *fixture) {
		job := f.bulk(items(1))
		f.end(job)
		was := f.look(job)
		_, err := f.CancelJob(f.Context(), job.Account, job.ID)
		f.code(revocation.CodeJobEnded, err)
		f.alike("job", was, f.look(job))
	}},
	{"a cancelled job that is cancelled again stays as it is", func(f *fixture) {
		job := f.bulk(items(1))
		f.cancel(job)
		f.end(job)
		was := f.look(job)
		got, err := f.CancelJob(f.Context(), job.Account, job.ID)
		f.must(err)
		f.alike("returned", was, &got)
		f.alike("job", was, f.look(job))
	}},
	{"an unknown job, another account's, or an item is not found", func(f *fixture) {
		job := f.bulk(items(1))
		for account, id := range map[string]revocation.ID{acme: revocation.JobID(uuidv7.New()), zenith: job.ID, "nobody": job.ID} {
			_, err := f.CancelJob(f.Context(), account, id)
			f.code(revocation.CodeNotFound, err)
		}
		_, err := f.CancelJob(f.Context(), acme, job.ID.Item(1))
		f.code(revocation.CodeNotFound, err)
		f.state(job, revocation.JobQueued)
	}},
}
