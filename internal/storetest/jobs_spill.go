package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
)

var spillTests = []test{
	{"the items of a spilled chunk get the same outcomes", func(f *fixture) {
		rows := []revocation.Item{item(1, withItemNotify(true)), item(2), invalid("no"), item(1), item(invites + 1), item(3)}
		job := f.bulk(rows)
		f.spill(job)
		f.equal("its counters", []any{5, revocation.Counts{Invalid: 1}}, []any{f.job(job).Pending(), f.job(job).Counts})
		f.equal("work", []revocation.AccountWork{{Task: revocation.JobsTask, Account: acme}}, f.accountTasks())
		f.equal("no chunk", revocation.Chunk{}, f.chunk(acme))
		whole := f.bulk(rows, ofZenithJob)
		f.end(job)
		f.end(whole)
		f.equal("outcomes", f.outcomes(whole), f.outcomes(job))
		f.equal("mails", f.job(whole).Mails, f.job(job).Mails)
		f.equalIgnoringTimes("item", f.read(rowOf(whole, 1)).Notification, f.read(rowOf(job, 1)).Notification)
	}},
	{"the decision about an item gets all facts", func(f *fixture) {
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, PlanChangedAt: &planChange}))
		job := f.bulk([]revocation.Item{item(2), item(1, withItemNotify(false)), item(invites + 1)}, notifyAll)
		f.spill(job)
		refs := refsOf(f.claimItems(acme, 9, time.Hour))
		single := f.submitNew(request(1))[0]
		var seen []revocation.LockedRevocation
		f.carryOutBy(func(locked []revocation.LockedRevocation) []revocation.Decision {
			seen = slices.Clone(locked)
			return postponed(time.Hour)(locked)
		}, append(refs, single)...)
		invite := &revocation.InviteState{SentAt: sentAt}
		want := []revocation.LockedRevocation{
			{Ref: rowOf(job, 2), ReportID: 1, DispatchCount: 1, Job: job.ID, Invite: invite, AccountState: revocation.AccountState{PlanChangedAt: planChange}},
			{Ref: single, ReportID: 1, Invite: invite, AccountState: revocation.AccountState{PlanChangedAt: planChange}},
			{Ref: rowOf(job, 1), ReportID: 2, DispatchCount: 1, Job: job.ID, Notify: true, Invite: invite, AccountState: revocation.AccountState{PlanChangedAt: planChange}},
			{Ref: rowOf(job, 3), ReportID: invites + 1, DispatchCount: 1, Job: job.ID, Notify: true, AccountState: revocation.AccountState{PlanChangedAt: planChange}},
		}
		f.equal("held", want, seen)
		f.equal("pending", 3, f.job(job).Pending())
	}},
	{"spilling or carrying out a chunk twice has no second effect", func(f *fixture) {
		job := f.bulk(items(1, 2), notifyAll)
		f.spill(job)
		f.spill(job)
		f.equal("pending", job.Total, f.job(job).Pending())
		due := f.claimItems(acme, 9, time.Hour)
		f.equal("items", 2, len(due))
		f.spill(job)
		f.equal("spilled under a claim", 0, len(f.claimItems(acme, 9, time.Hour)))
		f.carryOut(refsOf(due)...)
		f.equal("carried out again", 0, len(f.carryOut(refsOf(due)...)))
		whole := f.bulk(items(3), ofZenithJob)
		f.chunk(zenith)
		for _, j := range []revocation.Job{job, whole} {
			f.spill(j)
			f.equal("after the end", 0, len(f.claimItems(j.Account, 9, 0)))
			f.recount(j)
		}
		f.mails(job, revocation.MailCounts{Pending: 2})
		f.equal("emails", 2, len(f.jobEmails(acme, 9, time.Hour)))
		f.noWork("after the end")
	}},
	{"items are claimed once, and at most the limit", func(f *fixture) {
		job := f.bulk(items(1, 2, 3, 4, 5))
		f.spill(job)
		var rows []int
		for _, want := range []int{2, 2, 1, 0} {
			due := f.claimItems(acme, 2, time.Hour)
			f.equal("claimed", want, len(due))
			for _, d := range due {
				rows = append(rows, d.ID.Row())
			}
		}
		slices.Sort(rows)
		f.equal("rows", []int{1, 2, 3, 4, 5}, rows)
		f.noWork("for what is claimed")
	}},
	{"a lost item is due after the visibility timeout of its dispatch count", func(f *fixture) {
		job := f.bulk(items(1))
		f.spill(job)
		visibilityTimeouts := []time.Duration{time.Hour, 0, 0, time.Hour}
		for dispatchCount := 1; dispatchCount <= 3; dispatchCount++ {
			f.equal("due", []revocation.DueAttempt{{Ref: rowOf(job, 1), DispatchCount: dispatchCount}}, f.claimItems(acme, 9, visibilityTimeouts...))
		}
		f.equal("in the third epoch", 0, len(f.claimItems(acme, 9, visibilityTimeouts...)))
	}},
	{"items and single submissions are claimed separately", func(f *fixture) {
		single := f.submitNew(request(1))[0]
		f.carryOutBy(postponed(0), single)
		job := f.bulk(items(1, 2))
		f.spill(job)
		f.equal("items", []int{1, 2}, f.dueRows())
		f.equal("singles", []revocation.Ref{single}, f.claimDue(0))
		f.attemptFails(0, rowOf(job, 1), single)
		f.equal("singles after a failure", []revocation.Ref{next(single)}, f.claimDue(0))
		f.equal("items after a failure", []int{1}, f.dueRows())
	}},
	{"singles routed to account tasks are claimed there, before items", func(f *fixture) {
		job := f.bulk(items(1, 2))
		f.spill(job)
		singles := f.submitNew(request(3), request(4))
		f.carryOutBy(decideAll(func(revocation.LockedRevocation) revocation.Decision {
			return revocation.Decision{Kind: revocation.RouteUpstream}
		}), singles...)
		f.equal("due", 0, len(f.claimDue(0)))
		f.equal("first", singles[:1], refsOf(f.claimItems(acme, 1, time.Hour)))
		f.equal("then", 2, len(f.claimItems(acme, 2, time.Hour)))
		f.equal("last", 1, len(f.claimItems(acme, 2, time.Hour)))
		f.equal("to be cancelled", 0, len(f.claimCancelled(acme, 9, 0)))
		f.carryOut(singles...)
		f.status(singles[1], revoked, true)
	}},
	{"a failed item is tried again when it is due, and blocks no other", func(f *fixture) {
		job := f.bulk(items(1, 2, 3))
		f.spill(job)
		f.claimItems(acme, 9, time.Hour)
		f.attemptFails(0, rowOf(job, 1))
		f.attemptFails(time.Hour, rowOf(job, 2))
		j := f.job(job)
		f.equal("state", revocation.JobRunning, j.State)
		f.equal("retrying and pending", []int{2, 1}, []int{j.Retrying, j.Pending()})
		for row := range 2 {
			r := f.read(rowOf(job, row+1))
			f.equal("item", []any{revocation.StatusErrorRevoking, false, 1, &outage}, []any{r.Status, r.Final, r.Attempts, r.LastError})
			if !r.NextAttemptAt.After(job.CreatedAt()) {
				f.Errorf("next attempt at %v", r.NextAttemptAt)
			}
		}
		f.carryOut(rowOf(job, 3))
		other := f.bulk(items(2))
		f.equal("another job", true, f.chunk(acme).Ended)
		f.equal("due", []revocation.Ref{next(rowOf(job, 1))}, refsOf(f.claimItems(acme, 9, time.Hour)))
		f.carryOut(next(rowOf(job, 1)))
		f.equal("retrying", 1, f.job(job).Retrying)
		f.noWork("while an item waits")
		f.recount(job)
		r := f.read(rowOf(job, 1))
		f.equal("attempts", []any{revoked, 2}, []any{r.Status, r.Attempts})
		f.carryOut(next(rowOf(job, 2)))
		f.state(job, revocation.JobCompleted)
		f.equal("who came first", []revocation.Status{revoked, revoked, already, revoked}, append(f.outcomes(other), f.outcomes(job)...))
	}},
	{"after its last attempt a failed item is final", func(f *fixture) {
		job := f.bulk(items(1, 2), notifyAll)
		f.spill(job)
		f.claimItems(acme, 9, time.Hour)
		f.carryOut(rowOf(job, 2))
		ref := rowOf(job, 1)
		for attempt := range 3 {
			f.equal("retrying", min(attempt, 1), f.job(job).Retrying)
			f.state(job, revocation.JobRunning)
			done, err := f.RecordOutcomes(f.Context(), []revocation.Ref{ref}, func(locked []revocation.LockedRevocation) []revocation.Decision {
				return revocation.DecideFailed(locked, outage, revocation.RetryPolicy{MaxAttempts: 3})
			})
			f.must(err)
			var ended []revocation.ID
			if attempt == 2 {
				ended = []revocation.ID{job.ID}
			}
			f.equal("ended", ended, done.Ended)
			ref = next(ref)
		}
		f.final(rowOf(job, 1), revocation.Revocation{
			ReportID: 1, Job: job.ID, Notify: true, Status: revocation.StatusErrorRevoking, Attempts: 3, LastError: &outage,
			Notification: revocation.Notification{Status: revocation.NotificationSkipped},
		})
		f.state(job, revocation.JobCompleted)
		f.equal("counts", revocation.Counts{Revoked: 1, ErrorRevoking: 1}, f.job(job).Counts)
		f.recount(job)
		f.equal("due", 0, len(f.claimItems(acme, 9, 0)))
	}},
	{"a stale attempt on an item does nothing", func(f *fixture) {
		job := f.bulk(items(1))
		ref := rowOf(job, 1)
		f.equal("before it is spilled", 0, len(f.carryOut(ref)))
		f.spill(job)
		f.equal("in another account's name", 0, len(f.carryOut(asZenith(ref))))
		f.attemptFails(0, ref)
		f.equal("the attempt before", 0, len(f.carryOut(ref)))
		f.equal("its failure", 0, len(f.attemptFails(0, ref)))
		f.equal("retrying", 1, f.job(job).Retrying)
	}},
	{"a postponed item stays pending", func(f *fixture) {
		job := f.bulk(items(1))
		f.spill(job)
		f.claimItems(acme, 9, time.Hour)
		f.carryOutBy(postponed(0), rowOf(job, 1))
		f.equal("pending", 1, f.job(job).Pending())
		f.equal("due", []int{1}, f.dueRows())
		f.attemptFails(0, rowOf(job, 1))
		f.carryOutBy(postponed(0), next(rowOf(job, 1)))
		f.equal("retrying", 1, f.job(job).Retrying)
		f.equal("due", []int{1}, f.dueRows())
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
		f.equal("ended", []revocation.ID{jobs[0].ID, jobs[1].ID, jobs[2].ID}, ended)
		total := 0
		for _, job := range jobs {
			f.recount(job)
			total += f.job(job).Counts.Revoked
		}
		f.equal("revoked", 2, total)
	}},
}
