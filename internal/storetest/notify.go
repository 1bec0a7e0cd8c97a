package storetest

import (
	"time"

	"rescind/internal/revocation"
)

// sender is the sender for which the tests claim emails.
const sender = "jobs@acme.example by mail.test:25"

// revokedWithEmail returns a revocation of acme's that has an email to send.
func (f *fixture) revokedWithEmail(reportID int64) revocation.Ref {
	f.Helper()
	ref := f.submitNew(request(reportID, withNotify))[0]
	f.carryOut(ref)
	return ref
}

func (f *fixture) claimEmails(lease time.Duration, refs ...revocation.NotificationRef) []revocation.Email {
	f.Helper()
	emails, err := f.ClaimNotifications(f.Context(), sender, refs, lease)
	f.must(err)
	return emails
}

// claimEmail claims an email that was never claimed before.
func (f *fixture) claimEmail(ref revocation.Ref, lease time.Duration) revocation.Email {
	f.Helper()
	emails := f.claimEmails(lease, revocation.NotificationRef{Account: ref.Account, Revocation: ref.ID})
	if len(emails) != 1 {
		f.Fatalf("%d emails claimed, want 1", len(emails))
	}
	return emails[0]
}

// noEmail fails the test if there is an email to claim.
func (f *fixture) noEmail(ref revocation.Ref) {
	f.Helper()
	for claims := range 4 {
		if emails := f.claimEmails(0, revocation.NotificationRef{Account: ref.Account, Revocation: ref.ID, Claims: claims}); len(emails) > 0 {
			f.Errorf("claimed %+v, want no email", emails)
		}
	}
}

func (f *fixture) commit(email revocation.Email, lease time.Duration) (committed bool) {
	f.Helper()
	committed, err := f.CommitNotification(f.Context(), email, lease)
	f.must(err)
	return committed
}

func (f *fixture) settle(email revocation.Email, s revocation.Settlement) {
	f.Helper()
	f.must(f.SettleNotification(f.Context(), email, s))
}

func (f *fixture) dueEmails(visibilityTimeouts ...time.Duration) []revocation.NotificationRef {
	f.Helper()
	return f.dueAndUnknownEmails(0, visibilityTimeouts...)
}

// dueAndUnknownEmails claims due emails. It fails the test unless the given number of emails became UNKNOWN.
func (f *fixture) dueAndUnknownEmails(unknown int, visibilityTimeouts ...time.Duration) []revocation.NotificationRef {
	f.Helper()
	refs, lost, err := f.ClaimDueNotifications(f.Context(), 100, visibilityTimeouts)
	f.must(err)
	f.equal("have become unknown", unknown, lost)
	return refs
}

// email fails the test unless callers see that status and number of attempts of the email.
func (f *fixture) email(ref revocation.Ref, status revocation.NotificationStatus, attempts int) {
	f.Helper()
	f.equal("notification", revocation.Notification{Status: status, Attempts: attempts}, f.read(ref).Notification)
}

