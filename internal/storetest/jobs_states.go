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
		f.equal("ended", false, f.chunk(acme).Ended)
		running := f.job(job)
		f.equal("state", revocation.JobRunning, running.State)
		if running.StartedAt.Before(job.CreatedAt()) || running.StartedAt.After(running.ReadAt) || running.StartedAt.Location() != time.UTC {
			f.Errorf("created at %v, started at %v, read at %v", job.CreatedAt(), running.StartedAt, running.ReadAt)
		}
		if running.ItemsPerSecond() <= 0 || !running.ETA().After(running.ReadAt) {
			f.Errorf("%f items a second, ending at %v: %+v", running.ItemsPerSecond(), running.ETA(), running)
		}
		f.equal("ended", true, f.chunk(acme).Ended)
		completed := f.job(job)
		f.equal("state", revocation.JobCompleted, completed.State)
		f.equal("started", running.StartedAt, completed.StartedAt)
		if completed.FinishedAt.Before(completed.StartedAt) || completed.FinishedAt.After(completed.ReadAt) || completed.FinishedAt.Location() != time.UTC {
			f.Errorf("started at %v, finished at %v, read at %v", completed.StartedAt, completed.FinishedAt, completed.ReadAt)
		}
		f.equal("finished", completed.FinishedAt, f.job(job).FinishedAt)
		if completed.ItemsPerSecond() <= 0 {
			f.Errorf("%f items a second: %+v", completed.ItemsPerSecond(), completed)
		}
	}},
	{"the first outcome of a work item starts a job, the last ends it", func(f *fixture) {
		job := f.bulk(items(1, 2, 3))
		f.spill(job)
		f.claimItems(acme, 9, time.Hour)
		for row, ended := range map[int][]revocation.ID{1: nil, 2: nil} {
			done, err := f.CarryOut(f.Context(), []revocation.Ref{rowOf(job, row)}, revocation.Decide)
			f.must(err)
			f.equal("ended", ended, done.Ended)
			f.state(job, revocation.JobRunning)
		}
		done, err := f.CarryOut(f.Context(), []revocation.Ref{rowOf(job, 3)}, revocation.Decide)
		f.must(err)
		f.equal("ended", []revocation.ID{job.ID}, done.Ended)
		f.state(job, revocation.JobCompleted)
		done, err = f.CarryOut(f.Context(), []revocation.Ref{rowOf(job, 3)}, revocation.Decide)
		f.must(err)
		f.equal("ended again", 0, len(done.Ended))
	}},
	{"a failed attempt also starts a job", func(f *fixture) {
		job := f.bulk(items(1))
		f.spill(job)
		f.attemptFails(time.Hour, rowOf(job, 1))
		f.state(job, revocation.JobRunning)
		f.equal("retrying", 1, f.job(job).Retrying)
	}},
	{"single submissions end no job", func(f *fixture) {
		f.bulk(items(1))
		done, err := f.CarryOut(f.Context(), f.submitNew(request(1), request(2)), revocation.Decide)
		f.must(err)
		f.equal("ended", 0, len(done.Ended))
	}},
	{"chunks and due items are work", func(f *fixture) {
		f.noWork("at first")
		f.submitNew(request(3), request(3, ofZenith))
		f.noWork("for single submissions")
		job := f.bulk(items(1, 2))
		f.bulk(items(1, 2))
		f.equal("chunks", []revocation.AccountWork{jobsOfAcme}, f.accountTasks())
		f.bulk(items(1), ofZenithJob)
		f.equal("chunks of two", []revocation.AccountWork{jobsOfAcme, {Task: revocation.JobsTask, Account: zenith}}, f.accountTasks())
		f.chunk(zenith)
		f.spill(job)
		f.chunk(acme)
		f.equal("spilled items", []revocation.AccountWork{jobsOfAcme}, f.accountTasks())
		f.claimItems(acme, 9, time.Hour)
		f.noWork("for claimed items")
		f.attemptFails(time.Hour, rowOf(job, 1))
		f.noWork("for an item that waits")
		f.attemptFails(0, rowOf(job, 2))
		f.equal("a due item", []revocation.AccountWork{jobsOfAcme}, f.accountTasks())
		f.carryOut(next(rowOf(job, 2)))
		f.noWork("when the last due item is carried out")
		_, err := cancelJob(f.Context(), f.Store, acme, job.ID)
		f.must(err)
		f.equal("an item of a job that is being cancelled", []revocation.AccountWork{jobsOfAcme}, f.accountTasks())
		f.end(job)
		f.noWork("at the end")
	}},
	{"due emails of jobs are work", func(f *fixture) {
		mailsOfAcme := revocation.AccountWork{Task: revocation.MailTask, Account: acme}
		f.carryOut(f.submitNew(request(3, withNotify))...)
		f.noWork("for a single submission's email")
		f.bulk(items(1), notifyAll)
		f.chunk(acme)
		f.equal("an email", []revocation.AccountWork{mailsOfAcme}, f.accountTasks())
		f.bulk(items(2, 1))
		f.equal("an email and a chunk", []revocation.AccountWork{jobsOfAcme, mailsOfAcme}, f.accountTasks())
		f.chunk(acme)
		email := f.jobEmail(acme, time.Hour)
		f.noWork("for a claimed email")
		f.settle(email, revocation.Settlement{Status: revocation.NotificationPending, Delay: time.Hour})
		f.noWork("for an email that waits")
		f.bulk(items(4), notifyAll)
		f.chunk(acme)
		email = f.jobEmail(acme, time.Hour)
		f.settle(email, revocation.Settlement{Status: revocation.NotificationPending})
		f.equal("one that is due again", []revocation.AccountWork{mailsOfAcme}, f.accountTasks())
		f.jobEmail(acme, 0)
		f.equal("one whose claim ran out", []revocation.AccountWork{mailsOfAcme}, f.accountTasks())
		email = f.jobEmail(acme, time.Hour)
		f.equal("committed", true, f.commit(email, 0))
		f.equal("one that was never settled", []revocation.AccountWork{mailsOfAcme}, f.accountTasks())
		f.equal("claimed", 0, len(f.jobEmails(acme, 9, time.Hour)))
		f.noWork("when it is unknown")
	}},
}
