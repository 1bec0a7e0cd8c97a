package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
)

// next returns ref with the next attempt.
func next(ref revocation.Ref) revocation.Ref {
	ref.Attempt++
	return ref
}

var retryTests = []test{
	{"a failed attempt shows its error and the time of the next", func(f *fixture) {
		ref := f.submitNew(request(1, withNotify))[0]
		before := time.Now()
		decisions := f.attemptFails(time.Hour, ref)
		f.equal("decided", 1, len(decisions))
		r := f.read(ref)
		f.equal("revocation", revocation.Revocation{
			ID: ref.ID, Account: acme, ReportID: 1, Notify: true, RequestedBy: apiKey,
			Status: revocation.StatusErrorRevoking, Attempts: 1, LastError: &outage,
			Notification:  revocation.Notification{Status: revocation.NotificationPending},
			NextAttemptAt: r.NextAttemptAt, UpdatedAt: r.UpdatedAt,
		}, r)
		// A store truncates or rounds times to microseconds.
		if off := r.NextAttemptAt.Sub(r.UpdatedAt) - decisions[0].Delay; off.Abs() > time.Microsecond {
			f.Errorf("next attempt %v after the failure, want %v", r.NextAttemptAt.Sub(r.UpdatedAt), decisions[0].Delay)
		}
		if r.UpdatedAt.Before(before.Add(-time.Second)) || r.UpdatedAt.Location() != time.UTC || r.NextAttemptAt.Location() != time.UTC {
			f.Errorf("updated at %v, next attempt at %v; want times in UTC after %v", r.UpdatedAt, r.NextAttemptAt, before)
		}
	}},
	{"each failed attempt counts", func(f *fixture) {
		ref := f.submitNew(request(1))[0]
		f.attemptFails(0, ref)
		other := revocation.Failure{Code: revocation.CodeDeadlock, Detail: ""}
		_, err := f.RecordOutcomes(f.Context(), []revocation.Ref{next(ref)}, func(locked []revocation.LockedRevocation) []revocation.Decision {
			return revocation.DecideFailed(locked, other, revocation.RetryPolicy{MaxAttempts: 9})
		})
		f.must(err)
		r := f.read(ref)
		f.equal("attempts", 2, r.Attempts)
		f.equal("last error", &other, r.LastError)
	}},
	{"success clears the last error", func(f *fixture) {
		ref := f.submitNew(request(1))[0]
		f.attemptFails(0, ref)
		f.attemptFails(0, next(ref))
		f.carryOut(next(next(ref)))
		f.final(ref, revocation.Revocation{
			ReportID: 1, Status: revocation.StatusRevoked, Attempts: 3,
			Notification: revocation.Notification{Status: revocation.NotificationNotRequested},
		})
	}},
	{"after the last attempt it is final, and a new one can start", func(f *fixture) {
		ref := f.submitNew(request(1, withNotify))[0]
		f.attemptFails(0, ref)
		f.attemptFails(0, next(ref))
		f.attemptFails(0, next(next(ref)))
		f.final(ref, revocation.Revocation{
			ReportID: 1, Notify: true, Status: revocation.StatusErrorRevoking, Attempts: 3, LastError: &outage,
			Notification: revocation.Notification{Status: revocation.NotificationSkipped},
		})
		f.equal("due", 0, len(f.claimDue(time.Hour)))
		again := f.submitNew(request(1))[0]
		f.carryOut(again)
		f.status(again, revocation.StatusRevoked, true)
	}},
	{"a failure is recorded without reading the invites", func(f *fixture) {
		refs := f.submitNew(request(2), request(1, withNotify))
		var seen []revocation.LockedRevocation
		_, err := f.RecordOutcomes(f.Context(), refs, func(locked []revocation.LockedRevocation) []revocation.Decision {
			seen = slices.Clone(locked)
			return revocation.DecideFailed(locked, outage, revocation.RetryPolicy{MaxAttempts: 2})
		})
		f.must(err)
		f.equal("locked", []revocation.LockedRevocation{
			{Ref: refs[1], ReportID: 1, Notify: true}, {Ref: refs[0], ReportID: 2},
		}, seen)
	}},
	{"a postponed attempt does not count", func(f *fixture) {
		ref := f.submitNew(request(1))[0]
		was := f.read(ref)
		f.carryOutBy(postponed(0), ref)
		f.equal("revocation", was, f.read(ref))
		f.equal("due", []revocation.Ref{ref}, f.claimDue(time.Hour))

		f.attemptFails(time.Hour, ref)
		was = f.read(ref)
		f.carryOutBy(postponed(0), next(ref))
		f.equal("revocation between attempts", was, f.read(ref))
		f.equal("due", []revocation.Ref{next(ref)}, f.claimDue(time.Hour))
	}},
	{"a batch may contain final, failed and postponed revocations", func(f *fixture) {
		refs := f.submitNew(request(1, withNotify), request(2), request(3), request(4))
		f.carryOutBy(func(locked []revocation.LockedRevocation) []revocation.Decision {
			all := revocation.Decide(locked)
			all[1] = revocation.DecideFailed(locked[1:2], outage, revocation.RetryPolicy{MaxAttempts: 2})[0]
			all[2] = postponed(0)(locked[2:3])[0]
			return all
		}, refs...)
		f.status(refs[0], revocation.StatusRevoked, true)
		f.status(refs[1], revocation.StatusErrorRevoking, false)
		f.status(refs[2], revocation.StatusPending, false)
		f.status(refs[3], revocation.StatusRevoked, true)
	}},
	{"an email requested later is sent", func(f *fixture) {
		ref := f.submitNew(request(1))[0]
		f.attemptFails(0, ref)
		f.submit(request(1, withNotify))
		f.equal("shown before the end", revocation.NotificationPending, f.read(ref).Notification.Status)
		f.equal("email", revocation.NotificationPending, f.carryOut(next(ref))[0].EmailStatus())
		r := f.read(ref)
		f.equal("notify", true, r.Notify)
		f.equal("notification", revocation.Notification{Status: revocation.NotificationPending}, r.Notification)
		f.claimEmail(ref, time.Hour)
	}},
	{"a request for an email stays when another submission has none", func(f *fixture) {
		ref := f.submitNew(request(1, withNotify))[0]
		f.submit(request(1))
		f.equal("email", revocation.NotificationPending, f.carryOut(ref)[0].EmailStatus())
	}},
	{"a request after the end starts a new revocation and sends no email", func(f *fixture) {
		first := f.submitNew(request(1))[0]
		f.carryOut(first)
		second := f.submitNew(request(1, withNotify))[0]
		f.carryOut(second)
		f.equal("first", revocation.NotificationNotRequested, f.read(first).Notification.Status)
		f.equal("second", revocation.NotificationSkipped, f.read(second).Notification.Status)
		f.noEmail(first)
		f.noEmail(second)
	}},
}
