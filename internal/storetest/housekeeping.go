package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
)

// sweep deletes in steps of limit until nothing is left, and gives how much went at each.
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

// clear deletes what was dropped.
func (f *fixture) clear(limit int) []int {
	f.Helper()
	return f.sweep(func(limit int) (int, error) { return f.ClearDropped(f.Context(), limit) }, limit)
}

// expire drops and deletes what ended longer ago than retention.
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
	// forLong is longer than any test takes, and notAtAll keeps nothing of what a test ends.
	forLong  = 1000 * time.Hour
	notAtAll = -24 * time.Hour
)

var housekeepingTests = []test{
	{"silent uploads are given up, and no others", func(f *fixture) {
		silent := f.upload(items(1), underKey("k"))
		f.must(f.AddItems(f.Context(), silent.NewJob, []revocation.Item{{Row: 2, ReportID: 2}}, 0))
		silent.Total = 2
		begun := newSeal(zeniths)
		_, err := f.BeginJob(f.Context(), begun.NewJob, 0)
		f.must(err)
		alive := newSeal()
		_, err = f.BeginJob(f.Context(), alive.NewJob, 0)
		f.must(err)
		f.must(f.RenewUpload(f.Context(), alive.NewJob, time.Hour))
		job := f.bulk(items(4))
		f.same("dropped", 2, f.dropSilent())
		f.same("dropped again", 0, f.dropSilent())
		f.hidden(silent)
		f.hidden(begun)
		f.code(revocation.CodeJobEnded, f.AddItems(f.Context(), silent.NewJob, []revocation.Item{{Row: 3, ReportID: 1}}, time.Hour))
		f.code(revocation.CodeJobEnded, f.RenewUpload(f.Context(), silent.NewJob, time.Hour))
		_, err = f.FinalizeJob(f.Context(), silent)
		f.code(revocation.CodeJobEnded, err)
		f.add(&alive, item(5))
		f.end(f.seal(alive))
		f.recount(job)
		f.seal(f.upload(items(6), underKey("k")))
	}},
	{"dropped uploads are deleted in small steps", func(f *fixture) {
		job := f.bulk(items(1), notifyAll)
		f.chunk(acme)
		alive := f.upload(items(1, 2))
		dropped := f.upload(append(slices.Repeat([]revocation.Item{invalid("no")}, 10), unknown(10)...), underKey("k"))
		other := f.upload([]revocation.Item{invalid("no")}, zeniths)
		for _, s := range []revocation.FinalJob{dropped, other} {
			f.must(f.DropJob(f.Context(), s.Account, s.ID))
		}
		steps := f.clear(3)
		if len(steps) < 4 || sum(steps) < 11 {
			f.Errorf("deleted %v, want 11 items at 3 a step", steps)
		}
		f.same("again", 0, len(f.clear(3)))
		f.hidden(dropped)
		f.recount(job)
		f.same("email", 1, len(f.jobEmails(acme, 9, time.Hour)))
		f.same("the one that is alive", 2, f.seal(alive).Total)
		f.upload(items(1), underKey("k"))
	}},
	{"an upload without an item is deleted too", func(f *fixture) {
		s := newSeal()
		f.begin(s)
		f.must(f.DropJob(f.Context(), acme, s.ID))
		f.same("steps", []int{1}, f.clear(1000))
	}},
	{"nothing is deleted before its time", func(f *fixture) {
		job := f.bulk(items(1), underKey("k"), notifyAll)
		f.end(job)
		single := f.fresh(request(2, withKey("k")))[0]
		f.carryOut(single)
		f.same("expired", 0, len(f.expire(forLong, 9)))
		f.same("expired of what ended in the last hour", 0, len(f.expire(time.Hour, 9)))
		f.same("cleared", 0, len(f.clear(9)))
		f.recount(job)
		f.status(single, revoked, true)
		f.same("the key", []revocation.Accepted{{ID: single.ID}}, f.submit(request(2, withKey("k"))))
		f.same("emails", 1, len(f.jobEmails(acme, 9, time.Hour)))
	}},
	{"a process whose clock is an hour off changes nothing of how long something is kept", func(f *fixture) {
		for i, off := range []time.Duration{-time.Hour, time.Hour} {
			made := request(int64(i+1), withKey("k"+off.String()))
			made.ID = idAt(time.Now().Add(off))
			f.carryOut(f.fresh(made)...)
			job := newSeal(underKey("j" + off.String()))
			job.ID = revocation.JobID(idAt(time.Now().Add(off)))
			f.begin(job)
			f.add(&job, item(int64(i+3)))
			f.end(f.seal(job))
		}
		f.same("kept for half an hour", 0, len(f.expire(30*time.Minute, 9)))
		f.same("revocations", 4, len(f.list(revocation.Filter{})))
		f.expire(-time.Minute, 9)
		f.clear(9)
		f.same("revocations that are kept no more", []revocation.ID{}, f.list(revocation.Filter{}))
		f.same("jobs that are kept no more", []revocation.ID{}, f.jobList(revocation.JobFilter{}))
	}},
	{"a job that ended long ago is no more", func(f *fixture) {
		seals := []revocation.FinalJob{
			f.upload([]revocation.Item{item(1, wishing(true)), invalid("no"), item(invites + 1)}, underKey("k")),
			f.upload(items(1), zeniths),
		}
		for i, s := range seals {
			job := f.seal(s)
			if i == 1 {
				f.cancel(job)
			}
			f.end(job)
		}
		f.settle(f.jobEmail(acme, time.Hour), revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		steps := f.expire(notAtAll, 1)
		if sum(steps) < 2 {
			f.Errorf("expired %v, want two jobs", steps)
		}
		for range 2 { // dropped, and then deleted
			for _, s := range seals {
				f.unseen(s)
			}
			f.clear(2)
		}
		f.same("cleared again", 0, len(f.clear(2)))
		f.same("expired again", 0, len(f.expire(notAtAll, 1)))
		next := f.bulk(items(1), underKey("k"))
		f.end(next)
		f.same("the invite stays revoked", []revocation.Status{already}, f.outcomes(next))
	}},
	{"the key of a job is free when the job is no more, before it is deleted", func(f *fixture) {
		f.end(f.bulk(items(1), underKey("k")))
		f.expire(notAtAll, 9)
		s := f.upload(items(2), underKey("k"))
		f.seal(s)
		f.clear(1)
		f.replays(s, newSeal(underKey("k")))
	}},
	{"single submissions that ended long ago are no more", func(f *fixture) {
		refs := f.fresh(request(1, withKey("k")), request(2, withNotify), request(3), request(4), request(5, ofZenith))
		f.carryOut(refs[:3]...)
		f.failBy(revocation.RetryPolicy{MaxAttempts: 1}, refs[4])
		f.attemptFails(time.Hour, refs[3])
		waits := f.fresh(request(6))[0]
		f.settle(f.claimEmail(refs[1], time.Hour), revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		f.expire(notAtAll, 9)
		for i, ref := range refs {
			if i == 3 {
				continue
			}
			_, err := f.Revocation(f.Context(), ref.Account, ref.ID)
			f.code(revocation.CodeNotFound, err)
		}
		f.same("list", newestFirst(refs[3], waits), f.list(revocation.Filter{}))
		f.same("zenith's list", []revocation.ID{}, f.list(revocation.Filter{Account: zenith}))
		f.status(refs[3], revocation.StatusErrorRevoking, false)
		f.status(waits, revocation.StatusPending, false)
		f.carryOut(next(refs[3]), waits)
		f.status(refs[3], revoked, true)
		f.status(waits, revoked, true)
		again := f.fresh(request(1, withKey("k"), withNotify))[0]
		f.carryOut(again)
		f.status(again, already, true)
	}},
	{"an email that is not settled keeps what it belongs to", func(f *fixture) {
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
		f.same("jobs", []revocation.ID{}, f.jobList(revocation.JobFilter{}))
		f.same("revocations", []revocation.ID{}, f.list(revocation.Filter{}))
	}},
	{"a key never outlives what it names", func(f *fixture) {
		keys := []string{"c", "b", "a"}
		refs := f.fresh(request(1), request(2, withKey("b")), request(3, withKey("a")))
		// The newest key names the oldest revocation.
		f.same("joined", []revocation.Accepted{{ID: refs[0].ID}}, f.submit(request(1, withKey("c"))))
		f.carryOut(refs...)
		for gone := 0; gone < len(refs); {
			if n, err := f.Expire(f.Context(), notAtAll, 1); err != nil || n == 0 {
				f.Fatalf("%d expired (%v), and %d of %d are gone", n, err, gone, len(refs))
			}
			for i, ref := range refs {
				if _, err := f.Revocation(f.Context(), acme, ref.ID); err == nil || keys[i] == "" {
					continue
				}
				f.fresh(request(int64(i+1), withKey(keys[i])))
				keys[i] = ""
				gone++
			}
		}
	}},
	{"it goes in small steps, and what is not final stops none", func(f *fixture) {
		var flush []revocation.Submission
		for i := range invites {
			flush = append(flush, request(int64(i+1)))
		}
		refs := f.fresh(flush...)
		f.carryOut(refs[invites/2:]...)
		n, err := f.Expire(f.Context(), notAtAll, 3)
		f.must(err)
		f.same("at first", []int{3, invites - 3}, []int{n, len(f.list(revocation.Filter{}))})
		f.expire(notAtAll, 3)
		f.same("left", newestFirst(refs[:invites/2]...), f.list(revocation.Filter{}))
	}},
	{"a job that has not ended stays, with all its items", func(f *fixture) {
		queued := f.bulk([]revocation.Item{item(1), invalid("no")}, zeniths, underKey("k"))
		running := f.bulk(items(3, 4, 5))
		f.spill(running)
		f.claimItems(acme, 9, time.Hour)
		f.carryOut(rowOf(running, 1))
		f.attemptFails(0, rowOf(running, 2))
		cancelling := f.bulk(items(7))
		f.cancel(cancelling)
		received := f.upload([]revocation.Item{item(6), invalid("no")}, underKey("r"))
		f.expire(notAtAll, 9)
		f.clear(9)
		for _, j := range []revocation.Job{queued, running, cancelling} {
			f.recount(j)
		}
		f.same("retrying and pending", []int{1, 1}, []int{f.look(running).Retrying, f.look(running).Pending()})
		f.work(acme)
		f.carryOut(rowOf(running, 3))
		for _, j := range []revocation.Job{running, cancelling} {
			f.recount(j)
			f.same("ended", true, f.look(j).Ended())
		}
		f.end(queued)
		f.end(f.seal(received))
		f.replays(received, newSeal(underKey("r")))
	}},
}
