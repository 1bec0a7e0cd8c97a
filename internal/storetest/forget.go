package storetest

import (
	"time"

	"rescind/internal/revocation"
)

var byKey = revocation.ByKey(apiKey)

// forgotten fails the test unless the candidate of an invite of acme's is forgotten.
func (f *fixture) forgotten(reportID int64) {
	f.Helper()
	got, err := f.Invite(f.Context(), acme, reportID)
	f.must(err)
	f.equal("name and address", []string{"", ""}, []string{got.CandidateName, got.CandidateEmail})
}

func (f *fixture) forget(reportID int64) {
	f.Helper()
	f.must(f.Forget(f.Context(), acme, reportID, byKey))
}

var forgetTests = []test{
	{"the name and the address are erased, and an import does not bring them back", func(f *fixture) {
		f.searchWorld()
		before, err := f.Invite(f.Context(), acme, 101)
		f.must(err)
		seen := f.newest(acme)
		f.forget(101)
		f.forget(101) // it is forgotten already
		f.events(revocation.EventFilter{Account: acme, After: &seen},
			`invites.forgotten key `+(&revocation.APIKey{ID: apiKey}).ShownName()+` account acme {"count":1}`)
		before.CandidateName, before.CandidateEmail = "", ""
		after, err := f.Invite(f.Context(), acme, 101)
		f.must(err)
		f.equal("the rest of the invite", before, after)
		for what, filter := range map[string]revocation.InviteFilter{
			"by address": {Email: "ada@one.example"}, "by its beginning": {Query: "ada@one"}, "by name": {Query: "ada lovelace"},
		} {
			f.equal(what, []int64{107}, f.find(filter))
		}
		again := person(101, "Ada Lovelace", "ada@one.example", "Frontend")
		again.Progress = revocation.ProgressStarted
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{again}))
		f.forgotten(101)
		f.equal("found again", []int64{107}, f.find(revocation.InviteFilter{Email: "ada@one.example"}))
		after, err = f.Invite(f.Context(), acme, 101)
		f.must(err)
		f.equal("imported", []any{"Frontend", revocation.ProgressStarted}, []any{after.AssessmentName, after.Progress})
	}},
	{"a revoked invite stays revoked, and its revocation answers as before", func(f *fixture) {
		ref := f.submitNew(request(1))[0]
		f.carryOut(ref)
		before := f.read(ref)
		f.forget(1)
		f.equal("revocation", before, f.read(ref))
		f.carryOut(f.submitNew(request(1))...)
		again := f.list(revocation.Filter{ReportID: 1})[0]
		f.status(revocation.Ref{Account: acme, ID: again}, revocation.StatusAlreadyRevoked, true)
	}},
	{"an email that is not sent yet is skipped", func(f *fixture) {
		waiting, claimed, committed := f.revokedWithEmail(1), f.revokedWithEmail(2), f.revokedWithEmail(3)
		remembered := f.revokedWithEmail(4)
		taken, sending := f.claimEmail(claimed, time.Hour), f.claimEmail(committed, time.Hour)
		if !f.commit(sending, time.Hour) {
			f.Fatal("not committed")
		}
		for report := range int64(3) {
			f.forget(report + 1)
		}
		f.noEmail(waiting)
		if f.commit(taken, time.Hour) {
			f.Error("an email is committed whose candidate is forgotten")
		}
		f.settle(taken, revocation.Settlement{Status: revocation.NotificationFailed, Attempts: 1})
		f.email(waiting, revocation.NotificationSkipped, 0)
		f.email(claimed, revocation.NotificationSkipped, 0)
		f.settle(sending, revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		f.email(committed, revocation.NotificationSent, 1)
		f.equal("due", 0, len(f.dueEmails(0)))
		f.equal("name of a candidate who is not forgotten", "Ada of acme", f.claimEmail(remembered, time.Hour).ToName)
	}},
	{"an email of a job is skipped and not waited for", func(f *fixture) {
		job := f.mailed(1, 2, 3)
		f.forget(1)
		f.mails(job, revocation.MailCounts{Pending: 2})
		for _, email := range f.jobEmails(acme, 10, time.Hour) {
			f.settle(email, revocation.Settlement{Status: revocation.NotificationSkipped})
		}
		f.mails(job, revocation.MailCounts{})
		f.equal("jobs that can be deleted", 1, sum(f.expire(notAtAll, 10)))
	}},
	{"an email of a later revocation is claimed as one that must not be sent", func(f *fixture) {
		f.forget(1)
		email := f.claimEmail(f.revokedWithEmail(1), time.Hour)
		f.equal("forgotten", []any{true, "", ""}, []any{email.Forgotten, email.ToName, email.ToAddress})
		if email := f.claimEmail(f.revokedWithEmail(2), time.Hour); email.Forgotten {
			f.Error("a candidate is forgotten whom nobody asked to forget")
		}
	}},
	{"an address is forgotten in all invites of the account", func(f *fixture) {
		f.searchWorld()
		seen := f.newest(acme)
		for _, want := range []int{1, 1, 0} {
			n, err := f.ForgetAddress(f.Context(), acme, " ADA@one.example ", 1, revocation.Actor{Type: revocation.ActorOperator})
			f.must(err)
			f.equal("forgotten", want, n)
		}
		f.events(revocation.EventFilter{Account: acme, After: &seen},
			`invites.forgotten operator cli account acme {"count":1}`, `invites.forgotten operator cli account acme {"count":1}`)
		f.forgotten(101)
		f.forgotten(107)
		f.equal("others", []int64{102}, f.find(revocation.InviteFilter{Email: "countess@two.example"}))
		got, err := f.Invite(f.Context(), zenith, 108)
		f.must(err)
		f.equal("another account's", "ada@one.example", got.CandidateEmail)
	}},
	{"candidates are forgotten by the age of their invites", func(f *fixture) {
		age := time.Since(sentAt) - time.Duration(invites)*time.Minute
		f.searchWorld() // these are later by more than that
		total := 0
		for _, n := range f.sweep(func(limit int) (int, error) { return f.ForgetOld(f.Context(), age, limit) }, 7) {
			if total += n; n > 7 {
				f.Errorf("%d forgotten at once, want at most 7", n)
			}
		}
		f.equal("forgotten", 2*invites, total)
		f.forgotten(1)
		f.equal("young ones", []int64{107, 101}, f.find(revocation.InviteFilter{Email: "ada@one.example"}))
	}},
	{"what cannot be forgotten", func(f *fixture) {
		f.code(revocation.CodeNotFound, f.Forget(f.Context(), acme, invites+1, byKey))
		f.code(revocation.CodeNotFound, f.Forget(f.Context(), "nobody", 1, byKey))
		f.toUpstream("https://upstream.example")
		f.code(revocation.CodeNotSupported, f.Forget(f.Context(), acme, 1, byKey))
		_, err := f.ForgetAddress(f.Context(), acme, "ada@one.example", 1, byKey)
		f.code(revocation.CodeNotSupported, err)
	}},
}
