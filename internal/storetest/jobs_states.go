package storetest

import (
	"time"

	"rescind/internal/revocation"
)

var jobsOfAcme = revocation.AccountWork{Task: revocation.JobsTask, Account: acme}

var jobStateTests = []test{
	{"a job is queued, runs and is completed", func(f *fixture) {
		job := f.bulk(unknown(revocation.ChunkSize + 1))
		f.state(job, revocation.JobQueued)
		f.same("ended", false, f.chunk(acme).Ended)
		running := f.look(job)
		f.same("state", revocation.JobRunning, running.State)
		if running.StartedAt.Before(job.CreatedAt()) || running.StartedAt.After(running.ReadAt) || running.StartedAt.Location() != time.UTC {
			f.Errorf("created at %v, started at %v, read at %v", job.CreatedAt(), running.StartedAt, running.ReadAt)
		}
		if running.ItemsPerSecond() <= 0 || !running.ETA().After(running.ReadAt) {
			f.Errorf("%f items a second, ending at %v: %+v", running.ItemsPerSecond(), running.ETA(), running)
		}
		f.same("ended", true, f.chunk(acme).Ended)
		completed := f.look(job)
		f.same("state", revocation.JobCompleted, completed.State)
		f.same("started", running.StartedAt, completed.StartedAt)
		if completed.FinishedAt.Before(completed.StartedAt) || completed.FinishedAt.After(completed.ReadAt) || completed.FinishedAt.Location() != time.UTC {
			f.Errorf("started at %v, finished at %v, read at %v", completed.StartedAt, completed.FinishedAt, completed.ReadAt)
		}
		f.same("finished", completed.FinishedAt, f.look(job).FinishedAt)
		if completed.ItemsPerSecond() <= 0 {
			f.Errorf("%f items a second: %+v", completed.ItemsPerSecond(), completed)
		}
	}},
	{"the first item that is carried out by itself starts a job, the last ends it", func(f *fixture) {
		job := f.bulk(items(1, 2, 3))
		f.spill(job)
		f.claimItems(acme, 9, time.Hour)
		for row, ended := range map[int][]revocation.ID{1: nil, 2: nil} {
			done, err := f.CarryOut(f.Context(), []revocation.Ref{rowOf(job, row)}, revocation.Decide)
			f.must(err)
			f.same("ended", ended, done.Ended)
			f.state(job, revocation.JobRunning)
		}
		done, err := f.CarryOut(f.Context(), []revocation.Ref{rowOf(job, 3)}, revocation.Decide)
		f.must(err)
		f.same("ended", []revocation.ID{job.ID}, done.Ended)
		f.state(job, revocation.JobCompleted)
		done, err = f.CarryOut(f.Context(), []revocation.Ref{rowOf(job, 3)}, revocation.Decide)
		f.must(err)
		f.same("ended again", 0, len(done.Ended))
	}},
	{"a failed attempt starts a job as well", func(f *fixture) {
		job := f.bulk(items(1))
		f.spill(job)
		f.attemptFails(time.Hour, rowOf(job, 1))
		f.state(job, revocation.JobRunning)
	}},
	{"single submissions end no job", func(f *fixture) {
		f.bulk(items(1))
		done, err := f.CarryOut(f.Context(), f.fresh(request(1), request(2)), revocation.Decide)
		f.must(err)
		f.same("ended", 0, len(done.Ended))
	}},
	{"there is work where there are chunks and due items", func(f *fixture) {
		f.idle("at first")
		f.fresh(request(3), request(3, ofZenith))
		f.idle("for single submissions")
		job := f.bulk(items(1, 2))
		f.bulk(items(1, 2))
		f.same("chunks", []revocation.AccountWork{jobsOfAcme}, f.turns())
		f.bulk(items(1), zeniths)
		f.same("chunks of two", []revocation.AccountWork{jobsOfAcme, {Task: revocation.JobsTask, Account: zenith}}, f.turns())
		f.chunk(zenith)
		f.spill(job)
		f.chunk(acme)
		f.same("spilled items", []revocation.AccountWork{jobsOfAcme}, f.turns())
		f.claimItems(acme, 9, time.Hour)
		f.idle("for claimed items")
		f.attemptFails(time.Hour, rowOf(job, 1))
		f.idle("for an item that waits")
		f.attemptFails(0, rowOf(job, 2))
		f.same("a due item", []revocation.AccountWork{jobsOfAcme}, f.turns())
		f.carryOut(next(rowOf(job, 2)))
		f.idle("when the last due item is carried out")
		_, err := f.CancelJob(f.Context(), acme, job.ID)
		f.must(err)
		f.same("an item of a job that is being cancelled", []revocation.AccountWork{jobsOfAcme}, f.turns())
		f.end(job)
		f.idle("at the end")
	}},
	{"there is work where emails of jobs are due", func(f *fixture) {
		mailsOfAcme := revocation.AccountWork{Task: revocation.MailTask, Account: acme}
		f.carryOut(f.fresh(request(3, withNotify))...)
		f.idle("for a single submission's email")
		f.bulk(items(1), notifyAll)
		f.chunk(acme)
		f.same("an email", []revocation.AccountWork{mailsOfAcme}, f.turns())
		f.bulk(items(2, 1))
		f.same("an email and a chunk", []revocation.AccountWork{jobsOfAcme, mailsOfAcme}, f.turns())
		f.chunk(acme)
		email := f.jobEmail(acme, time.Hour)
		f.idle("for a claimed email")
		f.settle(email, revocation.Settlement{Status: revocation.NotificationPending, Delay: time.Hour})
		f.idle("for an email that waits")
		f.bulk(items(4), notifyAll)
		f.chunk(acme)
		email = f.jobEmail(acme, time.Hour)
		f.settle(email, revocation.Settlement{Status: revocation.NotificationPending})
		f.same("one that is due again", []revocation.AccountWork{mailsOfAcme}, f.turns())
		f.jobEmail(acme, 0)
		f.same("one whose claim ran out", []revocation.AccountWork{mailsOfAcme}, f.turns())
		email = f.jobEmail(acme, time.Hour)
		f.same("committed", true, f.commit(email, 0))
		f.same("one that was never settled", []revocation.AccountWork{mailsOfAcme}, f.turns())
		f.same("claimed", 0, len(f.jobEmails(acme, 9, time.Hour)))
		f.idle("when it is unknown")
	}},
}
