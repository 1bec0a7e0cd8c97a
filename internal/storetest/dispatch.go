package storetest

import (
	"time"

	"rescind/internal/revocation"
)

// claimDue claims at most 100 due attempts and returns them.
func (f *fixture) claimDue(visibilityTimeouts ...time.Duration) []revocation.Ref {
	f.Helper()
	due := f.claimAtMost(100, visibilityTimeouts...)
	refs := make([]revocation.Ref, len(due))
	for i, d := range due {
		refs[i] = d.Ref
	}
	return refs
}

func (f *fixture) claimAtMost(limit int, visibilityTimeouts ...time.Duration) []revocation.DueAttempt {
	f.Helper()
	due, err := f.ClaimDue(f.Context(), limit, visibilityTimeouts)
	f.must(err)
	return due
}

var dispatchTests = []test{
	{"pending work counts due rows and lists account tasks", func(f *fixture) {
		pending := func(when string, revocations, notifications bool) {
			f.Helper()
			got, err := f.PendingWork(f.Context())
			f.must(err)
			f.equal("pending "+when, revocation.PendingWork{Revocations: revocations, Notifications: notifications}, got)
		}
		refs := f.submitNew(request(1, withNotify), request(2))
		pending("at first", false, false)
		f.attemptFails(0, refs[0])
		pending("after a failure", true, false)
		f.equal("due", []revocation.Ref{next(refs[0])}, f.claimDue(time.Hour))
		pending("when it is claimed", false, false)
		f.carryOut(next(refs[0]))
		pending("with an email under way", false, false)
		email := revocation.NotificationRef{Account: acme, Revocation: refs[0].ID}
		emails, err := f.ClaimNotifications(f.Context(), sender, []revocation.NotificationRef{email}, 0)
		f.must(err)
		f.equal("emails", 1, len(emails))
		pending("with a claim that has run out", false, true)
		f.equal("due emails", 1, len(f.dueEmails(time.Hour)))
		pending("when all is claimed", false, false)
		job := f.bulk(items(3), notifyAll)
		f.spill(job)
		// The items of jobs and their emails are left to account tasks.
		work := func(what string, task revocation.AccountTask) {
			f.Helper()
			got, err := f.PendingWork(f.Context())
			f.must(err)
			f.equal(what, revocation.PendingWork{AccountTasks: []revocation.AccountWork{{Task: task, Account: acme}}}, got)
		}
		work("a job's item", revocation.JobsTask)
		f.claimItems(acme, 9, time.Hour)
		pending("when the item is claimed", false, false)
		f.carryOut(rowOf(job, 1))
		work("a job's email", revocation.MailTask)
		f.jobEmail(acme, time.Hour)
		pending("when the job's email is claimed", false, false)
	}},
	{"a new submission is not due, because it has a task", func(f *fixture) {
		f.submitNew(request(1))
		f.equal("due", 0, len(f.claimDue(0)))
	}},
	{"a new email is not due, because it has a task", func(f *fixture) {
		f.revokedWithEmail(1)
		f.equal("due", 0, len(f.dueEmails(0)))
	}},
	{"a retry is due when its delay is over, and not before", func(f *fixture) {
		refs := f.submitNew(request(1), request(2), request(1, ofZenith))
		f.attemptFails(0, refs[0])
		f.attemptFails(time.Hour, refs[1])
		f.equal("due", []revocation.Ref{next(refs[0])}, f.claimDue(time.Hour))
		f.attemptFails(0, refs[2])
		f.equal("due of another account", []revocation.Ref{next(refs[2])}, f.claimDue(time.Hour))
		f.carryOut(next(refs[0]), next(refs[1]), next(refs[2]))
		f.equal("due after the end", 0, len(f.claimDue(0)))
	}},
	{"a lost task is due after the visibility timeout of its dispatch count", func(f *fixture) {
		ref := f.submitNew(request(1))[0]
		f.carryOutBy(postponed(0), ref)
		visibilityTimeouts := []time.Duration{time.Hour, 0, 0, time.Hour}
		for dispatchCount := 1; dispatchCount <= 3; dispatchCount++ {
			f.equal("due", []revocation.DueAttempt{{Ref: ref, DispatchCount: dispatchCount}}, f.claimAtMost(9, visibilityTimeouts...))
		}
		f.equal("in the third epoch", 0, len(f.claimAtMost(9, visibilityTimeouts...)))
	}},
	{"the last visibility timeout is for all later dispatch counts", func(f *fixture) {
		ref := f.submitNew(request(1))[0]
		f.carryOutBy(postponed(0), ref)
		for dispatchCount := 1; dispatchCount <= 5; dispatchCount++ {
			f.equal("due", []revocation.DueAttempt{{Ref: ref, DispatchCount: dispatchCount}}, f.claimAtMost(9, time.Hour, 0))
		}
		f.carryOutBy(postponed(0), ref)
		f.equal("with one grace alone", []revocation.DueAttempt{{Ref: ref, DispatchCount: 6}}, f.claimAtMost(9, time.Hour))
		f.equal("after it", 0, len(f.claimDue(0)))
	}},
	{"a claim takes the oldest rows and at most the limit", func(f *fixture) {
		refs := f.submitNew(request(3), request(1), request(2))
		for _, ref := range refs {
			f.carryOutBy(postponed(0), ref)
		}
		for _, ref := range refs {
			f.equal("due", []revocation.DueAttempt{{Ref: ref, DispatchCount: 1}}, f.claimAtMost(1, time.Hour))
		}
		f.equal("left", 0, len(f.claimDue(0)))
	}},
	{"a released row is due after its delay", func(f *fixture) {
		refs := f.submitNew(request(1), request(2))
		f.carryOutBy(postponed(0), refs...)
		due := f.claimAtMost(9, time.Hour)
		f.must(f.Release(f.Context(), due[:1], 0))
		f.must(f.Release(f.Context(), due[1:], time.Hour))
		f.equal("due", []revocation.DueAttempt{{Ref: due[0].Ref, DispatchCount: 2}}, f.claimAtMost(9, time.Hour))
	}},
	{"a late release changes nothing", func(f *fixture) {
		ref := f.submitNew(request(1))[0]
		f.carryOutBy(postponed(0), ref)
		stale := f.claimAtMost(9, 0)
		f.claimAtMost(9, time.Hour)
		f.must(f.Release(f.Context(), stale, 0))
		f.must(f.Release(f.Context(), nil, 0))
		f.equal("due", 0, len(f.claimDue(0)))
	}},
	{"a release does not shorten the delay of an attempt that has failed since the claim", func(f *fixture) {
		ref := f.submitNew(request(1))[0]
		f.carryOutBy(postponed(0), ref)
		due := f.claimAtMost(9, time.Hour)
		f.attemptFails(time.Hour, ref)
		f.must(f.Release(f.Context(), due, 0))
		f.equal("due", 0, len(f.claimDue(0)))
	}},
	{"a released item can be cancelled", func(f *fixture) {
		job := f.bulk(items(1))
		f.spill(job)
		due := f.claimItems(acme, 9, time.Hour)
		f.cancel(job)
		f.equal("claimed", 0, len(f.claimCancelled(acme, 9, time.Hour)))
		f.must(f.Release(f.Context(), due, time.Hour))
		f.equal("released", 1, len(f.claimCancelled(acme, 9, time.Hour)))
	}},
	{"lost emails are due after visibility timeouts, oldest first", func(f *fixture) {
		one, two := f.revokedWithEmail(2), f.revokedWithEmail(1)
		for _, ref := range []revocation.Ref{one, two} {
			f.settle(f.claimEmail(ref, time.Hour), revocation.Settlement{Status: revocation.NotificationPending})
		}
		refs, _, err := f.ClaimDueNotifications(f.Context(), 1, []time.Duration{time.Hour, 0, time.Hour})
		f.must(err)
		f.equal("oldest", []revocation.NotificationRef{{Account: acme, Revocation: one.ID, Claims: 1, DispatchCount: 1}}, refs)
		f.equal("all", 2, len(f.dueEmails(0, 0, time.Hour)))
		f.equal("the newer one again", []revocation.NotificationRef{{Account: acme, Revocation: two.ID, Claims: 1, DispatchCount: 2}},
			f.dueEmails(0, 0, time.Hour))
		f.equal("none", 0, len(f.dueEmails(0)))
	}},
	{"released emails are due after their delay, unless they were claimed since", func(f *fixture) {
		now, later, claimed := f.revokedWithEmail(1), f.revokedWithEmail(2), f.revokedWithEmail(3)
		for _, ref := range []revocation.Ref{now, later, claimed} {
			f.settle(f.claimEmail(ref, time.Hour), revocation.Settlement{Status: revocation.NotificationPending})
		}
		refs := f.dueEmails(time.Hour)
		for i := range refs {
			var delay time.Duration
			switch refs[i].Revocation {
			case later.ID:
				delay = time.Hour
			case claimed.ID:
				f.claimEmails(time.Hour, refs[i])
			}
			f.must(f.ReleaseNotifications(f.Context(), refs[i:i+1], delay))
		}
		f.must(f.ReleaseNotifications(f.Context(), nil, 0))
		f.equal("due", []revocation.NotificationRef{{Account: acme, Revocation: now.ID, Claims: 1, DispatchCount: 2}}, f.dueEmails(time.Hour))
	}},
	{"a late release of an email changes nothing", func(f *fixture) {
		again, deferred := f.revokedWithEmail(1), f.revokedWithEmail(2)
		for _, ref := range []revocation.Ref{again, deferred} {
			f.settle(f.claimEmail(ref, time.Hour), revocation.Settlement{Status: revocation.NotificationPending})
		}
		stale := f.dueEmails(0)
		f.equal("due", 2, len(stale))
		f.equal("enqueued again", 2, len(f.dueEmails(time.Hour)))
		f.must(f.ReleaseNotifications(f.Context(), stale, 0))
		f.equal("due after a release of the first time", 0, len(f.dueEmails(0)))
		stale = []revocation.NotificationRef{{Account: acme, Revocation: deferred.ID, Claims: 1, DispatchCount: 2}}
		f.settle(f.claimEmails(time.Hour, stale...)[0], revocation.Settlement{Status: revocation.NotificationPending, Attempts: 1, Delay: time.Hour})
		f.must(f.ReleaseNotifications(f.Context(), stale, 0))
		f.equal("due after a release of an email that is deferred since", 0, len(f.dueEmails(0)))
	}},
}
