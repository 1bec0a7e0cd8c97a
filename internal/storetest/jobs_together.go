package storetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"rescind/internal/revocation"
)

// patience bounds what is done by many at once.
const patience = 2 * time.Minute

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

// crowded is a job of some chunks whose items are told by email. Each chunk names every invite, and each names
// them in another order. The last has nothing else.
func (f *fixture) crowded(chunks int) revocation.Job {
	f.Helper()
	rows := unknown((chunks-1)*revocation.ChunkSize + invites)
	for n, step := range []int{1, 3, 7}[:chunks] {
		for i := range invites {
			rows[n*revocation.ChunkSize+i] = item(int64(i*step%invites + 1))
		}
	}
	return f.bulk(rows, notifyAll)
}

// once fails the test unless each invite was revoked once at most by the job's items, with one email each.
func (f *fixture) once(job revocation.Job) (total int) {
	f.Helper()
	times := make(map[int64]int)
	for _, r := range f.results(job) {
		if r.Status == revoked {
			times[r.ReportID]++
			total++
		}
	}
	for report, n := range times {
		if n > 1 {
			f.Errorf("report %d was revoked %d times", report, n)
		}
	}
	f.mails(job, revocation.MailCounts{Pending: total})
	return total
}

var togetherTests = []test{
	{"many who carry out one job revoke each invite once", func(f *fixture) {
		ctx, cancel := context.WithTimeout(f.Context(), patience)
		defer cancel()
		job := f.crowded(3)
		told, err := together(6, func(i int) (int, error) {
			if i == 0 {
				return 0, f.follow(ctx, job)
			}
			return f.toil(ctx, job)
		})
		f.must(err)
		f.same("told to have ended", 1, sum(told))
		f.recount(job)
		f.same("revoked", invites, f.once(job))
		f.same("counts", revocation.Counts{
			Revoked: invites, AlreadyRevoked: 2 * invites, NotFound: 2 * (revocation.ChunkSize - invites),
		}, f.look(job).Counts)
	}},
	{"jobs and single submissions of the same invites at once", func(f *fixture) {
		ctx, cancel := context.WithTimeout(f.Context(), patience)
		defer cancel()
		var reports []int64
		for i := range 4 * invites {
			reports = append(reports, int64(i*7%invites+1))
		}
		jobs := make([]revocation.Job, 3)
		for i := range jobs {
			slices.Reverse(reports)
			jobs[i] = f.bulk(items(reports...), notifyAll)
		}
		singly, err := together(6, func(i int) (n int, err error) {
			if i > 1 {
				for _, job := range jobs {
					if _, err := f.toil(ctx, job); err != nil {
						return 0, err
					}
				}
				return 0, nil
			}
			for report := range int64(invites) {
				answers, err := f.Submit(ctx, []revocation.Submission{request(report + 1)})
				if err == nil {
					err = answers[0].Err
				}
				if err != nil {
					return n, err
				}
				did, err := f.carryOutWholly([]revocation.Ref{{Account: acme, ID: answers[0].ID}})
				if err != nil {
					return n, err
				}
				n += did
			}
			return n, nil
		})
		f.must(err)
		total := sum(singly)
		for _, job := range jobs {
			f.recount(job)
			total += f.once(job)
		}
		f.same("revoked", invites, total)
	}},
	{"attempts that fail while others succeed", func(f *fixture) {
		ctx, cancel := context.WithTimeout(f.Context(), patience)
		defer cancel()
		job := f.bulk(append(items(1, 2, 3, 4, 5, 6, 7, 8, 9), append(unknown(200), items(1, 2, 3)...)...), notifyAll)
		f.spill(job)
		policy := revocation.RetryPolicy{MaxAttempts: 3}
		told, err := together(6, func(i int) (told int, err error) {
			if i == 0 {
				return 0, f.follow(ctx, job)
			}
			for {
				due, err := f.ClaimItems(ctx, acme, false, 10, []time.Duration{0}) // some twice
				if err != nil {
					return told, err
				}
				var done revocation.CarriedOut
				if i%2 == 0 {
					done, err = f.CarryOut(ctx, refsOf(due), impatient)
				} else {
					done, err = f.Fail(ctx, refsOf(due), func(held []revocation.Held) []revocation.Decision {
						return revocation.DecideFailed(held, outage, policy)
					})
				}
				if err != nil {
					return told, err
				}
				told += len(done.Ended)
				if j, err := f.Job(ctx, acme, job.ID); err != nil || j.Ended() {
					return told, err
				}
			}
		})
		f.must(err)
		f.same("told to have ended", 1, sum(told))
		f.recount(job)
		f.once(job)
	}},
	{"a job that is cancelled while many carry it out", func(f *fixture) {
		ctx, cancel := context.WithTimeout(f.Context(), patience)
		defer cancel()
		job := f.crowded(2)
		f.spill(job)
		want := revocation.JobCancelled
		told, err := together(6, func(i int) (int, error) {
			switch i {
			case 0:
				return 0, f.follow(ctx, job)
			case 1:
				_, err := f.CancelJob(ctx, acme, job.ID)
				if err != nil && revocation.ErrorCode(err) == revocation.CodeJobEnded {
					want, err = revocation.JobCompleted, nil // the others were quick
				}
				return 0, err
			default:
				return f.toil(ctx, job)
			}
		})
		f.must(err)
		f.same("told to have ended", 1, sum(told))
		f.state(job, want)
		f.recount(job)
		f.once(job)
	}},
}
