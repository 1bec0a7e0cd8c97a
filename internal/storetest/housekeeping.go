package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
)

// sweep calls some with the limit until it deletes nothing. It returns the number of rows that each call deleted.
func (f *fixture) sweep(some func(limit int) (int, error), limit int) (steps []int) {
	f.Helper()
	for {
		n, err := some(limit)
		f.must(err)
		if n == 0 {
			return steps
		}
		if steps = append(steps, n); len(steps) > 1000 {
			f.Fatalf("no end: %v", steps)
		}
	}
}

// clear deletes the rows of dropped jobs.
func (f *fixture) clear(limit int) []int {
	f.Helper()
	return f.sweep(func(limit int) (int, error) { return f.ClearDropped(f.Context(), limit) }, limit)
}

// expire drops the jobs and deletes the single submissions that ended longer ago than retention.
func (f *fixture) expire(retention time.Duration, limit int) []int {
	f.Helper()
	return f.sweep(func(limit int) (int, error) { return f.Expire(f.Context(), retention, limit) }, limit)
}

func (f *fixture) dropSilent() int {
	f.Helper()
	n, err := f.DropSilentUploads(f.Context())
	f.must(err)
	return n
}

func sum(steps []int) (n int) {
	for _, step := range steps {
		n += step
	}
	return n
}

const (
	// forLong is longer than any test takes. With notAtAll, even what ended a moment ago has expired.
	forLong  = 1000 * time.Hour
	notAtAll = -24 * time.Hour
)

