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
	c, err := f.CarryOutChunk(f.Context(), account, false)
	f.must(err)
	c.MoreWork = false // which is looked at by itself
	return c
}

// cancelledChunk does the same with the jobs that are being cancelled.
func (f *fixture) cancelledChunk(account string) revocation.Chunk {
	f.Helper()
	c, err := f.CarryOutChunk(f.Context(), account, true)
	f.must(err)
	c.MoreWork = false
	return c
}

// chunkOf is the n-th chunk of a job, n from 0.
func chunkOf(job revocation.Job, n int) revocation.Chunk {
	return revocation.Chunk{
		Account: job.Account, Job: job.ID,
		First: n*revocation.ChunkSize + 1, Last: min((n+1)*revocation.ChunkSize, job.Total),
	}
}

// spill gives the items of a job's first chunk work rows of their own.
func (f *fixture) spill(job revocation.Job) {
	f.Helper()
	f.must(f.SpillChunk(f.Context(), chunkOf(job, 0)))
}

// claimItems claims what is due of the account's jobs, at most limit, in the order of the ids.
func (f *fixture) claimItems(account string, limit int, graces ...time.Duration) []revocation.DueAttempt {
	f.Helper()
	return f.claim(account, false, limit, graces)
}

// claimCancelled does the same with what is only to be cancelled.
func (f *fixture) claimCancelled(account string, limit int, graces ...time.Duration) []revocation.DueAttempt {
	f.Helper()
	return f.claim(account, true, limit, graces)
}

func (f *fixture) claim(account string, cancelled bool, limit int, graces []time.Duration) []revocation.DueAttempt {
	f.Helper()
	due, err := f.ClaimItems(f.Context(), account, cancelled, limit, graces)
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

// dueRows are the rows of what is due of acme's jobs. They are claimed with it.
func (f *fixture) dueRows() []int {
	f.Helper()
	rows := []int{}
	for _, d := range f.claimItems(acme, 100, time.Hour) {
		rows = append(rows, d.ID.Row())
	}
	return rows
}

// work carries out what the account's jobs have, until there is nothing to do now, and gives the jobs that
// ended.
func (f *fixture) work(account string) []revocation.ID {
	f.Helper()
	ended, err := f.turn(f.Context(), account)
	f.must(err)
	return ended
}

// turn is work beside others.
func (f *fixture) turn(ctx context.Context, account string) (ended []revocation.ID, err error) {
	for {
		found := false
		for _, cancelled := range []bool{true, false} {
			due, err := f.ClaimItems(ctx, account, cancelled, 256, []time.Duration{time.Hour})
			if err != nil {
				return ended, err
			}
			for refs := refsOf(due); len(refs) > 0; {
				var done revocation.BatchResult
				if cancelled {
					done, err = f.RecordOutcomes(ctx, refs, cancelAll)
				} else {
					done, err = f.CarryOut(ctx, refs, impatient)
				}
				if err != nil {
					return ended, err
				}
				ended, refs = append(ended, done.Ended...), done.Locked
			}
			c, err := f.CarryOutChunk(ctx, account, cancelled)
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

// cancelAll ends what is to be cancelled, and gives back the rest.
func cancelAll(held []revocation.LockedRevocation) []revocation.Decision {
	return decideAll(func(h revocation.LockedRevocation) revocation.Decision {
		if h.Cancelled {
			return revocation.Decision{Status: revocation.StatusCancelled, Final: true}
		}
		return revocation.Decision{}
	})(held)
}

// impatient is the rule, but that what is contended comes again at once.
func impatient(held []revocation.LockedRevocation) []revocation.Decision {
	decisions := revocation.Decide(held)
	for i := range decisions {
		decisions[i].Delay = 0
	}
	return decisions
}

// end works until the job has ended, and fails the test unless it was told exactly once.
func (f *fixture) end(job revocation.Job) {
	f.Helper()
	ended := f.work(job.Account)
	if !slices.Contains(ended, job.ID) {
		f.Fatalf("%v ended, want %v: %+v", ended, job.ID, f.look(job))
	}
	f.same("told", len(ended), len(slices.Compact(slices.SortedFunc(slices.Values(ended), revocation.ID.Compare))))
	f.recount(job)
}

// turns are the accounts for which there is something to do.
func (f *fixture) turns() []revocation.AccountWork {
	f.Helper()
	agenda, err := f.PendingWork(f.Context())
	f.must(err)
	slices.SortFunc(agenda.AccountTasks, func(a, b revocation.AccountWork) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Account, b.Account))
	})
	return agenda.AccountTasks
}

// idle fails the test if there is something to do.
func (f *fixture) idle(when string) {
	f.Helper()
	f.same("work "+when, 0, len(f.turns()))
}

// follow reads the job again and again until it has ended. Its numbers must add up each time, and only grow.
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

// toil takes turns until the job has ended, and gives how often it was told to have ended.
func (f *fixture) toil(ctx context.Context, job revocation.Job) (told int, err error) {
	for {
		ended, err := f.turn(ctx, job.Account)
		for _, id := range ended {
			if id == job.ID {
				told++
			}
		}
		if err != nil {
			return told, err
		}
		if j, err := f.Job(ctx, job.Account, job.ID); err != nil || j.Ended() {
			return told, err
		}
	}
}
