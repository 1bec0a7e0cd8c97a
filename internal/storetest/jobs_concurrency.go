package storetest

import (
	"context"
	"slices"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// maxWait is the time limit of a test with concurrent workers.
const maxWait = 2 * time.Minute

// overlapping returns a job of the given number of chunks, with emails. Each chunk names every invite, in an order of its
// own. The last chunk has no other items.
func (f *fixture) overlapping(chunks int) revocation.Job {
	f.Helper()
	rows := unknown((chunks-1)*revocation.ChunkSize + invites)
	for n, step := range []int{1, 3, 7}[:chunks] {
		for i := range invites {
			rows[n*revocation.ChunkSize+i] = item(int64(i*step%invites + 1))
		}
	}
	return f.bulk(rows, notifyAll)
}

// revokedOnce fails the test if items of the job revoked an invite twice, or if the emails do not match the revoked items.
// It returns the number of revoked items.
func (f *fixture) revokedOnce(job revocation.Job) (total int) {
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

var jobConcurrencyTests = []test{
	{"concurrent workers of one job revoke each invite once", func(f *fixture) {
		ctx, cancel := context.WithTimeout(f.Context(), maxWait)
		defer cancel()
		job := f.overlapping(3)
		reports, err := concurrently(6, func(i int) (int, error) {
			if i == 0 {
				return 0, f.follow(ctx, job)
			}
			return f.drainUntilEnded(ctx, job)
		})
		f.must(err)
		f.equal("reports of the end", 1, sum(reports))
		f.recount(job)
		f.equal("revoked", invites, f.revokedOnce(job))
		f.equal("counts", revocation.Counts{
			Revoked: invites, AlreadyRevoked: 2 * invites, NotFound: 2 * (revocation.ChunkSize - invites),
		}, f.job(job).Counts)
	}},
	{"concurrent jobs and single submissions revoke each invite once", func(f *fixture) {
		ctx, cancel := context.WithTimeout(f.Context(), maxWait)
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
		singly, err := concurrently(6, func(i int) (n int, err error) {
			if i > 1 {
				for _, job := range jobs {
					if _, err := f.drainUntilEnded(ctx, job); err != nil {
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
			total += f.revokedOnce(job)
		}
		f.equal("revoked", invites, total)
	}},
	{"concurrent attempts fail and succeed", func(f *fixture) {
		ctx, cancel := context.WithTimeout(f.Context(), maxWait)
		defer cancel()
		job := f.bulk(append(items(1, 2, 3, 4, 5, 6, 7, 8, 9), append(unknown(200), items(1, 2, 3)...)...), notifyAll)
		f.spill(job)
		policy := revocation.RetryPolicy{MaxAttempts: 3}
		reports, err := concurrently(6, func(i int) (reports int, err error) {
			if i == 0 {
				return 0, f.follow(ctx, job)
			}
			for {
				due, err := f.ClaimDueItems(ctx, acme, 10, []time.Duration{0}) // some items are claimed twice
				if err != nil {
					return reports, err
				}
				var done revocation.BatchResult
				if i%2 == 0 {
					done, err = f.CarryOut(ctx, refsOf(due), decideWithoutDelay)
				} else {
					done, err = f.RecordOutcomes(ctx, refsOf(due), func(locked []revocation.LockedRevocation) []revocation.Decision {
						return revocation.DecideFailed(locked, outage, policy)
					})
				}
				if err != nil {
					return reports, err
				}
				reports += len(done.Ended)
				if j, err := f.Job(ctx, acme, job.ID); err != nil || j.Ended() {
					return reports, err
				}
			}
		})
		f.must(err)
		f.equal("reports of the end", 1, sum(reports))
		f.recount(job)
		f.revokedOnce(job)
	}},
	{"a job is cancelled while workers carry it out", func(f *fixture) {
		ctx, cancel := context.WithTimeout(f.Context(), maxWait)
		defer cancel()
		job := f.overlapping(2)
		f.spill(job)
		want := revocation.JobCancelled
		reports, err := concurrently(6, func(i int) (int, error) {
			switch i {
			case 0:
				return 0, f.follow(ctx, job)
			case 1:
				_, err := cancelJob(ctx, f.Store, acme, job.ID)
				if err != nil && revocation.ErrorCode(err) == revocation.CodeJobEnded {
					want, err = revocation.JobCompleted, nil // the other workers were faster
				}
				return 0, err
			default:
				return f.drainUntilEnded(ctx, job)
			}
		})
		f.must(err)
		f.equal("reports of the end", 1, sum(reports))
		f.state(job, want)
		f.recount(job)
		f.revokedOnce(job)
	}},
	{"an upload is either finalized or dropped", func(f *fixture) {
		for range 8 {
			s := f.upload(items(1), withJobKey("k"+uuidv7.New().String()))
			finalized, err := concurrently(2, func(i int) (bool, error) {
				if i == 0 {
					return false, f.DropJob(f.Context(), acme, s.ID)
				}
				_, err := f.FinalizeJob(f.Context(), s)
				if err != nil && revocation.ErrorCode(err) == revocation.CodeJobEnded {
					return false, nil
				}
				return err == nil, err
			})
			f.must(err)
			if finalized[1] {
				f.equal("items", 1, len(f.results(revocation.Job{Account: acme, ID: s.ID})))
				f.replayed(s, newJob(withJobKey(s.IdempotencyKey)))
			} else {
				f.checkHidden(s)
				f.begin(newJob(withJobKey(s.IdempotencyKey)))
			}
		}
		f.work(acme)
	}},
	{"a chunk is either carried out or spilled", func(f *fixture) {
		for range 4 {
			job := f.bulk(items(1, 2, 3, 4, 5), notifyAll)
			took, err := concurrently(6, func(i int) (int, error) {
				if i%2 == 0 {
					return 0, f.SpillChunk(f.Context(), chunkOf(job, 0))
				}
				c, err := f.CarryOutChunk(f.Context(), acme)
				return c.Done.Counts.Sum() + c.Spilled, err
			})
			f.must(err)
			due := f.claimItems(acme, 9, time.Hour)
			if n := sum(took); n != 0 && n != 5 || n+len(due) < 5 {
				f.Errorf("%d items carried out, %d spilled", n, len(due))
			}
			f.carryOut(refsOf(due)...)
			f.state(job, revocation.JobCompleted)
			f.recount(job)
		}
	}},
	{"items are claimed by one worker each", func(f *fixture) {
		job := f.bulk(unknown(100))
		f.spill(job)
		claimed, err := concurrently(8, func(int) (n int, err error) {
			for {
				due, err := f.ClaimDueItems(f.Context(), acme, 7, []time.Duration{time.Hour})
				if err != nil || len(due) == 0 {
					return n, err
				}
				n += len(due)
			}
		})
		f.must(err)
		f.equal("claimed", job.Total, sum(claimed)+len(f.claimItems(acme, 100, time.Hour)))
	}},
}