var housekeepingTests = []test{
	{"silent uploads are dropped, and no others", func(f *fixture) {
		silent := f.upload(items(1), withJobKey("k"))
		f.must(f.AddItems(f.Context(), silent.NewJob, []revocation.Item{{Row: 2, ReportID: 2}}, 0))
		silent.Total = 2
		begun := newJob(ofZenithJob)
		_, err := f.BeginJob(f.Context(), begun.NewJob, 0)
		f.must(err)
		alive := newJob()
		_, err = f.BeginJob(f.Context(), alive.NewJob, 0)
		f.must(err)
		f.must(f.RenewUpload(f.Context(), alive.NewJob, time.Hour))
		job := f.bulk(items(4))
		f.equal("dropped", 2, f.dropSilent())
		f.equal("dropped again", 0, f.dropSilent())
		f.checkHidden(silent)
		f.checkHidden(begun)
		f.code(revocation.CodeJobEnded, f.AddItems(f.Context(), silent.NewJob, []revocation.Item{{Row: 3, ReportID: 1}}, time.Hour))
		f.code(revocation.CodeJobEnded, f.RenewUpload(f.Context(), silent.NewJob, time.Hour))
		_, err = f.FinalizeJob(f.Context(), silent)
		f.code(revocation.CodeJobEnded, err)
		f.add(&alive, item(5))
		f.end(f.finalize(alive))
		f.recount(job)
		f.finalize(f.upload(items(6), withJobKey("k")))
	}},
	{"dropped uploads are deleted in small steps", func(f *fixture) {
		job := f.bulk(items(1), notifyAll)
		f.chunk(acme)
		alive := f.upload(items(1, 2))
		dropped := f.upload(append(slices.Repeat([]revocation.Item{invalid("no")}, 10), unknown(10)...), withJobKey("k"))
		other := f.upload([]revocation.Item{invalid("no")}, ofZenithJob)
		for _, s := range []revocation.FinalJob{dropped, other} {
			f.must(f.DropJob(f.Context(), s.Account, s.ID))
		}
		// The ids of these come after those of the dropped items.
		later, waits := f.bulk(items(3, 4)), f.submitNew(request(5))[0]
		f.spill(later)
		mailed := f.revokedWithEmail(6)
		steps := f.clear(3)
		if len(steps) < 4 || sum(steps) < 11 {
			f.Errorf("deleted %v, want 11 items at 3 a step", steps)
		}
		f.equal("again", 0, len(f.clear(3)))
		f.checkHidden(dropped)
		f.recount(job)
		f.equal("email", 1, len(f.jobEmails(acme, 9, time.Hour)))
		f.equal("the upload in progress", 2, f.finalize(alive).Total)
		f.upload(items(1), withJobKey("k"))
		f.recount(later)
		f.equal("work items of a later job", 2, len(f.claimItems(acme, 9, time.Hour)))
		f.carryOut(waits)
		f.status(waits, revoked, true)
		f.status(mailed, revoked, true)
		f.claimEmail(mailed, time.Hour)
	}},
	{"an upload without an item is deleted too", func(f *fixture) {
		s := newJob()
		f.begin(s)
		f.must(f.DropJob(f.Context(), acme, s.ID))
		f.equal("steps", []int{1}, f.clear(1000))
	}},
	{"nothing is deleted before its retention ends", func(f *fixture) {
		job := f.bulk(items(1), withJobKey("k"), notifyAll)
		f.end(job)
		single := f.submitNew(request(2, withKey("k")))[0]
		f.carryOut(single)
		f.equal("expired", 0, len(f.expire(forLong, 9)))
		f.equal("expired of what ended in the last hour", 0, len(f.expire(time.Hour, 9)))
		f.equal("cleared", 0, len(f.clear(9)))
		f.recount(job)
		f.status(single, revoked, true)
		f.equal("the key", []revocation.Accepted{{ID: single.ID}}, f.submit(request(2, withKey("k"))))
		f.equal("emails", 1, len(f.jobEmails(acme, 9, time.Hour)))
	}},
	{"a process whose clock is an hour off does not change the retention", func(f *fixture) {
		for i, off := range []time.Duration{-time.Hour, time.Hour} {
			made := request(int64(i+1), withKey("k"+off.String()))
			made.ID = idAt(time.Now().Add(off))
			f.carryOut(f.submitNew(made)...)
			job := newJob(withJobKey("j" + off.String()))
			job.ID = revocation.JobID(idAt(time.Now().Add(off)))
			f.begin(job)
			f.add(&job, item(int64(i+3)))
			f.end(f.finalize(job))
		}
		f.equal("kept for half an hour", 0, len(f.expire(30*time.Minute, 9)))
		f.equal("revocations", 4, len(f.list(revocation.Filter{})))
		f.expire(-time.Minute, 9)
		f.clear(9)
		f.equal("revocations after their retention", []revocation.ID{}, f.list(revocation.Filter{}))
		f.equal("jobs after their retention", []revocation.ID{}, f.jobList(revocation.JobFilter{}))
	}},
	{"a job that ended long ago is deleted", func(f *fixture) {
		uploads := []revocation.FinalJob{
			f.upload([]revocation.Item{item(1, withItemNotify(true)), invalid("no"), item(invites + 1)}, withJobKey("k")),
			f.upload(items(1), ofZenithJob),
			f.upload(items(2), ofZenithJob, withPreview(-time.Second)),
		}
		f.useUpstreamOf(zenith) // where previews are complete at once
		for i, s := range uploads {
			job := f.finalize(s)
			switch i {
			case 1:
				f.cancel(job)
				f.end(job)
			case 2:
				_, err := f.ChangeJob(f.Context(), zenith, job.ID, revocation.JobChange{Kind: revocation.ChangeExpire, By: revocation.Actor{Type: revocation.ActorService}})
				f.must(err)
				f.state(job, revocation.JobExpired)
			default:
				f.end(job)
			}
		}
		f.settle(f.jobEmail(acme, time.Hour), revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		steps := f.expire(notAtAll, 1)
		if sum(steps) < 3 {
			f.Errorf("expired %v, want three jobs", steps)
		}
		for range 2 { // after it is dropped, and after its rows are deleted
			for _, s := range uploads {
				f.checkInert(s)
			}
			f.clear(2)
		}
		f.equal("cleared again", 0, len(f.clear(2)))
		f.equal("expired again", 0, len(f.expire(notAtAll, 1)))
		next := f.bulk(items(1), withJobKey("k"))
		f.end(next)
		f.equal("the invite stays revoked", []revocation.Status{already}, f.outcomes(next))
	}},
	{"the key of a job is free when the job is dropped, before its rows are deleted", func(f *fixture) {
		f.end(f.bulk(items(1), withJobKey("k")))
		f.expire(notAtAll, 9)
		s := f.upload(items(2), withJobKey("k"))
		f.finalize(s)
		f.clear(1)
		f.replayed(s, newJob(withJobKey("k")))
	}},
	{"single submissions that ended long ago are deleted", func(f *fixture) {
		refs := f.submitNew(request(1, withKey("k")), request(2, withNotify), request(3), request(4), request(5, ofZenith))
		f.carryOut(refs[:3]...)
		f.failBy(revocation.RetryPolicy{MaxAttempts: 1}, refs[4])
		f.attemptFails(time.Hour, refs[3])
		waits := f.submitNew(request(6))[0]
		f.settle(f.claimEmail(refs[1], time.Hour), revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		f.expire(notAtAll, 9)
		for i, ref := range refs {
			if i == 3 {
				continue
			}
			_, err := f.Revocation(f.Context(), ref.Account, ref.ID)
			f.code(revocation.CodeNotFound, err)
		}
		f.equal("list", newestFirst(refs[3], waits), f.list(revocation.Filter{}))
		f.equal("zenith's list", []revocation.ID{}, f.list(revocation.Filter{Account: zenith}))
		f.status(refs[3], revocation.StatusErrorRevoking, false)
		f.status(waits, revocation.StatusPending, false)
		f.carryOut(next(refs[3]), waits)
		f.status(refs[3], revoked, true)
		f.status(waits, revoked, true)
		again := f.submitNew(request(1, withKey("k"), withNotify))[0]
		f.carryOut(again)
		f.status(again, already, true)
	}},
	{"a revocation or job with an unsettled email is kept", func(f *fixture) {
		single := f.revokedWithEmail(1)
		job := f.mailed(2)
		f.expire(notAtAll, 9)
		f.clear(9)
		f.recount(job)
		f.status(single, revoked, true)
		for _, email := range append(f.jobEmails(acme, 9, time.Hour), f.claimEmail(single, time.Hour)) {
			f.settle(email, revocation.Settlement{Status: revocation.NotificationFailed, Attempts: 1})
		}
		f.mails(job, revocation.MailCounts{Failed: 1})
		f.expire(notAtAll, 9)
		f.equal("jobs", []revocation.ID{}, f.jobList(revocation.JobFilter{}))
		f.equal("revocations", []revocation.ID{}, f.list(revocation.Filter{}))
	}},
	{"a key is never kept longer than its revocation", func(f *fixture) {
		keys := []string{"c", "b", "a"}
		refs := f.submitNew(request(1), request(2, withKey("b")), request(3, withKey("a")))
		// The newest key names the oldest revocation.
		f.equal("joined", []revocation.Accepted{{ID: refs[0].ID}}, f.submit(request(1, withKey("c"))))
		f.carryOut(refs...)
		for gone := 0; gone < len(refs); {
			if n, err := f.Expire(f.Context(), notAtAll, 1); err != nil || n == 0 {
				f.Fatalf("%d expired (%v), and %d of %d are gone", n, err, gone, len(refs))
			}
			for i, ref := range refs {
				if _, err := f.Revocation(f.Context(), acme, ref.ID); err == nil || keys[i] == "" {
					continue
				}
				f.submitNew(request(int64(i+1), withKey(keys[i])))
				keys[i] = ""
				gone++
			}
		}
	}},
	{"deletion takes small steps, and skips what is not final", func(f *fixture) {
		var batch []revocation.Submission
		for i := range invites {
			batch = append(batch, request(int64(i+1)))
		}
		refs := f.submitNew(batch...)
		f.carryOut(refs[invites/2:]...)
		n, err := f.Expire(f.Context(), notAtAll, 3)
		f.must(err)
		f.equal("at first", []int{3, invites - 3}, []int{n, len(f.list(revocation.Filter{}))})
		f.expire(notAtAll, 3)
		f.equal("left", newestFirst(refs[:invites/2]...), f.list(revocation.Filter{}))
	}},
	{"a job that has not ended is kept with all its items", func(f *fixture) {
		queued := f.bulk([]revocation.Item{item(1), invalid("no")}, ofZenithJob, withJobKey("k"))
		running := f.bulk(items(3, 4, 5))
		f.spill(running)
		f.claimItems(acme, 9, time.Hour)
		f.carryOut(rowOf(running, 1))
		f.attemptFails(0, rowOf(running, 2))
		cancelling := f.bulk(items(7))
		f.cancel(cancelling)
		received := f.upload([]revocation.Item{item(6), invalid("no")}, withJobKey("r"))
		f.expire(notAtAll, 9)
		f.clear(9)
		for _, j := range []revocation.Job{queued, running, cancelling} {
			f.recount(j)
		}
		f.equal("retrying and pending", []int{1, 1}, []int{f.job(running).Retrying, f.job(running).Pending()})
		f.work(acme)
		f.carryOut(rowOf(running, 3))
		for _, j := range []revocation.Job{running, cancelling} {
			f.recount(j)
			f.equal("ended", true, f.job(j).Ended())
		}
		f.end(queued)
		f.end(f.finalize(received))
		f.replayed(received, newJob(withJobKey("r")))
	}},
}
