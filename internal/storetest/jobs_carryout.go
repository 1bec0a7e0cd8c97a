package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
)

var (
	revoked = revocation.StatusRevoked
	already = revocation.StatusAlreadyRevoked
	missing = revocation.StatusNotFound
)

var bulkTests = []test{
	{"a chunk returns its counts", func(f *fixture) {
		job := f.bulk([]revocation.Item{item(1, withItemNotify(true)), item(1), invalid("no"), item(2), item(invites+1, withItemNotify(true))})
		f.equal("chunk", revocation.Chunk{
			Account: acme, Job: job.ID, First: 1, Last: 5, Ended: true,
			Done: revocation.JobCount{
				Account: acme, Job: job.ID, Mails: 1,
				Counts: revocation.Counts{Revoked: 2, AlreadyRevoked: 1, NotFound: 1},
			},
		}, f.chunk(acme))
		f.equal("no chunk is left", revocation.Chunk{}, f.chunk(acme))
		f.recount(job)
	}},
	{"every outcome of the rule", func(f *fixture) {
		f.carryOut(f.submitNew(request(5))...)
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, PlanChangedAt: &planChange}))
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{
			{ReportID: 1, SentAt: planChange},
			{ReportID: 2, SentAt: planChange},
			{ReportID: 3, SentAt: planChange.Add(time.Microsecond)},
			{ReportID: 4, SentAt: planChange.Add(-time.Microsecond)},
		}))
		f.carryOut(f.submitNew(request(1))...)
		job := f.bulk([]revocation.Item{item(1), item(2, withItemReference("r")), item(3), item(4), item(5), item(invites + 1)}, notifyAll)
		f.end(job)
		reference := "r"
		for i, want := range []revocation.Revocation{
			{ReportID: 1, Status: already},
			{ReportID: 2, Status: revoked, ClientReference: &reference},
			{ReportID: 3, Status: revoked},
			{ReportID: 4, Status: revocation.StatusNotAllowed, Timestamp: "2025-01-15 10:32:45"},
			{ReportID: 5, Status: already},
			{ReportID: invites + 1, Status: missing},
		} {
			want.Job, want.Notify, want.Attempts = job.ID, true, 1
			want.Notification.Status = revocation.NotificationSkipped
			if want.Status == revoked {
				want.Notification.Status = revocation.NotificationPending
			}
			f.final(rowOf(job, i+1), want)
		}
	}},
	{"an invite that a job revoked is revoked", func(f *fixture) {
		job := f.bulk(items(2, 1))
		f.end(job)
		for report, row := range map[int64]int{1: 2, 2: 1} {
			invite, err := f.Invite(f.Context(), acme, report)
			f.must(err)
			f.equal("revoked by, and at the same time", []any{job.ID.Item(row), f.read(rowOf(job, row)).CompletedAt}, []any{invite.RevokedBy, invite.RevokedAt})
		}
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{{ReportID: 1, SentAt: planChange}}))
		single := f.submitNew(request(1))[0]
		f.carryOut(single)
		f.status(single, already, true)
	}},
	{"the same report in a chunk", func(f *fixture) {
		job := f.bulk([]revocation.Item{item(2), item(1), item(2), item(1, withItemNotify(true)), item(2)}, notifyAll)
		f.end(job)
		f.equal("outcomes", []revocation.Status{revoked, revoked, already, already, already}, f.outcomes(job))
		f.equal("mails", revocation.MailCounts{Pending: 2}, f.job(job).Mails)
	}},
	{"the same report in two chunks", func(f *fixture) {
		rows := unknown(revocation.ChunkSize + 2)
		rows[1], rows[revocation.ChunkSize], rows[revocation.ChunkSize+1] = item(1), item(1), item(2)
		job := f.bulk(rows, notifyAll)
		f.end(job)
		outcomes := f.outcomes(job)
		f.equal("outcomes", []revocation.Status{revoked, already, revoked}, append(outcomes[1:2], outcomes[revocation.ChunkSize:]...))
		f.equal("mails", revocation.MailCounts{Pending: 2}, f.job(job).Mails)
	}},
	{"the same report in two jobs", func(f *fixture) {
		one, two := f.bulk(items(1, 2), notifyAll), f.bulk(items(2, 1, 3), notifyAll)
		first := f.chunk(acme).Job
		f.work(acme)
		if first == two.ID {
			one, two = two, one
		}
		for i, r := range append(f.results(one), f.results(two)...) {
			want := revoked
			if i >= one.Total && r.ReportID != 3 {
				want = already
			}
			f.equal("outcome", want, r.Status)
		}
		f.equal("mails", 3, f.job(one).Mails.Pending+f.job(two).Mails.Pending)
	}},
	{"the same report in a job and a single submission", func(f *fixture) {
		singles := f.submitNew(request(1, withNotify), request(2, withNotify))
		job := f.bulk(items(1, 2), notifyAll)
		f.carryOut(singles[0])
		f.end(job)
		f.carryOut(singles[1])
		f.equal("outcomes", []revocation.Status{already, revoked}, f.outcomes(job))
		f.status(singles[0], revoked, true)
		f.status(singles[1], already, true)
		f.equal("mails", revocation.MailCounts{Pending: 1}, f.job(job).Mails)
	}},
	{"the same report in an item and a single submission that one batch carries out", func(f *fixture) {
		job := f.bulk(items(1, 2), notifyAll)
		f.spill(job)
		refs := append(refsOf(f.claimItems(acme, 9, time.Hour)), f.submitNew(request(1), request(2))...)
		decisions := f.carryOut(refs...)
		f.equal("decided", 4, len(decisions))
		statuses := make(map[int64][]revocation.Status)
		for _, d := range decisions {
			statuses[d.ReportID] = append(statuses[d.ReportID], d.Status)
		}
		f.equal("statuses", map[int64][]revocation.Status{1: {revoked, already}, 2: {revoked, already}}, statuses)
		f.recount(job)
	}},
	{"jobs of different accounts are independent", func(f *fixture) {
		one, two := f.bulk(items(1, 2)), f.bulk(items(1, 2, 3), ofZenithJob)
		f.equal("zenith's", two.ID, f.chunk(zenith).Job)
		f.equal("another of zenith's", revocation.Chunk{}, f.chunk(zenith))
		f.state(one, revocation.JobQueued)
		f.must(f.SpillChunk(f.Context(), revocation.Chunk{Account: zenith, Job: one.ID, First: 1, Last: 2}))
		f.equal("zenith's items", 0, len(f.claimItems(zenith, 9, 0)))
		f.equal("acme's", one.ID, f.chunk(acme).Job)
		f.equal("outcomes", slices.Repeat([]revocation.Status{revoked}, 5), append(f.outcomes(one), f.outcomes(two)...))
	}},
	{"the job that was served longest ago comes first", func(f *fixture) {
		for range 2 {
			f.bulk(unknown(revocation.ChunkSize + 1))
		}
		first, second := f.chunk(acme).Job, f.chunk(acme).Job
		third := f.bulk(unknown(1)).ID
		f.equal("in rotation", []revocation.ID{third, first, second}, []revocation.ID{f.chunk(acme).Job, f.chunk(acme).Job, f.chunk(acme).Job})
		f.equal("two", true, first != second)
		f.noWork("after all")
	}},
	{"a chunk reports whether there is more work", func(f *fixture) {
		besides := func(what string) {
			f.Helper()
			f.bulk(items(1))
			c, err := f.CarryOutChunk(f.Context(), acme)
			f.must(err)
			f.equal(what, true, c.MoreWork)
		}
		job := f.bulk(items(1, 2))
		f.spill(job)
		besides("an item that is due")
		f.claimItems(acme, 9, time.Hour)
		f.attemptFails(0, rowOf(job, 1))
		besides("one that is due again")
		f.carryOut(next(rowOf(job, 1)), rowOf(job, 2))
		single := f.submitNew(request(3))[0]
		f.carryOutBy(decideAll(func(revocation.LockedRevocation) revocation.Decision {
			return revocation.Decision{Kind: revocation.RouteUpstream}
		}), single)
		besides("a single one that was diverted")
		f.carryOut(single)
		f.cancel(f.bulk(items(4)))
		besides("a job that is being cancelled")
	}},
	{"an empty chunk writes nothing", func(f *fixture) {
		f.equal("chunk", revocation.Chunk{}, f.chunk(acme))
		f.equal("of an unknown account", revocation.Chunk{}, f.chunk("nobody"))
		f.equal("items", 0, len(f.claimItems(acme, 9, 0)))
	}},
}
