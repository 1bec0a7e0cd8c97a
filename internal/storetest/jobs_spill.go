package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
)

var spillTests = []test{
	{"the items of a spilled chunk come to the same end", func(f *fixture) {
		rows := []revocation.Item{item(1, wishing(true)), item(2), invalid("no"), item(1), item(invites + 1), item(3)}
		job := f.bulk(rows)
		f.spill(job)
		f.same("its counters", []any{5, revocation.Counts{Invalid: 1}}, []any{f.look(job).Pending(), f.look(job).Counts})
		f.same("work", []revocation.AccountWork{{Task: revocation.JobsTask, Account: acme}}, f.turns())
		f.same("no chunk", revocation.Chunk{}, f.chunk(acme))
		whole := f.bulk(rows, zeniths)
		f.end(job)
		f.end(whole)
		f.same("outcomes", f.outcomes(whole), f.outcomes(job))
		f.same("mails", f.look(whole).Mails, f.look(job).Mails)
		f.alike("item", f.read(rowOf(whole, 1)).Notification, f.read(rowOf(job, 1)).Notification)
	}},
	{"the decision about an item sees all facts", func(f *fixture) {
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, PlanChangedAt: &planChange}))
		job := f.bulk([]revocation.Item{item(2), item(1, wishing(false)), item(invites + 1)}, notifyAll)
		f.spill(job)
		refs := refsOf(f.claimItems(acme, 9, time.Hour))
		single := f.fresh(request(1))[0]
		var seen []revocation.LockedRevocation
		f.carryOutBy(func(held []revocation.LockedRevocation) []revocation.Decision {
			seen = slices.Clone(held)
			return postponed(time.Hour)(held)
		}, append(refs, single)...)
		invite := &revocation.InviteState{SentAt: sentAt}
		want := []revocation.LockedRevocation{
			{Ref: rowOf(job, 2), ReportID: 1, DispatchCount: 1, Job: job.ID, Invite: invite, PlanChangedAt: planChange},
			{Ref: single, ReportID: 1, Invite: invite, PlanChangedAt: planChange},
			{Ref: rowOf(job, 1), ReportID: 2, DispatchCount: 1, Job: job.ID, Notify: true, Invite: invite, PlanChangedAt: planChange},
			{Ref: rowOf(job, 3), ReportID: invites + 1, DispatchCount: 1, Job: job.ID, Notify: true, PlanChangedAt: planChange},
		}
		f.same("held", want, seen)
		f.same("pending", 3, f.look(job).Pending())
	}},
	{"what is spilled or carried out twice is done once", func(f *fixture) {
		job := f.bulk(items(1, 2), notifyAll)
		f.spill(job)
		f.spill(job)
		f.same("pending", job.Total, f.look(job).Pending())
		due := f.claimItems(acme, 9, time.Hour)
		f.same("items", 2, len(due))
		f.spill(job)
		f.same("spilled under a claim", 0, len(f.claimItems(acme, 9, time.Hour)))
		f.carryOut(refsOf(due)...)
		f.same("carried out again", 0, len(f.carryOut(refsOf(due)...)))
		whole := f.bulk(items(3), zeniths)
		f.chunk(zenith)
		for _, j := range []revocation.Job{job, whole} {
			f.spill(j)
			f.same("after the end", 0, len(f.claimItems(j.Account, 9, 0)))
			f.recount(j)
		}
		f.mails(job, revocation.MailCounts{Pending: 2})
		f.same("emails", 2, len(f.jobEmails(acme, 9, time.Hour)))
		f.idle("after the end")
	}},
	{"items are claimed once, and no more than asked for", func(f *fixture) {
		job := f.bulk(items(1, 2, 3, 4, 5))
		f.spill(job)
		var rows []int
		for _, want := range []int{2, 2, 1, 0} {
			due := f.claimItems(acme, 2, time.Hour)
			f.same("claimed", want, len(due))
			for _, d := range due {
				rows = append(rows, d.ID.Row())
			}
		}
		slices.Sort(rows)
		f.same("rows", []int{1, 2, 3, 4, 5}, rows)
		f.idle("for what is claimed")
	}},
	{"a claimed item that was lost is found after a grace that follows the epoch", func(f *fixture) {
		job := f.bulk(items(1))
		f.spill(job)
		graces := []time.Duration{time.Hour, 0, 0, time.Hour}
		for dispatchCount := 1; dispatchCount <= 3; dispatchCount++ {
			f.same("due", []revocation.DueAttempt{{Ref: rowOf(job, 1), DispatchCount: dispatchCount}}, f.claimItems(acme, 9, graces...))
		}
		f.same("in the third epoch", 0, len(f.claimItems(acme, 9, graces...)))
	}},
	{"items and single submissions are claimed apart", func(f *fixture) {
		single := f.fresh(request(1))[0]
		f.carryOutBy(postponed(0), single)
		job := f.bulk(items(1, 2))
		f.spill(job)
		f.same("items", []int{1, 2}, f.dueRows())
		f.same("singles", []revocation.Ref{single}, f.claimDue(0))
		f.attemptFails(0, rowOf(job, 1), single)
		f.same("singles after a failure", []revocation.Ref{next(single)}, f.claimDue(0))
		f.same("items after a failure", []int{1}, f.dueRows())
	}},
	{"what was diverted to the account's turns is claimed there, before its items", func(f *fixture) {
		job := f.bulk(items(1, 2))
		f.spill(job)
		singles := f.fresh(request(3), request(4))
		f.carryOutBy(decideAll(func(revocation.LockedRevocation) revocation.Decision { return revocation.Decision{RouteUpstream: true} }), singles...)
		f.same("due", 0, len(f.claimDue(0)))
		f.same("first", singles[:1], refsOf(f.claimItems(acme, 1, time.Hour)))
		f.same("then", 2, len(f.claimItems(acme, 2, time.Hour)))
		f.same("last", 1, len(f.claimItems(acme, 2, time.Hour)))
		f.same("to be cancelled", 0, len(f.claimCancelled(acme, 9, 0)))
		f.carryOut(singles...)
		f.status(singles[1], revoked, true)
	}},
	{"an item that failed is tried again when it is due, and holds up nothing", func(f *fixture) {
		job := f.bulk(items(1, 2, 3))
		f.spill(job)
		f.claimItems(acme, 9, time.Hour)
		f.attemptFails(0, rowOf(job, 1))
		f.attemptFails(time.Hour, rowOf(job, 2))
		j := f.look(job)
		f.same("state", revocation.JobRunning, j.State)
		f.same("retrying and pending", []int{2, 1}, []int{j.Retrying, j.Pending()})
		for row := range 2 {
			r := f.read(rowOf(job, row+1))
			f.same("item", []any{revocation.StatusErrorRevoking, false, 1, &outage}, []any{r.Status, r.Final, r.Attempts, r.LastError})
			if !r.NextAttemptAt.After(job.CreatedAt()) {
				f.Errorf("next attempt at %v", r.NextAttemptAt)
			}
		}
		f.carryOut(rowOf(job, 3))
		other := f.bulk(items(2))
		f.same("another job", true, f.chunk(acme).Ended)
		f.same("due", []revocation.Ref{next(rowOf(job, 1))}, refsOf(f.claimItems(acme, 9, time.Hour)))
		f.carryOut(next(rowOf(job, 1)))
		f.same("retrying", 1, f.look(job).Retrying)
		f.idle("while an item waits")
		f.recount(job)
		r := f.read(rowOf(job, 1))
		f.same("attempts", []any{revoked, 2}, []any{r.Status, r.Attempts})
		f.carryOut(next(rowOf(job, 2)))
		f.state(job, revocation.JobCompleted)
		f.same("who came first", []revocation.Status{revoked, revoked, already, revoked}, append(f.outcomes(other), f.outcomes(job)...))
	}},
	{"after its last attempt an item has failed for good", func(f *fixture) {
		job := f.bulk(items(1, 2), notifyAll)
		f.spill(job)
		f.claimItems(acme, 9, time.Hour)
		f.carryOut(rowOf(job, 2))
		ref := rowOf(job, 1)
		for attempt := range 3 {
			f.same("retrying", min(attempt, 1), f.look(job).Retrying)
			f.state(job, revocation.JobRunning)
			done, err := f.RecordOutcomes(f.Context(), []revocation.Ref{ref}, func(held []revocation.LockedRevocation) []revocation.Decision {
				return revocation.DecideFailed(held, outage, revocation.RetryPolicy{MaxAttempts: 3})
			})
			f.must(err)
			var ended []revocation.ID
			if attempt == 2 {
				ended = []revocation.ID{job.ID}
			}
			f.same("ended", ended, done.Ended)
			ref = next(ref)
		}
		f.final(rowOf(job, 1), revocation.Revocation{
			ReportID: 1, Job: job.ID, Notify: true, Status: revocation.StatusErrorRevoking, Attempts: 3, LastError: &outage,
			Notification: revocation.Notification{Status: revocation.NotificationSkipped},
		})
		f.state(job, revocation.JobCompleted)
		f.same("counts", revocation.Counts{Revoked: 1, ErrorRevoking: 1}, f.look(job).Counts)
		f.recount(job)
		f.same("due", 0, len(f.claimItems(acme, 9, 0)))
	}},
	{"a stale attempt on an item does nothing", func(f *fixture) {
		job := f.bulk(items(1))
		ref := rowOf(job, 1)
		f.same("before it is spilled", 0, len(f.carryOut(ref)))
		f.spill(job)
		f.same("in another account's name", 0, len(f.carryOut(asZenith(ref))))
		f.attemptFails(0, ref)
		f.same("the attempt before", 0, len(f.carryOut(ref)))
		f.same("its failure", 0, len(f.attemptFails(0, ref)))
		f.same("retrying", 1, f.look(job).Retrying)
	}},
	{"what is kept from an attempt stays pending", func(f *fixture) {
		job := f.bulk(items(1))
		f.spill(job)
		f.claimItems(acme, 9, time.Hour)
		f.carryOutBy(postponed(0), rowOf(job, 1))
		f.same("pending", 1, f.look(job).Pending())
		f.same("due", []int{1}, f.dueRows())
		f.attemptFails(0, rowOf(job, 1))
		f.carryOutBy(postponed(0), next(rowOf(job, 1)))
		f.same("retrying", 1, f.look(job).Retrying)
		f.same("due", []int{1}, f.dueRows())
	}},
	{"a batch counts into several jobs", func(f *fixture) {
		var refs []revocation.Ref
		var jobs []revocation.Job
		for range 3 {
			job := f.bulk(append(items(1, 2), unknown(1)...), notifyAll)
			f.spill(job)
			jobs = append(jobs, job)
			for row := range 3 {
				refs = append(refs, rowOf(job, row+1))
			}
		}
		f.claimItems(acme, 9, time.Hour)
		slices.Reverse(refs)
		done, err := f.CarryOut(f.Context(), refs[:4], revocation.Decide)
		f.must(err)
		more, err := f.CarryOut(f.Context(), refs[4:], revocation.Decide)
		f.must(err)
		ended := slices.SortedFunc(slices.Values(append(done.Ended, more.Ended...)), revocation.ID.Compare)
		f.same("ended", []revocation.ID{jobs[0].ID, jobs[1].ID, jobs[2].ID}, ended)
		total := 0
		for _, job := range jobs {
			f.recount(job)
			total += f.look(job).Counts.Revoked
		}
		f.same("revoked", 2, total)
	}},
}
