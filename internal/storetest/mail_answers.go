package storetest

import (
	"time"

	"rescind/internal/revocation"
)

// refuse settles a claim with a refusal after which the email is due again at once.
func (f *fixture) refuse(email revocation.Email, about revocation.About) {
	f.Helper()
	attempts := email.Attempts
	if about == revocation.AboutEmail {
		attempts++
	}
	f.settle(email, revocation.Settlement{Status: revocation.NotificationPending, Attempts: attempts, About: about})
}

// again claims the only single email that is due.
func (f *fixture) again() revocation.Email {
	f.Helper()
	emails, err := f.ClaimNotifications(f.Context(), sender, f.dueEmails(time.Hour), time.Hour)
	f.must(err)
	if len(emails) != 1 {
		f.Fatalf("%d emails claimed, want 1", len(emails))
	}
	return emails[0]
}

// accepted has the server accept the email of another invite.
func (f *fixture) accepted(reportID int64, by string) {
	f.Helper()
	ref := f.revokedWithEmail(reportID)
	emails, err := f.ClaimNotifications(f.Context(), by, []revocation.NotificationRef{{Account: ref.Account, Revocation: ref.ID}}, time.Hour)
	f.must(err)
	f.settle(emails[0], revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
}

// counted fails the test unless so many refusals of the email have counted, and its age says so.
func (f *fixture) counted(email revocation.Email, attempts int, cleared bool) {
	f.Helper()
	f.same("attempts", attempts, email.Attempts)
	f.same("cleared", cleared, email.ServerCleared)
	f.same("deferred", attempts > 0, email.Deferred > 0)
	f.same("deferred for less than the test takes", true, email.Deferred < time.Hour)
}

var mailAnswerTests = []test{
	{"the first refusal that counts is remembered, and the age is told from then on", func(f *fixture) {
		email := f.claimEmail(f.revokedWithEmail(1), time.Hour)
		f.counted(email, 0, false)
		f.refuse(email, revocation.AboutEmail)
		second := f.again()
		f.counted(second, 1, false)
		f.refuse(second, revocation.AboutEmail)
		third := f.again()
		f.counted(third, 2, false)
		f.same("it grows", true, third.Deferred > second.Deferred)
		f.refuse(third, revocation.AboutNothing)
		f.same("it stays when nothing is said", true, f.again().Deferred > third.Deferred)
	}},
	{"a refusal that is about the server does not count while the server accepts nothing", func(f *fixture) {
		f.accepted(2, sender)
		f.refuse(f.claimEmail(f.revokedWithEmail(1), time.Hour), revocation.AboutServer)
		for range 3 {
			email := f.again()
			f.counted(email, 0, false)
			f.refuse(email, revocation.AboutServer)
		}
	}},
	{"it counts once the server has accepted another message after it", func(f *fixture) {
		f.refuse(f.claimEmail(f.revokedWithEmail(1), time.Hour), revocation.AboutServer)
		for n := range 3 {
			f.accepted(int64(2*n+2), sender)
			f.accepted(int64(2*n+3), sender)
			email := f.again()
			f.counted(email, n+1, true)
			f.refuse(email, revocation.AboutServer)
		}
		email := f.again()
		f.counted(email, 3, false)
		f.refuse(email, revocation.AboutNothing)
		f.counted(f.again(), 3, false)
	}},
	{"what a worker could not tell of it is told to the next", func(f *fixture) {
		f.refuse(f.claimEmail(f.revokedWithEmail(1), time.Hour), revocation.AboutServer)
		f.accepted(2, sender)
		refs := f.dueEmails(0)
		for range 2 { // the first is killed
			emails, err := f.ClaimNotifications(f.Context(), sender, refs, 0)
			f.must(err)
			f.counted(emails[0], 1, true)
			refs = f.dueEmails(0)
		}
	}},
	{"an email that is handed back counts it as well", func(f *fixture) {
		f.refuse(f.claimEmail(f.revokedWithEmail(1), time.Hour), revocation.AboutServer)
		f.refuse(f.again(), revocation.AboutNothing)
		f.accepted(2, sender)
		email := f.again()
		f.counted(email, 1, true)
		f.refuse(email, revocation.AboutNothing)
		f.counted(f.again(), 1, false)
	}},
	{"what another sender's message meets says nothing", func(f *fixture) {
		f.refuse(f.claimEmail(f.revokedWithEmail(1), time.Hour), revocation.AboutServer)
		f.accepted(2, "other")
		f.counted(f.again(), 0, false)
	}},
	{"two emails are told apart", func(f *fixture) {
		f.refuse(f.claimEmail(f.revokedWithEmail(1), time.Hour), revocation.AboutServer)
		f.accepted(2, sender)
		f.refuse(f.claimEmail(f.revokedWithEmail(3), time.Hour), revocation.AboutServer)
		emails := f.claimEmails(time.Hour, f.dueEmails(time.Hour)...)
		f.same("emails", 2, len(emails))
		f.counted(emails[0], 1, true)
		f.counted(emails[1], 0, false)
	}},
	{"of jobs too", func(f *fixture) {
		f.mailed(1)
		email := f.jobEmail(acme, time.Hour)
		f.counted(email, 0, false)
		f.refuse(email, revocation.AboutServer)
		f.accepted(2, sender)
		email = f.jobEmail(acme, time.Hour)
		f.counted(email, 1, true)
		f.refuse(email, revocation.AboutEmail)
		f.counted(f.jobEmail(acme, time.Hour), 2, false)
	}},
}
