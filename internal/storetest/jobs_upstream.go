package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
)

// toUpstream moves acme's invites to an upstream; an empty url brings them back.
func (f *fixture) toUpstream(url string) {
	f.Helper()
	f.must(f.SetAccount(f.Context(), revocation.AccountChange{
		ID: acme, Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte("sealed")},
	}))
}

const upstreamURL = "https://upstream.example"

// calls begins calls of what acme has to call its upstream for, and returns them in the order of their ids.
func (f *fixture) calls(limit int, lease time.Duration) []revocation.Call {
	f.Helper()
	return f.callsOf(limit, limit, lease)
}

// callsOf is calls with at most items of them for items of jobs.
func (f *fixture) callsOf(limit, items int, lease time.Duration) []revocation.Call {
	f.Helper()
	calls, err := f.BeginCalls(f.Context(), acme, limit, items, lease)
	f.must(err)
	slices.SortFunc(calls, func(a, b revocation.Call) int { return a.ID.Compare(b.ID) })
	return calls
}

// called is a job of acme's that has been spilled for its upstream.
func (f *fixture) called(items ...revocation.Item) revocation.Job {
	f.Helper()
	f.toUpstream(upstreamURL)
	job := f.bulk(items)
	f.same("spilled", len(items), f.chunk(acme).Spilled)
	return job
}

// answered writes what the upstream has said of calls.
func (f *fixture) answered(calls []revocation.Call, decide func(revocation.LockedRevocation) revocation.Decision) revocation.BatchResult {
	f.Helper()
	refs := make([]revocation.Ref, len(calls))
	for i, c := range calls {
		refs[i] = c.Ref
	}
	done, err := f.RecordOutcomes(f.Context(), refs, decideAll(decide))
	f.must(err)
	return done
}

var callsOfAcme = revocation.AccountWork{Task: revocation.UpstreamTask, Account: acme}

