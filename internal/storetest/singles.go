package storetest

import (
	"sync"
	"time"

	"rescind/internal/revocation"
)

func withHold(hold time.Duration) func(*revocation.Submission) {
	return func(s *revocation.Submission) { s.Hold = hold }
}

func notBefore(t time.Time) func(*revocation.Submission) {
	return func(s *revocation.Submission) { s.NotBefore = t }
}

func withTexts(reason, message string) func(*revocation.Submission) {
	return func(s *revocation.Submission) { s.Reason, s.CandidateMessage = &reason, &message }
}

// inTime returns a time that is later by d, in the precision of the stores.
func inTime(d time.Duration) time.Time { return time.Now().Add(d).UTC().Truncate(time.Microsecond) }

// due checks when a revocation that waits is due, to the minute; zero for one that does not wait.
func (f *fixture) due(ref revocation.Ref, want time.Time) {
	f.Helper()
	got := f.read(ref).NextAttemptAt
	if want.IsZero() && got.After(time.Now()) || !want.IsZero() && got.Sub(want).Abs() > time.Minute {
		f.Errorf("due at %v, want %v", got, want)
	}
}

// held checks that no method takes up a revocation that waits.
func (f *fixture) held(refs ...revocation.Ref) {
	f.Helper()
	for name, attempt := range map[string]func() (revocation.BatchResult, error){
		"RevokeFast":     func() (revocation.BatchResult, error) { return f.RevokeFast(f.Context(), refs) },
		"CarryOut":       func() (revocation.BatchResult, error) { return f.CarryOut(f.Context(), refs, revocation.Decide) },
		"RecordOutcomes": func() (revocation.BatchResult, error) { return f.RecordOutcomes(f.Context(), refs, revocation.Decide) },
	} {
		done, err := attempt()
		f.must(err)
		if len(done.Decisions) > 0 || len(done.Locked) > 0 {
			f.Errorf("%s returned %+v for revocations that wait", name, done)
		}
	}
	f.equal("claimed", 0, len(f.claimDue(time.Hour)))
	pending, err := f.PendingWork(f.Context())
	f.must(err)
	f.equal("pending work", false, pending.Revocations)
}

