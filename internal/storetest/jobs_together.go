package storetest

import (
	"context"
	"slices"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// patience bounds what is done by many at once.
const patience = 2 * time.Minute

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
				var done revocation.BatchResult
				if i%2 == 0 {
					done, err = f.CarryOut(ctx, refsOf(due), impatient)
				} else {
					done, err = f.RecordOutcomes(ctx, refsOf(due), func(held []revocation.LockedRevocation) []revocation.Decision {
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
	{"an upload that is sealed and given up at once is one of the two", func(f *fixture) {
		for range 8 {
			s := f.upload(items(1), underKey("k"+uuidv7.New().String()))
			sealed, err := together(2, func(i int) (bool, error) {
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
			if sealed[1] {
				f.same("items", 1, len(f.results(revocation.Job{Account: acme, ID: s.ID})))
				f.replays(s, newSeal(underKey(s.IdempotencyKey)))
			} else {
				f.hidden(s)
				f.begin(newSeal(underKey(s.IdempotencyKey)))
			}
		}
		f.work(acme)
	}},
	{"a chunk that some carry out and some spill is done once", func(f *fixture) {
		for range 4 {
			job := f.bulk(items(1, 2, 3, 4, 5), notifyAll)
			took, err := together(6, func(i int) (int, error) {
				if i%2 == 0 {
					return 0, f.SpillChunk(f.Context(), chunkOf(job, 0))
				}
				c, err := f.CarryOutChunk(f.Context(), acme, false)
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
		claimed, err := together(8, func(int) (n int, err error) {
			for {
				due, err := f.ClaimItems(f.Context(), acme, false, 7, []time.Duration{time.Hour})
				if err != nil || len(due) == 0 {
					return n, err
				}
				n += len(due)
			}
		})
		f.must(err)
		f.same("claimed", job.Total, sum(claimed)+len(f.claimItems(acme, 100, time.Hour)))
	}},
}
