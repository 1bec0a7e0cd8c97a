package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
)

// toUpstream moves acme's invites to an upstream. An empty url moves them back to the database.
func (f *fixture) toUpstream(url string) {
	f.Helper()
	f.must(f.SetAccount(f.Context(), revocation.AccountChange{
		ID: acme, Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte("sealed")},
	}))
}

const upstreamURL = "https://upstream.example"

// calls begins at most limit of acme's calls to its upstream. It returns them in the order of their ids.
func (f *fixture) calls(limit int, lease time.Duration) []revocation.Call {
	f.Helper()
	return f.callsOf(limit, limit, lease)
}

// callsOf is like calls, but at most items of the calls are for items of jobs.
func (f *fixture) callsOf(limit, items int, lease time.Duration) []revocation.Call {
	f.Helper()
	calls, err := f.BeginCalls(f.Context(), acme, limit, items, lease)
	f.must(err)
	slices.SortFunc(calls, func(a, b revocation.Call) int { return a.ID.Compare(b.ID) })
	return calls
}

// called returns a job of acme's whose chunk was spilled for the upstream.
func (f *fixture) called(items ...revocation.Item) revocation.Job {
	f.Helper()
	f.toUpstream(upstreamURL)
	job := f.bulk(items)
	f.equal("spilled", len(items), f.chunk(acme).Spilled)
	return job
}