var notificationTests = []test{
	{"a claim returns the message to the candidate", func(f *fixture) {
		ref := f.submitNew(request(1, withNotify, func(s *revocation.Submission) { s.CandidateMessage = new("Sorry.\nGoodbye") }))[0]
		f.carryOut(ref)
		f.equal("message", "Sorry.\nGoodbye", f.claimEmail(ref, time.Hour).Message)
	}},
	{"a claim returns the content of the message", func(f *fixture) {
		ref := f.revokedWithEmail(1)
		f.equal("email", revocation.Email{
			Account: acme, Revocation: ref.ID, Sender: sender, Claims: 1,
			ToName: "Ada of acme", ToAddress: "ada@acme.example", Assessment: "Go",
			Company: "The acme company", Contact: "help@acme.example",
		}, f.claimEmail(ref, time.Hour))
		f.email(ref, revocation.NotificationPending, 0)
	}},
	{"a claim sees the invite and the account as they are now", func(f *fixture) {
		ref := f.revokedWithEmail(1)
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{{ReportID: 1, CandidateName: "Bea", CandidateEmail: "bea@acme.example", AssessmentName: "Rust", SentAt: sentAt}}))
		company := "Acme"
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, Name: &company}))
		email := f.claimEmail(ref, time.Hour)
		f.equal("to", []string{"Bea", "bea@acme.example", "Rust", "Acme"}, []string{email.ToName, email.ToAddress, email.Assessment, email.Company})
	}},
	{"an email is claimed once", func(f *fixture) {
		ref := f.revokedWithEmail(1)
		email := f.claimEmail(ref, time.Hour)
		f.noEmail(ref)
		f.commit(email, time.Hour)
		f.noEmail(ref)
		f.settle(email, revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		f.noEmail(ref)
	}},
	{"several are claimed at once, except the stale ones", func(f *fixture) {
		one, two, without := f.revokedWithEmail(1), f.revokedWithEmail(2), f.submitNew(request(3))[0]
		f.carryOut(without)
		emails := f.claimEmails(time.Hour,
			revocation.NotificationRef{Account: acme, Revocation: one.ID}, revocation.NotificationRef{Account: acme, Revocation: one.ID},
			revocation.NotificationRef{Account: acme, Revocation: two.ID, Claims: 1},
			revocation.NotificationRef{Account: acme, Revocation: without.ID})
		f.equal("emails", 1, len(emails))
		f.equal("which", one.ID, emails[0].Revocation)
		f.equal("the stale one is still there", two.ID, f.claimEmail(two, time.Hour).Revocation)
	}},
	{"a commit and a settlement are of one email", func(f *fixture) {
		refs := []revocation.Ref{f.revokedWithEmail(1), f.revokedWithEmail(2), f.revokedWithEmail(3)}
		var emails []revocation.Email
		for _, ref := range refs {
			emails = append(emails, f.claimEmail(ref, time.Hour))
		}
		f.equal("committed", true, f.commit(emails[0], time.Hour))
		f.settle(emails[0], revocation.Settlement{Status: revocation.NotificationFailed, Attempts: 1})
		f.email(refs[0], revocation.NotificationFailed, 1)
		f.email(refs[1], revocation.NotificationPending, 0)
		f.equal("the next is committed", true, f.commit(emails[1], time.Hour))
		f.settle(emails[1], revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		f.settle(emails[2], revocation.Settlement{Status: revocation.NotificationSent, Attempts: 2})
		f.email(refs[0], revocation.NotificationFailed, 1)
		f.email(refs[1], revocation.NotificationSent, 1)
		f.email(refs[2], revocation.NotificationSent, 2)
	}},
	{"no email before the invite is revoked, or without a request", func(f *fixture) {
		refs := f.submitNew(request(1, withNotify), request(2))
		f.attemptFails(0, refs[0])
		f.carryOut(refs[1])
		f.noEmail(refs[0])
		f.noEmail(refs[1])
	}},
	{"sent, with a commit and without", func(f *fixture) {
		committed, direct := f.revokedWithEmail(1), f.revokedWithEmail(2)
		email := f.claimEmail(committed, time.Hour)
		f.equal("committed", true, f.commit(email, time.Hour))
		f.email(committed, revocation.NotificationPending, 0)
		f.settle(email, revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		f.email(committed, revocation.NotificationSent, 1)
		f.settle(f.claimEmail(direct, time.Hour), revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		f.email(direct, revocation.NotificationSent, 1)
		f.equal("due", 0, len(f.dueEmails(0)))
	}},
	{"failed and unknown are final", func(f *fixture) {
		for i, status := range []revocation.NotificationStatus{revocation.NotificationFailed, revocation.NotificationUnknown} {
			ref := f.revokedWithEmail(int64(i + 1))
			email := f.claimEmail(ref, 0)
			f.settle(email, revocation.Settlement{Status: status, Attempts: 2})
			f.email(ref, status, 2)
			f.settle(email, revocation.Settlement{Status: revocation.NotificationSent, Attempts: 3})
			f.email(ref, status, 2)
			f.equal("due", 0, len(f.dueEmails(0)))
		}
	}},
	{"a deferred email is due again after its delay", func(f *fixture) {
		now, later := f.revokedWithEmail(1), f.revokedWithEmail(2)
		f.settle(f.claimEmail(now, time.Hour), revocation.Settlement{Status: revocation.NotificationPending, Attempts: 1})
		f.settle(f.claimEmail(later, time.Hour), revocation.Settlement{Status: revocation.NotificationPending, Attempts: 1, Delay: time.Hour})
		refs := f.dueEmails(time.Hour)
		f.equal("due", []revocation.NotificationRef{{Account: acme, Revocation: now.ID, Claims: 1, DispatchCount: 1}}, refs)
		emails := f.claimEmails(time.Hour, refs...)
		f.equal("emails", 1, len(emails))
		f.equal("claims and attempts", []int{2, 1}, []int{emails[0].Claims, emails[0].Attempts})
		f.email(later, revocation.NotificationPending, 1)
	}},
	{"a message is committed once, and only under a claim", func(f *fixture) {
		ref := f.revokedWithEmail(1)
		f.equal("unclaimed", false, f.commit(revocation.Email{Account: acme, Revocation: ref.ID}, time.Hour))
		email := f.claimEmail(ref, time.Hour)
		f.equal("first", true, f.commit(email, time.Hour))
		f.equal("second", false, f.commit(email, time.Hour))
	}},
	{"an expired claim cannot commit, but can settle", func(f *fixture) {
		ref := f.revokedWithEmail(1)
		email := f.claimEmail(ref, 0)
		f.equal("committed", false, f.commit(email, time.Hour))
		f.settle(email, revocation.Settlement{Status: revocation.NotificationFailed})
		f.email(ref, revocation.NotificationFailed, 0)
	}},
	{"a claim that another worker took over has no effect", func(f *fixture) {
		ref := f.revokedWithEmail(1)
		lost := f.claimEmail(ref, 0)
		refs := f.dueEmails(time.Hour)
		f.equal("taken back", []revocation.NotificationRef{{Account: acme, Revocation: ref.ID, Claims: 1, DispatchCount: 1}}, refs)
		f.settle(lost, revocation.Settlement{Status: revocation.NotificationFailed, Attempts: 1})
		f.equal("committed after the claim expired", false, f.commit(lost, time.Hour))
		owner := f.claimEmails(time.Hour, refs...)[0]
		f.equal("committed while another worker has the claim", false, f.commit(lost, time.Hour))
		f.settle(lost, revocation.Settlement{Status: revocation.NotificationFailed, Attempts: 1})
		f.equal("the owner's commit", true, f.commit(owner, time.Hour))
		f.settle(lost, revocation.Settlement{Status: revocation.NotificationFailed, Attempts: 1})
		f.settle(owner, revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		f.email(ref, revocation.NotificationSent, 1)
	}},
	{"a committed email that is never settled becomes unknown", func(f *fixture) {
		ref := f.revokedWithEmail(1)
		email := f.claimEmail(ref, time.Hour)
		f.commit(email, 0)
		f.equal("due", 0, len(f.dueAndUnknownEmails(1, 0)))
		f.email(ref, revocation.NotificationUnknown, 0)
		f.settle(email, revocation.Settlement{Status: revocation.NotificationPending})
		f.email(ref, revocation.NotificationUnknown, 0)
		f.noEmail(ref)
	}},
	{"a lease that has not expired is not taken over", func(f *fixture) {
		claimed, committed := f.revokedWithEmail(1), f.revokedWithEmail(2)
		f.claimEmail(claimed, time.Hour)
		f.commit(f.claimEmail(committed, time.Hour), time.Hour)
		f.equal("due", 0, len(f.dueEmails(0)))
		f.email(committed, revocation.NotificationPending, 0)
	}},
}
