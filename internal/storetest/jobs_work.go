package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"rescind/internal/revocation"
)

// chunk carries out a chunk of one of the account's jobs, if there is one.
func (f *fixture) chunk(account string) revocation.Chunk {
	f.Helper()
	c, err := f.CarryOutChunk(f.Context(), account)
	f.must(err)
	c.MoreWork = false // another test checks it
	return c
}

// cancelledChunk does the same with jobs that are being cancelled.
func (f *fixture) cancelledChunk(account string) revocation.Chunk {
	f.Helper()
	c, err := f.CancelChunk(f.Context(), account)
	f.must(err)
	c.MoreWork = false
	return c
}

// takeChunk cancels a chunk or carries one out.
func (f *fixture) takeChunk(ctx context.Context, account string, cancelled bool) (revocation.Chunk, error) {
	if cancelled {
		return f.CancelChunk(ctx, account)
	}
	return f.CarryOutChunk(ctx, account)
}

// claimKind claims items that are to be cancelled or items that are due.
func (f *fixture) claimKind(
	ctx context.Context, account string, cancelled bool, limit int, visibilityTimeouts []time.Duration,
) ([]revocation.DueAttempt, error) {
	if cancelled {
		return f.ClaimCancelledItems(ctx, account, limit, visibilityTimeouts)
	}
	return f.ClaimDueItems(ctx, account, limit, visibilityTimeouts)
}

// chunkOf returns the n-th chunk of a job. The first has the number 0.
func chunkOf(job revocation.Job, n int) revocation.Chunk {
	return revocation.Chunk{
		Account: job.Account, Job: job.ID,
		First: n*revocation.ChunkSize + 1, Last: min((n+1)*revocation.ChunkSize, job.Total),
	}
}

// spill creates work items for the items of a job's first chunk.
func (f *fixture) spill(job revocation.Job) {
	f.Helper()
	f.must(f.SpillChunk(f.Context(), chunkOf(job, 0)))
}

// claimItems claims at most limit due items of the account's jobs. It returns them in the order of their ids.
func (f *fixture) claimItems(account string, limit int, visibilityTimeouts ...time.Duration) []revocation.DueAttempt {
	f.Helper()
	return f.claim(account, false, limit, visibilityTimeouts)
}

// claimCancelled does the same with items of jobs that are being cancelled.
func (f *fixture) claimCancelled(account string, limit int, visibilityTimeouts ...time.Duration) []revocation.DueAttempt {
	f.Helper()
	return f.claim(account, true, limit, visibilityTimeouts)
}

func (f *fixture) claim(account string, cancelled bool, limit int, visibilityTimeouts []time.Duration) []revocation.DueAttempt {
	f.Helper()
	due, err := f.claimKind(f.Context(), account, cancelled, limit, visibilityTimeouts)
	f.must(err)
	if len(due) > limit {
		f.Errorf("%d claimed, want at most %d", len(due), limit)
	}
	slices.SortFunc(due, func(a, b revocation.DueAttempt) int { return a.ID.Compare(b.ID) })
	return due
}

func refsOf(due []revocation.DueAttempt) []revocation.Ref {
	refs := make([]revocation.Ref, len(due))
	for i, d := range due {
		refs[i] = d.Ref
	}
	return refs
}

// dueRows claims the due items of acme's jobs and returns their rows.
func (f *fixture) dueRows() []int {
	f.Helper()
	rows := []int{}
	for _, d := range f.claimItems(acme, 100, time.Hour) {
		rows = append(rows, d.ID.Row())
	}
	return rows
}

// work carries out the due work of the account's jobs until no work is left. It returns the jobs that ended.
func (f *fixture) work(account string) []revocation.ID {
	f.Helper()
	ended, err := f.drainJobs(f.Context(), account)
	f.must(err)
	return ended
}