// answered records the decisions about the upstream's answers to calls.
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
	{"the items of an account on an upstream become calls", func(f *fixture) {
		f.toUpstream(upstreamURL)
		job := f.bulk([]revocation.Item{item(1), invalid("no"), item(invites+1, withItemNotify(true))})
		f.equal("work", []revocation.AccountWork{callsOfAcme}, f.accountTasks())
		chunk := f.chunk(acme)
		f.equal("chunk", revocation.Chunk{
			Account: acme, Job: job.ID, First: 1, Last: 3, Spilled: 2, Done: revocation.JobCount{Account: acme, Job: job.ID},
		}, chunk)
		f.equal("no other", revocation.Chunk{}, f.chunk(acme))
		f.equal("pending", 2, f.job(job).Pending())
		f.equal("work", []revocation.AccountWork{callsOfAcme}, f.accountTasks())
		f.equal("calls", []revocation.Call{
			{Ref: rowOf(job, 1), DispatchCount: 1, Job: job.ID, ReportID: 1},
			{Ref: rowOf(job, 3), DispatchCount: 1, Job: job.ID, ReportID: invites + 1, Notify: true},
		}, f.calls(9, time.Hour))
		f.equal("calls of another account", 0, len(f.claimItems(zenith, 9, 0)))
		f.noWork("for claimed calls")
	}},
	{"calls are claimed once, at most the limit, singles first", func(f *fixture) {
		job := f.called(items(1, 2)...)
		singles := f.submitNew(request(3))
		f.carryOut(singles...) // the account has an upstream: the decision is to route it there
		f.status(singles[0], revocation.StatusPending, false)
		f.equal("first", singles[0].ID, f.calls(1, time.Hour)[0].ID)
		f.equal("then", 1, len(f.calls(1, time.Hour)))
		f.equal("at last", 1, len(f.calls(9, time.Hour)))
		f.equal("no more", 0, len(f.calls(9, time.Hour)))
		f.recount(job)
	}},
	{"the limit for items leaves calls to singles", func(f *fixture) {
		job := f.called(items(1, 2, 3)...)
		f.equal("no item", 0, len(f.callsOf(9, 0, time.Hour)))
		singles := f.submitNew(request(4), request(5))
		f.carryOut(singles...)
		f.equal("both singles and an item", 3, len(f.callsOf(3, 1, time.Hour)))
		f.equal("one item more", 1, len(f.callsOf(9, 1, time.Hour)))
		f.recount(job)
	}},
	{"a request for an email counts if it came before the call", func(f *fixture) {
		f.toUpstream(upstreamURL)
		refs := f.submitNew(request(1), request(2))
		f.carryOut(refs...)
		f.submit(request(1, withNotify))
		notify := map[int64]bool{}
		calls := f.calls(9, time.Hour)
		for _, c := range calls {
			notify[c.ReportID] = c.Notify
		}
		f.equal("notify", map[int64]bool{1: true, 2: false}, notify)
		f.equal("joined", refs[1].ID, f.submit(request(2, withNotify))[0].ID)
		f.equal("after it began", false, f.read(refs[1]).Notify)
		f.answered(calls, func(revocation.LockedRevocation) revocation.Decision { return revocation.Decision{} }) // no call was made
		f.submit(request(2, withNotify))
		for _, c := range f.calls(9, time.Hour) {
			f.equal("in doubt, with the email", []bool{false, true}, []bool{c.InDoubt, c.Notify})
		}
	}},
	{"a call that was begun and lost is in doubt", func(f *fixture) {
		job := f.called(items(1)...)
		lost := f.calls(9, 0)
		f.equal("in doubt", false, lost[0].InDoubt)
		again := f.calls(9, 0)
		f.equal("again", []revocation.Call{{Ref: rowOf(job, 1), DispatchCount: 2, Job: job.ID, ReportID: 1, InDoubt: true}}, again)
		f.must(f.ExtendCalls(f.Context(), lost, time.Hour))
		owned := f.calls(9, 0)
		f.equal("a lost claim is not extended", 3, owned[0].DispatchCount)
		f.must(f.ExtendCalls(f.Context(), owned, time.Hour))
		f.equal("extended", 0, len(f.calls(9, time.Hour)))
		var seen []revocation.LockedRevocation
		f.answered(owned, func(h revocation.LockedRevocation) revocation.Decision {
			h.Upstream = false // not checked here
			seen = append(seen, h)
			return revocation.Decision{InDoubt: true}
		})
		f.equal("locked", []revocation.LockedRevocation{{Ref: rowOf(job, 1), ReportID: 1, DispatchCount: 3, Job: job.ID, InDoubt: true}}, seen)
		f.must(f.ExtendCalls(f.Context(), owned, time.Hour)) // too late: the call has an answer
		f.equal("still in doubt", true, f.calls(9, time.Hour)[0].InDoubt)
		f.answered(owned, func(revocation.LockedRevocation) revocation.Decision { return revocation.Decision{} })
		f.equal("cleared", false, f.calls(9, time.Hour)[0].InDoubt)
	}},
	{"an extension is of its calls only", func(f *fixture) {
		job := f.called(items(1, 2, 3)...)
		calls := f.calls(9, 0)
		f.must(f.ExtendCalls(f.Context(), calls[1:2], time.Hour))
		var rows []int
		for _, c := range f.calls(9, time.Hour) {
			rows = append(rows, c.ID.Row())
		}
		f.equal("lost", []int{1, 3}, rows)
		f.recount(job)
	}},
	{"an upstream's answers are counted, and the upstream sends the emails", func(f *fixture) {
		job := f.called(item(1, withItemNotify(true)), item(2, withItemNotify(true)), item(3), item(4))
		done := f.answered(f.calls(9, time.Hour), func(h revocation.LockedRevocation) revocation.Decision {
			switch h.ReportID {
			case 1:
				return revocation.Decision{Status: revoked, Kind: revocation.Final, Upstream: true}
			case 2:
				return revocation.Decision{Status: revoked, Kind: revocation.Final, Upstream: true, Inferred: true}
			case 3:
				return revocation.Decision{Status: revocation.StatusNotAllowed, Kind: revocation.Final, Timestamp: "as it came"}
			default:
				return revocation.Decision{Kind: revocation.Retry, Status: revocation.StatusErrorRevoking, Failure: &outage, Delay: time.Hour, InDoubt: true}
			}
		})
		f.equal("ended", 0, len(done.Ended))
		f.equal("counts", revocation.Counts{Revoked: 2, NotAllowed: 1}, f.job(job).Counts)
		f.mails(job, revocation.MailCounts{Delegated: 2})
		f.equal("emails", 0, len(f.jobEmails(acme, 9, time.Hour)))
		var got []any
		for _, r := range f.results(job) {
			got = append(got, r.Inferred, r.Timestamp, r.Notification.Status)
		}
		f.equal("items", []any{
			false, "", revocation.NotificationDelegated, true, "", revocation.NotificationDelegated,
			false, "as it came", revocation.NotificationNotRequested, false, "", revocation.NotificationNotRequested,
		}, got)
		f.noWork("while the last waits")
		f.recount(job)
		f.toUpstream("")
		for report := range int64(2) {
			invite, err := f.Invite(f.Context(), acme, report+1)
			f.must(err)
			f.equal("an invite of the database", []any{time.Time{}, revocation.ID{}}, []any{invite.RevokedAt, invite.RevokedBy})
		}
	}},
	{"a cancelled job waits for calls in doubt", func(f *fixture) {
		job := f.called(items(1, 2, 3, 4)...)
		doubt := f.calls(1, time.Hour)
		f.answered(doubt, func(revocation.LockedRevocation) revocation.Decision {
			return revocation.Decision{InDoubt: true, Delay: time.Hour} // no worker has it, and its call is in doubt
		})
		claimed := f.calls(2, time.Hour)
		f.cancel(job)
		waiting := f.claimCancelled(acme, 9, time.Hour)
		f.equal("to be cancelled", 4-len(claimed)-1, len(waiting))
		done, err := f.RecordOutcomes(f.Context(), refsOf(waiting), cancelAll)
		f.must(err)
		f.equal("ended", 0, len(done.Ended))
		f.equal("nothing else", 0, len(f.claimCancelled(acme, 9, time.Hour)))
		f.equal("released items", 0, len(f.answered(claimed, func(revocation.LockedRevocation) revocation.Decision { return revocation.Decision{} }).Ended))
		f.equal("to be cancelled", len(claimed), len(f.claimCancelled(acme, 9, time.Hour)))
	}},
	{"a call in doubt is repeated although its job is being cancelled", func(f *fixture) {
		job := f.called(items(1, 2)...)
		f.calls(9, 0)
		f.cancel(job)
		f.equal("to be cancelled", 0, len(f.claimCancelled(acme, 9, time.Hour)))
		f.equal("work", []revocation.AccountWork{callsOfAcme}, f.accountTasks())
		calls := f.calls(9, time.Hour)
		for _, c := range calls {
			f.equal("in doubt, cancelled", []bool{true, false}, []bool{c.InDoubt, c.Cancelled})
		}
		var cancelled []bool
		done := f.answered(calls, func(h revocation.LockedRevocation) revocation.Decision {
			cancelled = append(cancelled, h.Cancelled)
			return revocation.Decision{Status: revoked, Kind: revocation.Final, Upstream: true}
		})
		f.equal("cancelled", []bool{false, false}, cancelled)
		f.equal("ended", []revocation.ID{job.ID}, done.Ended)
		f.state(job, revocation.JobCancelled)
		f.recount(job)
	}},
	{"a failed call in doubt is retried although its job is being cancelled", func(f *fixture) {
		job := f.called(items(1)...)
		f.answered(f.calls(9, time.Hour), func(revocation.LockedRevocation) revocation.Decision {
			return revocation.Decision{Kind: revocation.Retry, Status: revocation.StatusErrorRevoking, Failure: &outage, Delay: time.Hour, InDoubt: true}
		})
		f.cancel(job)
		f.equal("to be cancelled", 0, len(f.claimCancelled(acme, 9, time.Hour)))
		f.noWork("while it waits")
		f.equal("retrying", 1, f.job(job).Retrying)
	}},
	{"an item whose job is being cancelled is not in doubt, because it is not called", func(f *fixture) {
		job := f.called(items(1)...)
		f.cancel(job)
		for dispatchCount := 1; dispatchCount <= 2; dispatchCount++ {
			f.equal("calls", []revocation.Call{{Ref: rowOf(job, 1), DispatchCount: dispatchCount, Job: job.ID, ReportID: 1, Cancelled: true}}, f.calls(9, 0))
		}
	}},
	{"a hold stops the account's calls, but not cancellation", func(f *fixture) {
		job := f.called(items(1, 2)...)
		held := func(when string, want bool) {
			f.Helper()
			accounts, err := f.Accounts(f.Context())
			f.must(err)
			f.equal("held "+when, []bool{want, want}, []bool{f.upstream(acme).Held, accounts[0].Upstream.Held})
		}
		held("before the hold", false)
		f.must(f.HoldUpstream(f.Context(), f.upstream(acme), revocation.HoldUnavailable, time.Hour))
		held("during the hold", true)
		f.noWork("on hold")
		waiting := f.bulk(items(3))
		f.noWork("on hold, with a chunk")
		f.must(f.ReleaseUpstream(f.Context(), f.upstream(acme)))
		f.equal("released", []revocation.AccountWork{callsOfAcme}, f.accountTasks())
		f.must(f.HoldUpstream(f.Context(), f.upstream(acme), revocation.HoldUnauthorized, time.Hour))
		f.cancel(job)
		f.equal("items to be cancelled", []revocation.AccountWork{callsOfAcme}, f.accountTasks())
		_, err := f.RecordOutcomes(f.Context(), refsOf(f.claimCancelled(acme, 9, time.Hour)), cancelAll)
		f.must(err)
		f.state(job, revocation.JobCancelled)
		f.noWork("after the cancellation")
		f.cancel(waiting)
		f.equal("a chunk to be cancelled", []revocation.AccountWork{callsOfAcme}, f.accountTasks())
		f.equal("cancelled", true, f.cancelledChunk(acme).Ended)
		f.must(f.HoldUpstream(f.Context(), f.upstream(acme), revocation.HoldUnavailable, 0))
		held("when the hold is over", false)
		f.bulk(items(4))
		f.equal("when the hold is over", []revocation.AccountWork{callsOfAcme}, f.accountTasks())
	}},
	{"a hold or a new seal of a replaced upstream has no effect", func(f *fixture) {
		f.called(items(1)...)
		before := f.upstream(acme)
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{
			ID: acme, Upstream: &revocation.UpstreamChange{SealedKey: []byte("another")},
		}))
		f.must(f.HoldUpstream(f.Context(), before, revocation.HoldUnauthorized, time.Hour))
		f.must(f.ResealUpstream(f.Context(), before, []byte("the old one anew")))
		now := f.upstream(acme)
		f.equal("key", "another", string(now.SealedKey))
		f.equal("hold", revocation.Hold(""), now.Hold)
		f.must(f.HoldUpstream(f.Context(), now, revocation.HoldUnavailable, time.Hour))
		f.must(f.ResealUpstream(f.Context(), now, []byte("another, sealed anew")))
		now = f.upstream(acme)
		f.equal("resealed", "another, sealed anew", string(now.SealedKey))
		f.equal("still on hold", revocation.HoldUnavailable, now.Hold)
		url := "https://another.example" // with the same key
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, Upstream: &revocation.UpstreamChange{URL: &url}}))
		f.must(f.HoldUpstream(f.Context(), now, revocation.HoldUnauthorized, time.Hour))
		f.must(f.ResealUpstream(f.Context(), now, []byte("for the old URL")))
		now = f.upstream(acme)
		f.equal("key and hold of another URL", []string{"another, sealed anew", ""}, []string{string(now.SealedKey), string(now.Hold)})
	}},
	{"the rest is revoked in the database when the account leaves its upstream", func(f *fixture) {
		job := f.called(items(1, 2)...)
		later := f.bulk(items(2, 3))
		f.toUpstream("")
		f.equal("work", []revocation.AccountWork{jobsOfAcme}, f.accountTasks())
		f.work(acme)
		for _, j := range []revocation.Job{job, later} {
			f.state(j, revocation.JobCompleted)
			f.recount(j)
		}
		f.equal("revoked", 3, f.job(job).Counts.Revoked+f.job(later).Counts.Revoked)
	}},
	{"a call in doubt when the account leaves its upstream is revoked in the database, without a second email", func(f *fixture) {
		f.toUpstream(upstreamURL)
		single := f.submitNew(request(3, withNotify))[0]
		f.carryOut(single)
		job := f.called(item(1, withItemNotify(true)), item(2))
		f.calls(9, 0)
		later := f.bulk([]revocation.Item{item(4, withItemNotify(true))})
		f.toUpstream("")
		f.work(acme)
		f.equal("email", revocation.NotificationUnknown, f.read(single).Notification.Status)
		f.mails(job, revocation.MailCounts{Unknown: 1})
		f.mails(later, revocation.MailCounts{Pending: 1})
		f.equal("revoked", 2, f.job(job).Counts.Revoked)
		f.equal("emails of singles", 0, len(f.dueEmails(0)))
		f.equal("emails of jobs", 1, len(f.jobEmails(acme, 9, time.Hour)))
		for _, j := range []revocation.Job{job, later} {
			f.state(j, revocation.JobCompleted)
			f.recount(j)
		}
	}},
	{"singles are revoked in the database when the account leaves its upstream", func(f *fixture) {
		f.toUpstream(upstreamURL)
		single := f.submitNew(request(1))[0]
		f.carryOut(single)
		f.equal("work", []revocation.AccountWork{callsOfAcme}, f.accountTasks())
		f.toUpstream("")
		f.equal("work", []revocation.AccountWork{jobsOfAcme}, f.accountTasks())
		f.work(acme)
		f.status(single, revoked, true)
		f.noWork("at the end")
	}},
}

// upstream reads the account's upstream. Without one, it returns an Upstream with only the account set.
func (f *fixture) upstream(account string) revocation.Upstream {
	f.Helper()
	up, err := f.Upstream(f.Context(), account)
	f.must(err)
	if up == nil {
		return revocation.Upstream{Account: account}
	}
	return *up
}