var jobUpstreamTests = []test{
	{"the items of an account on an upstream go on as calls", func(f *fixture) {
		f.toUpstream(upstreamURL)
		job := f.bulk([]revocation.Item{item(1), invalid("no"), item(invites+1, wishing(true))})
		f.same("work", []revocation.AccountWork{callsOfAcme}, f.turns())
		chunk := f.chunk(acme)
		f.same("chunk", revocation.Chunk{
			Account: acme, Job: job.ID, First: 1, Last: 3, Spilled: 2, Done: revocation.JobCount{Account: acme, Job: job.ID},
		}, chunk)
		f.same("no other", revocation.Chunk{}, f.chunk(acme))
		f.same("pending", 2, f.look(job).Pending())
		f.same("work", []revocation.AccountWork{callsOfAcme}, f.turns())
		f.same("calls", []revocation.Call{
			{Ref: rowOf(job, 1), DispatchCount: 1, Job: job.ID, ReportID: 1},
			{Ref: rowOf(job, 3), DispatchCount: 1, Job: job.ID, ReportID: invites + 1, Notify: true},
		}, f.calls(9, time.Hour))
		f.same("calls of another account", 0, len(f.claimItems(zenith, 9, 0)))
		f.idle("for calls that somebody has in hand")
	}},
	{"calls are claimed once, no more than asked for, single ones first", func(f *fixture) {
		job := f.called(items(1, 2)...)
		singles := f.fresh(request(3))
		f.carryOut(singles...) // on an upstream, it is diverted
		f.status(singles[0], revocation.StatusPending, false)
		f.same("first", singles[0].ID, f.calls(1, time.Hour)[0].ID)
		f.same("then", 1, len(f.calls(1, time.Hour)))
		f.same("at last", 1, len(f.calls(9, time.Hour)))
		f.same("no more", 0, len(f.calls(9, time.Hour)))
		f.recount(job)
	}},
	{"items leave calls to what is submitted singly", func(f *fixture) {
		job := f.called(items(1, 2, 3)...)
		f.same("no item", 0, len(f.callsOf(9, 0, time.Hour)))
		singles := f.fresh(request(4), request(5))
		f.carryOut(singles...)
		f.same("both singles and an item", 3, len(f.callsOf(3, 2, time.Hour)))
		f.same("one item more", 1, len(f.callsOf(9, 1, time.Hour)))
		f.recount(job)
	}},
	{"the wish for an email counts that was there when the call began, and no later one", func(f *fixture) {
		f.toUpstream(upstreamURL)
		refs := f.fresh(request(1), request(2))
		f.carryOut(refs...)
		f.submit(request(1, withNotify))
		wishes := map[int64]bool{}
		calls := f.calls(9, time.Hour)
		for _, c := range calls {
			wishes[c.ReportID] = c.Notify
		}
		f.same("wishes", map[int64]bool{1: true, 2: false}, wishes)
		f.same("joined", refs[1].ID, f.submit(request(2, withNotify))[0].ID)
		f.same("after it began", false, f.read(refs[1]).Notify)
		f.answered(calls, func(revocation.LockedRevocation) revocation.Decision { return revocation.Decision{} }) // no call was made
		f.submit(request(2, withNotify))
		for _, c := range f.calls(9, time.Hour) {
			f.same("in doubt, with the wish", []bool{false, true}, []bool{c.InDoubt, c.Notify})
		}
	}},
	{"a call that was begun and lost is in doubt", func(f *fixture) {
		job := f.called(items(1)...)
		lost := f.calls(9, 0)
		f.same("in doubt", false, lost[0].InDoubt)
		again := f.calls(9, 0)
		f.same("again", []revocation.Call{{Ref: rowOf(job, 1), DispatchCount: 2, Job: job.ID, ReportID: 1, InDoubt: true}}, again)
		f.must(f.ExtendCalls(f.Context(), lost, time.Hour))
		owned := f.calls(9, 0)
		f.same("what was taken over is not extended", 3, owned[0].DispatchCount)
		f.must(f.ExtendCalls(f.Context(), owned, time.Hour))
		f.same("extended", 0, len(f.calls(9, time.Hour)))
		var seen []revocation.LockedRevocation
		f.answered(owned, func(h revocation.LockedRevocation) revocation.Decision {
			h.Upstream = false // which does not matter here
			seen = append(seen, h)
			return revocation.Decision{InDoubt: true}
		})
		f.same("held", []revocation.LockedRevocation{{Ref: rowOf(job, 1), ReportID: 1, DispatchCount: 3, Job: job.ID, InDoubt: true}}, seen)
		f.same("still in doubt", true, f.calls(9, time.Hour)[0].InDoubt)
		f.answered(owned, func(revocation.LockedRevocation) revocation.Decision { return revocation.Decision{} })
		f.same("cleared", false, f.calls(9, time.Hour)[0].InDoubt)
	}},
	{"what an upstream answered is counted, and its emails are its own", func(f *fixture) {
		job := f.called(item(1, wishing(true)), item(2, wishing(true)), item(3), item(4))
		done := f.answered(f.calls(9, time.Hour), func(h revocation.LockedRevocation) revocation.Decision {
			switch h.ReportID {
			case 1:
				return revocation.Decision{Status: revoked, Final: true, Email: revocation.NotificationDelegated}
			case 2:
				return revocation.Decision{Status: revoked, Final: true, Email: revocation.NotificationDelegated, Inferred: true}
			case 3:
				return revocation.Decision{Status: revocation.StatusNotAllowed, Final: true, Timestamp: "as it came"}
			default:
				return revocation.Decision{Status: revocation.StatusErrorRevoking, Failure: &outage, Delay: time.Hour, InDoubt: true}
			}
		})
		f.same("ended", 0, len(done.Ended))
		f.same("counts", revocation.Counts{Revoked: 2, NotAllowed: 1}, f.look(job).Counts)
		f.mails(job, revocation.MailCounts{Delegated: 2})
		f.same("emails", 0, len(f.jobEmails(acme, 9, time.Hour)))
		var told []any
		for _, r := range f.results(job) {
			told = append(told, r.Inferred, r.Timestamp, r.Notification.Status)
		}
		f.same("items", []any{
			false, "", revocation.NotificationDelegated, true, "", revocation.NotificationDelegated,
			false, "as it came", revocation.NotificationNotRequested, false, "", revocation.NotificationNotRequested,
		}, told)
		f.idle("while the last waits")
		f.recount(job)
	}},
	{"a job that is cancelled waits for what is in doubt", func(f *fixture) {
		job := f.called(items(1, 2, 3, 4)...)
		doubt := f.calls(1, 0) // in doubt from now on
		inHand := f.calls(2, time.Hour)
		inHand = slices.DeleteFunc(inHand, func(c revocation.Call) bool { return c.ID == doubt[0].ID })
		f.cancel(job)
		waiting := f.claimCancelled(acme, 9, time.Hour)
		f.same("to be cancelled", 4-len(inHand)-1, len(waiting))
		done, err := f.RecordOutcomes(f.Context(), refsOf(waiting), cancelAll)
		f.must(err)
		f.same("ended", 0, len(done.Ended))
		f.same("nothing else", 0, len(f.claimCancelled(acme, 9, time.Hour)))
		f.same("given back", 0, len(f.answered(inHand, func(revocation.LockedRevocation) revocation.Decision { return revocation.Decision{} }).Ended))
		f.same("to be cancelled", len(inHand), len(f.claimCancelled(acme, 9, time.Hour)))
	}},
	{"what is in doubt gets its attempt although its job is being cancelled", func(f *fixture) {
		job := f.called(items(1, 2)...)
		f.calls(9, 0)
		f.cancel(job)
		f.same("to be cancelled", 0, len(f.claimCancelled(acme, 9, time.Hour)))
		f.same("work", []revocation.AccountWork{callsOfAcme}, f.turns())
		calls := f.calls(9, time.Hour)
		for _, c := range calls {
			f.same("in doubt, cancelled", []bool{true, false}, []bool{c.InDoubt, c.Cancelled})
		}
		var knows []bool
		done := f.answered(calls, func(h revocation.LockedRevocation) revocation.Decision {
			knows = append(knows, h.Cancelled)
			return revocation.Decision{Status: revoked, Final: true}
		})
		f.same("cancelled", []bool{false, false}, knows)
		f.same("ended", []revocation.ID{job.ID}, done.Ended)
		f.state(job, revocation.JobCancelled)
		f.recount(job)
	}},
	{"what failed in doubt waits for its attempt although its job is being cancelled", func(f *fixture) {
		job := f.called(items(1)...)
		f.answered(f.calls(9, time.Hour), func(revocation.LockedRevocation) revocation.Decision {
			return revocation.Decision{Status: revocation.StatusErrorRevoking, Failure: &outage, Delay: time.Hour, InDoubt: true}
		})
		f.cancel(job)
		f.same("to be cancelled", 0, len(f.claimCancelled(acme, 9, time.Hour)))
		f.idle("while it waits")
		f.same("retrying", 1, f.look(job).Retrying)
	}},
	{"an item whose job is being cancelled is not in doubt, because it is not called", func(f *fixture) {
		job := f.called(items(1)...)
		f.cancel(job)
		for dispatchCount := 1; dispatchCount <= 2; dispatchCount++ {
			f.same("calls", []revocation.Call{{Ref: rowOf(job, 1), DispatchCount: dispatchCount, Job: job.ID, ReportID: 1, Cancelled: true}}, f.calls(9, 0))
		}
	}},
	{"a hold leaves the account's calls alone, but not what is to be cancelled", func(f *fixture) {
		job := f.called(items(1, 2)...)
		f.must(f.HoldUpstream(f.Context(), f.upstream(acme), revocation.HoldUnavailable, time.Hour))
		f.idle("on hold")
		waiting := f.bulk(items(3))
		f.idle("on hold, with a chunk")
		f.must(f.ReleaseUpstream(f.Context(), f.upstream(acme)))
		f.same("released", []revocation.AccountWork{callsOfAcme}, f.turns())
		f.must(f.HoldUpstream(f.Context(), f.upstream(acme), revocation.HoldUnauthorized, time.Hour))
		f.cancel(job)
		f.same("items to be cancelled", []revocation.AccountWork{callsOfAcme}, f.turns())
		_, err := f.RecordOutcomes(f.Context(), refsOf(f.claimCancelled(acme, 9, time.Hour)), cancelAll)
		f.must(err)
		f.state(job, revocation.JobCancelled)
		f.idle("when they are")
		f.cancel(waiting)
		f.same("a chunk to be cancelled", []revocation.AccountWork{callsOfAcme}, f.turns())
		f.same("cancelled", true, f.cancelledChunk(acme).Ended)
		f.must(f.HoldUpstream(f.Context(), f.upstream(acme), revocation.HoldUnavailable, 0))
		f.bulk(items(4))
		f.same("when the hold is over", []revocation.AccountWork{callsOfAcme}, f.turns())
	}},
	{"what is found out about an upstream does not count for the one that has replaced it", func(f *fixture) {
		f.called(items(1)...)
		before := f.upstream(acme)
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{
			ID: acme, Upstream: &revocation.UpstreamChange{SealedKey: []byte("another")},
		}))
		f.must(f.HoldUpstream(f.Context(), before, revocation.HoldUnauthorized, time.Hour))
		f.must(f.ResealUpstream(f.Context(), before, []byte("the old one anew")))
		now := f.upstream(acme)
		f.same("key", "another", string(now.SealedKey))
		f.same("hold", revocation.Hold(""), now.Hold)
		f.must(f.HoldUpstream(f.Context(), now, revocation.HoldUnavailable, time.Hour))
		f.must(f.ResealUpstream(f.Context(), now, []byte("another, sealed anew")))
		now = f.upstream(acme)
		f.same("resealed", "another, sealed anew", string(now.SealedKey))
		f.same("still on hold", revocation.HoldUnavailable, now.Hold)
	}},
	{"an account that leaves its upstream carries out the rest itself", func(f *fixture) {
		job := f.called(items(1, 2)...)
		later := f.bulk(items(2, 3))
		f.toUpstream("")
		f.same("work", []revocation.AccountWork{jobsOfAcme}, f.turns())
		f.work(acme)
		for _, j := range []revocation.Job{job, later} {
			f.state(j, revocation.JobCompleted)
			f.recount(j)
		}
		f.same("revoked", 3, f.look(job).Counts.Revoked+f.look(later).Counts.Revoked)
	}},
	{"what is in doubt when the account leaves its upstream is revoked here, and its email is not sent a second time", func(f *fixture) {
		f.toUpstream(upstreamURL)
		single := f.fresh(request(3, withNotify))[0]
		f.carryOut(single)
		job := f.called(item(1, wishing(true)), item(2))
		f.calls(9, 0)
		later := f.bulk([]revocation.Item{item(4, wishing(true))})
		f.toUpstream("")
		f.work(acme)
		f.same("email", revocation.NotificationUnknown, f.read(single).Notification.Status)
		f.mails(job, revocation.MailCounts{Unknown: 1})
		f.mails(later, revocation.MailCounts{Pending: 1})
		f.same("revoked", 2, f.look(job).Counts.Revoked)
		f.same("emails of singles", 0, len(f.dueEmails(0)))
		f.same("emails of jobs", 1, len(f.jobEmails(acme, 9, time.Hour)))
		for _, j := range []revocation.Job{job, later} {
			f.state(j, revocation.JobCompleted)
			f.recount(j)
		}
	}},
	{"so it does with single submissions", func(f *fixture) {
		f.toUpstream(upstreamURL)
		single := f.fresh(request(1))[0]
		f.carryOut(single)
		f.same("work", []revocation.AccountWork{callsOfAcme}, f.turns())
		f.toUpstream("")
		f.same("work", []revocation.AccountWork{jobsOfAcme}, f.turns())
		f.work(acme)
		f.status(single, revoked, true)
		f.idle("at the end")
	}},
}

// upstream is an account's as it stands; without one, its account alone.
func (f *fixture) upstream(account string) revocation.Upstream {
	f.Helper()
	up, err := f.Upstream(f.Context(), account)
	f.must(err)
	if up == nil {
		return revocation.Upstream{Account: account}
	}
	return *up
}