// drainJobs is like work, but goroutines that run concurrently may call it.
func (f *fixture) drainJobs(ctx context.Context, account string) (ended []revocation.ID, err error) {
	for {
		found := false
		for _, cancelled := range []bool{true, false} {
			due, err := f.claimKind(ctx, account, cancelled, 256, []time.Duration{time.Hour})
			if err != nil {
				return ended, err
			}
			for refs := refsOf(due); len(refs) > 0; {
				var done revocation.BatchResult
				if cancelled {
					done, err = f.RecordOutcomes(ctx, refs, cancelAll)
				} else {
					done, err = f.CarryOut(ctx, refs, decideWithoutDelay)
				}
				if err != nil {
					return ended, err
				}
				ended, refs = append(ended, done.Ended...), done.Locked
			}
			c, err := f.takeChunk(ctx, account, cancelled)
			if err != nil {
				return ended, err
			}
			if c.Ended {
				ended = append(ended, c.Job)
			}
			found = found || len(due) > 0 || !c.Job.IsZero()
		}
		if !found {
			return ended, nil
		}
	}
}

// cancelAll cancels the revocations whose jobs are being cancelled, and releases the rest.
func cancelAll(locked []revocation.LockedRevocation) []revocation.Decision {
	return decideAll(func(h revocation.LockedRevocation) revocation.Decision {
		if h.Cancelled {
			return revocation.Decision{Status: revocation.StatusCancelled, Kind: revocation.Final}
		}
		return revocation.Decision{}
	})(locked)
}

// decideWithoutDelay is like revocation.Decide, but contended revocations are due again at once.
func decideWithoutDelay(locked []revocation.LockedRevocation) []revocation.Decision {
	decisions := revocation.Decide(locked)
	for i := range decisions {
		decisions[i].Delay = 0
	}
	return decisions
}

// end calls work and fails the test unless the job has ended, and unless each end was reported once.
func (f *fixture) end(job revocation.Job) {
	f.Helper()
	ended := f.work(job.Account)
	if !slices.Contains(ended, job.ID) {
		f.Fatalf("%v ended, want %v: %+v", ended, job.ID, f.job(job))
	}
	f.equal("jobs reported once", len(ended), len(slices.Compact(slices.SortedFunc(slices.Values(ended), revocation.ID.Compare))))
	f.recount(job)
}

// accountTasks returns the account tasks for which there is work.
func (f *fixture) accountTasks() []revocation.AccountWork {
	f.Helper()
	pending, err := f.PendingWork(f.Context())
	f.must(err)
	slices.SortFunc(pending.AccountTasks, func(a, b revocation.AccountWork) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Account, b.Account))
	})
	return pending.AccountTasks
}

// noWork fails the test if an account task has work.
func (f *fixture) noWork(when string) {
	f.Helper()
	f.equal("work "+when, 0, len(f.accountTasks()))
}

// follow polls the job until it has ended. At each read, the numbers must add up, and none may be smaller than before.
func (f *fixture) follow(ctx context.Context, job revocation.Job) error {
	var last revocation.Job
	for {
		j, err := f.Job(ctx, job.Account, job.ID)
		switch {
		case err != nil:
			return err
		case j.Pending() < 0 || j.Retrying < 0 || j.Mails.Pending < 0 || j.Ended() != (j.Counts.Sum() == j.Total):
			return fmt.Errorf("%s with %d items, %d retrying, %+v and %+v", j.State, j.Total, j.Retrying, j.Counts, j.Mails)
		case j.Counts.Sum() < last.Counts.Sum() || j.Counts.Revoked < last.Counts.Revoked || j.Pending() > last.Pending() && last.Total > 0:
			return fmt.Errorf("%+v after %+v", j, last)
		case j.Ended():
			return nil
		}
		last = j
	}
}

// drainUntilEnded calls drainJobs until the job has ended. It returns how often drainJobs reported the end of the job.
func (f *fixture) drainUntilEnded(ctx context.Context, job revocation.Job) (reports int, err error) {
	for {
		ended, err := f.drainJobs(ctx, job.Account)
		for _, id := range ended {
			if id == job.ID {
				reports++
			}
		}
		if err != nil {
			return reports, err
		}
		if j, err := f.Job(ctx, job.Account, job.ID); err != nil || j.Ended() {
			return reports, err
		}
	}
}