var singleTests = []test{
	{"a reason, a message and a time stay with the revocation", func(f *fixture) {
		long := inTime(-time.Hour)
		refs := f.submitNew(request(1, withTexts("r1", "line\nline"), notBefore(long)), request(2), request(3, withTexts("r3", "m3"), withReference("c")))
		check := func(when string) {
			f.Helper()
			for i, want := range []struct {
				reason, message string
				notBefore       time.Time
			}{{"r1", "line\nline", long}, {}, {"r3", "m3", time.Time{}}} {
				r := f.read(refs[i])
				reason, message := "", ""
				if r.Reason != nil {
					reason = *r.Reason
				}
				if r.CandidateMessage != nil {
					message = *r.CandidateMessage
				}
				if reason != want.reason || message != want.message || !r.NotBefore.Equal(want.notBefore) {
					f.Errorf("%s: %d has %q, %q and %v", when, i, reason, message, r.NotBefore)
				}
			}
		}
		check("pending")
		f.attemptFails(0, refs[2])
		check("retried")
		refs[2].Attempt = 1
		f.carryOut(refs...)
		check("final")
	}},
	{"nothing is done before its time", func(f *fixture) {
		later := inTime(time.Hour)
		accepted := f.submit(request(1, notBefore(later)), request(2, withHold(2*time.Hour)),
			request(3, notBefore(later), withHold(3*time.Hour)), request(4, notBefore(inTime(4*time.Hour)), withHold(time.Minute)), request(5, notBefore(inTime(-time.Hour))))
		refs := make([]revocation.Ref, len(accepted))
		for i, a := range accepted {
			f.equal("created", true, a.Created)
			f.equal("waits", i < 4, a.Waits)
			refs[i] = revocation.Ref{Account: acme, ID: a.ID}
		}
		f.held(refs[:4]...)
		for i, hours := range []int{1, 2, 3, 4} {
			f.due(refs[i], inTime(time.Duration(hours)*time.Hour))
			f.status(refs[i], revocation.StatusPending, false)
		}
		f.due(refs[4], time.Time{})
		f.carryOut(refs...)
		f.status(refs[4], revocation.StatusRevoked, true)
		f.status(refs[0], revocation.StatusPending, false)
	}},
	{"an upstream is not called before its time", func(f *fixture) {
		f.toUpstream(upstreamURL)
		ref := f.submitNew(request(1, withHold(time.Hour)))[0]
		f.held(ref)
		calls, err := f.BeginCalls(f.Context(), acme, 10, 10, time.Minute)
		f.must(err)
		f.equal("calls", 0, len(calls))
	}},
	{"what waits becomes due at its time", func(f *fixture) {
		ref := f.submitNew(request(1, notBefore(inTime(300*time.Millisecond))))[0]
		at := f.read(ref).NotBefore
		for {
			asked := time.Now()
			if due := f.claimAtMost(9, time.Hour); len(due) > 0 {
				f.equal("due", []revocation.DueAttempt{{Ref: ref, DispatchCount: 1, Waited: true}}, due)
				break
			}
			if asked.After(at) {
				f.Fatalf("not due at %v, its time is %v", asked, at)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if time.Now().Before(at) {
			f.Errorf("claimed before %v", at)
		}
		f.carryOut(ref)
		f.status(ref, revocation.StatusRevoked, true)
	}},
	{"the earlier time counts for requests that join", func(f *fixture) {
		ref := f.submitNew(request(1, notBefore(inTime(5*time.Hour)), withTexts("first", "first")))[0]
		other := f.submitNew(request(2, withHold(5*time.Hour)))[0]
		join := func(want time.Duration, with ...func(*revocation.Submission)) {
			f.Helper()
			accepted := f.submit(request(1, with...))
			f.equal("joined", revocation.Accepted{ID: ref.ID}, accepted[0])
			f.due(ref, inTime(want))
		}
		join(5*time.Hour, notBefore(inTime(6*time.Hour)), withTexts("second", "second"))
		join(4*time.Hour, notBefore(inTime(4*time.Hour)), withNotify)
		join(3*time.Hour, notBefore(inTime(time.Hour)), withHold(3*time.Hour))
		join(2*time.Hour, withHold(2*time.Hour))
		r := f.read(ref)
		f.equal("reason", "first", *r.Reason)
		f.equal("notify", true, r.Notify)
		f.held(ref)
		join(0)
		f.equal("claimed", []revocation.Ref{ref}, f.claimDue(time.Hour))
		f.due(other, inTime(5*time.Hour))
		f.carryOut(ref)
		f.status(ref, revocation.StatusRevoked, true)
	}},
	{"the earlier time counts within a flush", func(f *fixture) {
		accepted := f.submit(request(1, notBefore(inTime(5*time.Hour))), request(1, withHold(3*time.Hour)), request(1, notBefore(inTime(4*time.Hour))),
			request(2, withHold(time.Hour)), request(2))
		f.due(revocation.Ref{Account: acme, ID: accepted[0].ID}, inTime(3*time.Hour))
		f.due(revocation.Ref{Account: acme, ID: accepted[3].ID}, time.Time{})
		f.equal("claimed", []revocation.Ref{{Account: acme, ID: accepted[3].ID}}, f.claimDue(time.Hour))
	}},
	{"joining does not shorten the delay of a retry", func(f *fixture) {
		ref := f.submitNew(request(1))[0]
		f.attemptFails(time.Hour, ref)
		due := f.read(ref).NextAttemptAt
		f.submit(request(1))
		f.submit(request(1, notBefore(inTime(time.Minute))))
		_, err := f.StartSingle(f.Context(), acme, ref.ID)
		f.must(err)
		f.due(ref, due)
		f.equal("claimed", 0, len(f.claimDue(time.Hour)))
	}},
	{"a start makes it due", func(f *fixture) {
		ref := f.submitNew(request(1, notBefore(inTime(time.Hour))))[0]
		other := f.submitNew(request(2, notBefore(inTime(time.Hour))))[0]
		for range 2 {
			r, err := f.StartSingle(f.Context(), acme, ref.ID)
			f.must(err)
			f.equal("status", revocation.StatusPending, r.Status)
			f.due(ref, time.Time{})
		}
		f.equal("claimed", []revocation.Ref{ref}, f.claimDue(time.Hour))
		f.held(other)
		f.carryOut(ref)
		f.status(ref, revocation.StatusRevoked, true)
		_, err := f.StartSingle(f.Context(), acme, ref.ID)
		f.code(revocation.CodeAlreadyFinal, err)
		_, err = f.CancelSingle(f.Context(), acme, ref.ID, revocation.ByKey(apiKey))
		f.code(revocation.CodeAlreadyFinal, err)
	}},
	{"a cancel ends it", func(f *fixture) {
		refs := f.submitNew(request(1, withNotify, notBefore(inTime(time.Hour)), withTexts("r", "m")), request(2))
		f.attemptFails(time.Hour, refs[1])
		for range 2 {
			for i, ref := range refs {
				r, err := f.CancelSingle(f.Context(), acme, ref.ID, revocation.ByKey(apiKey))
				f.must(err)
				f.equal("status", revocation.StatusCancelled, r.Status)
				f.equal("final", true, r.Final)
				f.equal("attempts", i, r.Attempts)
				f.equal("message", "The revocation was cancelled first.", r.Message())
			}
		}
		r := f.read(refs[0])
		f.equal("email", revocation.NotificationSkipped, r.Notification.Status)
		f.equal("reason", "r", *r.Reason)
		_, err := f.StartSingle(f.Context(), acme, refs[0].ID)
		f.code(revocation.CodeAlreadyFinal, err)
		f.equal("claimed", 0, len(f.claimDue(time.Hour)))
		again := f.submitNew(request(1))[0]
		f.carryOut(again)
		f.status(again, revocation.StatusRevoked, true)
	}},
	{"what is another account's or an item's is refused", func(f *fixture) {
		ref := f.submitNew(request(1, withHold(time.Hour)))[0]
		_, err := f.CancelSingle(f.Context(), zenith, ref.ID, revocation.ByKey(apiKey))
		f.code(revocation.CodeNotFound, err)
		_, err = f.StartSingle(f.Context(), zenith, ref.ID)
		f.code(revocation.CodeNotFound, err)
		f.held(ref)
		job := f.bulk(items(2, 3))
		f.spill(job) // its items have work items, as single submissions have
		for row := 1; row <= 2; row++ {
			_, err = f.CancelSingle(f.Context(), acme, job.ID.Item(row), revocation.ByKey(apiKey))
			f.code(revocation.CodeNotSupported, err)
			_, err = f.StartSingle(f.Context(), acme, job.ID.Item(row))
			f.code(revocation.CodeNotSupported, err)
		}
		f.end(job)
		f.equal("outcomes", []revocation.Status{revoked, revoked}, f.outcomes(job))
	}},
	{"what is in doubt is under way", func(f *fixture) {
		f.toUpstream(upstreamURL)
		ref := f.submitNew(request(1))[0]
		f.carryOut(ref) // routes it
		_, err := f.BeginCalls(f.Context(), acme, 10, 10, time.Minute)
		f.must(err)
		_, err = f.CancelSingle(f.Context(), acme, ref.ID, revocation.ByKey(apiKey))
		f.code(revocation.CodeUnderWay, err)
	}},
	{"emails are selected by their status", func(f *fixture) {
		refs := f.submitNew(request(1, withNotify), request(2), request(3, withNotify, withHold(time.Hour)), request(4, withNotify, withHold(time.Hour)), request(5, withHold(time.Hour)))
		f.carryOut(refs[:2]...)
		_, err := f.CancelSingle(f.Context(), acme, refs[3].ID, revocation.ByKey(apiKey))
		f.must(err)
		for status, want := range map[revocation.NotificationStatus][]revocation.ID{
			revocation.NotificationPending:      {refs[2].ID, refs[0].ID},
			revocation.NotificationNotRequested: {refs[4].ID, refs[1].ID},
			revocation.NotificationSkipped:      {refs[3].ID},
			revocation.NotificationSent:         {},
		} {
			f.equal(string(status), want, f.list(revocation.Filter{Notifications: []revocation.NotificationStatus{status}}))
		}
		f.equal("two", 3, len(f.list(revocation.Filter{Notifications: []revocation.NotificationStatus{"PENDING", "SKIPPED"}})))
		selected := func(when string, status revocation.NotificationStatus, want ...revocation.ID) {
			f.Helper()
			f.equal(string(status)+" "+when, want, f.list(revocation.Filter{Notifications: []revocation.NotificationStatus{status}}))
		}
		email := f.claimEmail(refs[0], time.Hour)
		selected("under a claim", revocation.NotificationPending, refs[2].ID, refs[0].ID)
		f.equal("committed", true, f.commit(email, time.Hour))
		selected("after the commit", revocation.NotificationPending, refs[2].ID, refs[0].ID)
		f.settle(email, revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		selected("when one is sent", revocation.NotificationPending, refs[2].ID)
		selected("when one is sent", revocation.NotificationSent, refs[0].ID)
	}},
	{"of a cancel and a worker exactly one wins", func(f *fixture) {
		const races = 1000
		f.must(f.UpsertInvites(f.Context(), acme, raceInvites(races)))
		for i := range races {
			ref := f.submitNew(request(int64(1000+i), withNotify))[0]
			var racing sync.WaitGroup
			var cancelled error
			racing.Go(func() {
				for {
					_, cancelled = f.CancelSingle(f.Context(), acme, ref.ID, revocation.ByKey(apiKey))
					if cancelled == nil || revocation.ErrorCode(cancelled) != revocation.CodeLockTimeout {
						return
					}
				}
			})
			done, err := f.RevokeFast(f.Context(), []revocation.Ref{ref})
			racing.Wait()
			f.must(err)
			r := f.read(ref)
			switch won := len(done.Decisions) > 0; {
			case won && (r.Status != revocation.StatusRevoked || revocation.ErrorCode(cancelled) != revocation.CodeAlreadyFinal),
				!won && (r.Status != revocation.StatusCancelled || cancelled != nil):
				f.Fatalf("%d: the worker decided %+v, the cancel returned %v, and it is %s", i, done.Decisions, cancelled, r.Status)
			}
			want := revocation.NotificationPending
			if r.Status == revocation.StatusCancelled {
				want = revocation.NotificationSkipped
			}
			f.equal("email", want, r.Notification.Status)
		}
	}},
}

func raceInvites(n int) []revocation.Invite {
	all := make([]revocation.Invite, n)
	for i := range all {
		all[i] = revocation.Invite{
			ReportID: int64(1000 + i), CandidateName: "Ada", CandidateEmail: "ada@acme.example", AssessmentName: "Go", SentAt: sentAt,
		}
	}
	return all
}
