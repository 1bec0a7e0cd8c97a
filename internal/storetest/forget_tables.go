package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
)

// traces are the name and the address of the candidate that a test forgets, as they are imported and as they are folded for
// the search, and what both have in common.
var traces = []string{"Zoë QUARTERMAINE", "zoë quartermaine", "Zoë.Quartermaine@Wonder.example", "zoë.quartermaine@wonder.example", "quartermaine"}

// importTraced imports invites with the name and the address of traces.
func (f *fixture) importTraced(reports ...int64) {
	f.Helper()
	list := make([]revocation.Invite, len(reports))
	for i, report := range reports {
		list[i] = person(report, traces[0], traces[2], "Go")
	}
	f.must(f.UpsertInvites(f.Context(), acme, list))
	f.must(f.FinishImport(f.Context(), acme, nil, revocation.Import{Written: len(list)}))
}

// untraced fails the test if the store keeps one of traces.
func (f *fixture) untraced(when string) {
	f.Helper()
	f.equal("places with the name or the address "+when, []string(nil), f.tables.Holding(f, traces...))
}

var forgetTableTests = []test{
	{"no column has the name or the address of a candidate any more", func(f *fixture) {
		const plain, mailed, held, ended, previewed, listed, aged = 501, 502, 503, 504, 505, 506, 507
		f.importTraced(plain, mailed, held, ended, previewed, listed, aged)
		holding := f.tables.Holding(f, traces...)
		for _, column := range []string{"candidate_name", "candidate_email", "name_folded", "email_folded"} {
			if !slices.Contains(holding, "invites."+column) {
				f.Fatalf("after an import the name and the address are in %v, and not in %s", holding, column)
			}
		}
		f.revokedWithEmail(mailed)
		f.claimEmail(f.revokedWithEmail(held), time.Hour)
		job := f.mailed(ended)
		f.settle(f.jobEmail(acme, time.Hour), revocation.Settlement{Status: revocation.NotificationPending, Attempts: 1})
		f.confirm(f.preview(items(previewed, plain)))
		f.selected(revocation.Selection{Emails: []string{traces[2]}, SentAfter: minutes(listed), SentBefore: minutes(listed + 1)}, notifyAll)
		f.submitNew(request(plain, withNotify, withKey("key")))

		f.forget(mailed)
		n, err := f.ForgetAddress(f.Context(), acme, traces[3], 5, revocation.Actor{Type: revocation.ActorOperator})
		f.must(err)
		f.equal("forgotten by the address", 5, n)
		n, err = f.ForgetOld(f.Context(), 0, 100)
		f.must(err)
		f.equal("forgotten by age", 1+2*invites, n)
		f.untraced("when they are forgotten")

		f.importTraced(plain, mailed, held, ended, previewed, listed, aged)
		f.untraced("after another import")
		f.work(acme)
		f.carryOut(f.submitNew(request(aged, withNotify))...)
		f.claimJobEmails(acme)
		f.untraced("when the rest is carried out")
		f.state(job, revocation.JobCompleted)
	}},
}

// claimJobEmails claims the emails of the account's jobs.
func (f *fixture) claimJobEmails(account string) {
	f.Helper()
	for _, email := range f.jobEmails(account, 100, time.Hour) {
		f.equal("email of a forgotten candidate", []any{true, "", ""}, []any{email.Forgotten, email.ToName, email.ToAddress})
	}
}
