package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
)

// next is the attempt after ref's.
func next(ref revocation.Ref) revocation.Ref {
	ref.Attempt++
	return ref
}

var retryTests = []test{
	{"a failed attempt is told, with when the next is due", func(f *fixture) {
		ref := f.fresh(request(1, withNotify))[0]
		before := time.Now()
		decisions := f.attemptFails(time.Hour, ref)
		f.same("decided", 1, len(decisions))
		r := f.read(ref)
		f.same("revocation", revocation.Revocation{
			ID: ref.ID, Account: acme, ReportID: 1, Notify: true, RequestedBy: apiKey,
			Status: revocation.StatusErrorRevoking, Attempts: 1, LastError: &outage,
			Notification:  revocation.Notification{Status: revocation.NotificationPending},
			NextAttemptAt: r.NextAttemptAt, UpdatedAt: r.UpdatedAt,
		}, r)
		// A stored time is cut or rounded to the microsecond.
		if off := r.NextAttemptAt.Sub(r.UpdatedAt) - decisions[0].Delay; off.Abs() > time.Microsecond {
			f.Errorf("next attempt %v after the failure, want %v", r.NextAttemptAt.Sub(r.UpdatedAt), decisions[0].Delay)
		}
		if r.UpdatedAt.Before(before.Add(-time.Second)) || r.UpdatedAt.Location() != time.UTC || r.NextAttemptAt.Location() != time.UTC {
			f.Errorf("updated at %v, next attempt at %v; want times in UTC after %v", r.UpdatedAt, r.NextAttemptAt, before)
		}
	}},
	{"each failed attempt counts", func(f *fixture) {
		ref := f.fresh(request(1))[0]
		f.attemptFails(0, ref)
		other := revocation.Failure{Code: revocation.CodeDeadlock, Detail: ""}
		_, err := f.RecordOutcomes(f.Context(), []revocation.Ref{next(ref)}, func(held []revocation.LockedRevocation) []revocation.Decision {
			return revocation.DecideFailed(held, other, revocation.RetryPolicy{MaxAttempts: 9})
		})
		f.must(err)
		r := f.read(ref)
		f.same("attempts", 2, r.Attempts)
		f.same("last error", &other, r.LastError)
	}},
	{"success after failures clears them", func(f *fixture) {
		ref := f.fresh(request(1))[0]
		f.attemptFails(0, ref)
		f.attemptFails(0, next(ref))
		f.carryOut(next(next(ref)))
		f.final(ref, revocation.Revocation{
			ReportID: 1, Status: revocation.StatusRevoked, Attempts: 3,
			Notification: revocation.Notification{Status: revocation.NotificationNotRequested},
		})
	}},
	{"after the last attempt it is final, and a new one can start", func(f *fixture) {
		ref := f.fresh(request(1, withNotify))[0]
		f.attemptFails(0, ref)
		f.attemptFails(0, next(ref))
		f.attemptFails(0, next(next(ref)))
		f.final(ref, revocation.Revocation{
			ReportID: 1, Notify: true, Status: revocation.StatusErrorRevoking, Attempts: 3, LastError: &outage,
			Notification: revocation.Notification{Status: revocation.NotificationSkipped},
		})
		f.same("due", 0, len(f.claimDue(time.Hour)))
		again := f.fresh(request(1))[0]
		f.carryOut(again)
		f.status(again, revocation.StatusRevoked, true)
	}},
	{"a failure is recorded without a look at the invites", func(f *fixture) {
		refs := f.fresh(request(2), request(1, withNotify))
		var seen []revocation.LockedRevocation
		_, err := f.RecordOutcomes(f.Context(), refs, func(held []revocation.LockedRevocation) []revocation.Decision {
			seen = slices.Clone(held)
			return revocation.DecideFailed(held, outage, revocation.RetryPolicy{MaxAttempts: 2})
		})
		f.must(err)
		f.same("held", []revocation.LockedRevocation{
			{Ref: refs[1], ReportID: 1, Notify: true}, {Ref: refs[0], ReportID: 2},
		}, seen)
	}},
	{"being kept from an attempt is none", func(f *fixture) {
		ref := f.fresh(request(1))[0]
		was := f.read(ref)
		f.carryOutBy(postponed(0), ref)
		f.same("revocation", was, f.read(ref))
		f.same("due", []revocation.Ref{ref}, f.claimDue(time.Hour))

		f.attemptFails(time.Hour, ref)
		was = f.read(ref)
		f.carryOutBy(postponed(0), next(ref))
		f.same("revocation between attempts", was, f.read(ref))
		f.same("due", []revocation.Ref{next(ref)}, f.claimDue(time.Hour))
	}},
	{"some of a batch end, some wait, some are kept from it", func(f *fixture) {
		refs := f.fresh(request(1, withNotify), request(2), request(3), request(4))
		f.carryOutBy(func(held []revocation.LockedRevocation) []revocation.Decision {
			all := revocation.Decide(held)
			all[1] = revocation.DecideFailed(held[1:2], outage, revocation.RetryPolicy{MaxAttempts: 2})[0]
			all[2] = postponed(0)(held[2:3])[0]
			return all
		}, refs...)
		f.status(refs[0], revocation.StatusRevoked, true)
		f.status(refs[1], revocation.StatusErrorRevoking, false)
		f.status(refs[2], revocation.StatusPending, false)
		f.status(refs[3], revocation.StatusRevoked, true)
	}},
	{"an email that is wished for later is sent", func(f *fixture) {
		ref := f.fresh(request(1))[0]
		f.attemptFails(0, ref)
		f.submit(request(1, withNotify))
		f.same("shown before the end", revocation.NotificationPending, f.read(ref).Notification.Status)
		f.same("email", revocation.NotificationPending, f.carryOut(next(ref))[0].Email)
		r := f.read(ref)
		f.same("notify", true, r.Notify)
		f.same("notification", revocation.Notification{Status: revocation.NotificationPending}, r.Notification)
		f.claimEmail(ref, time.Hour)
	}},
	{"a wish stays when another submission has none", func(f *fixture) {
		ref := f.fresh(request(1, withNotify))[0]
		f.submit(request(1))
		f.same("email", revocation.NotificationPending, f.carryOut(ref)[0].Email)
	}},
	{"a wish after the end starts a new one and mails nothing", func(f *fixture) {
		first := f.fresh(request(1))[0]
		f.carryOut(first)
		second := f.fresh(request(1, withNotify))[0]
		f.carryOut(second)
		f.same("first", revocation.NotificationNotRequested, f.read(first).Notification.Status)
		f.same("second", revocation.NotificationSkipped, f.read(second).Notification.Status)
		f.noEmail(first)
		f.noEmail(second)
	}},
}
