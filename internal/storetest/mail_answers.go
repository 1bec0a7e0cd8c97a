package storetest

import (
	"time"

	"rescind/internal/revocation"
)

// refuse settles a claim with a refusal. The email is due again at once.
func (f *fixture) refuse(email revocation.Email, about revocation.About) {
	f.Helper()
	attempts := email.Attempts
	if about == revocation.AboutEmail {
		attempts++
	}
	f.settle(email, revocation.Settlement{Status: revocation.NotificationPending, Attempts: attempts, About: about})
}

// again claims the one due email of a single submission.
func (f *fixture) again() revocation.Email {
	f.Helper()
	emails, err := f.ClaimNotifications(f.Context(), sender, f.dueEmails(time.Hour), time.Hour)
	f.must(err)
	if len(emails) != 1 {
		f.Fatalf("%d emails claimed, want 1", len(emails))
	}
	return emails[0]
}

// accepted records that the server has accepted the email about another invite.
func (f *fixture) accepted(reportID int64, by string) {
	f.Helper()
	ref := f.revokedWithEmail(reportID)
	emails, err := f.ClaimNotifications(f.Context(), by, []revocation.NotificationRef{{Account: ref.Account, Revocation: ref.ID}}, time.Hour)
	f.must(err)
	f.settle(emails[0], revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
}

// counted fails the test unless the email has that many counted refusals, and its age matches.
func (f *fixture) counted(email revocation.Email, attempts int, cleared bool) {
	f.Helper()
	f.equal("attempts", attempts, email.Attempts)
	f.equal("cleared", cleared, email.ServerCleared)
	f.equal("deferred", attempts > 0, email.Deferred > 0)
	f.equal("deferred for less than the test takes", true, email.Deferred < time.Hour)
}

var mailAnswerTests = []test{
	{"the age of an email counts from its first counted refusal", func(f *fixture) {
		email := f.claimEmail(f.revokedWithEmail(1), time.Hour)
		f.counted(email, 0, false)
		f.refuse(email, revocation.AboutEmail)
		second := f.again()
		f.counted(second, 1, false)
		f.refuse(second, revocation.AboutEmail)
		third := f.again()
		f.counted(third, 2, false)
		f.equal("it grows", true, third.Deferred > second.Deferred)
		f.refuse(third, revocation.AboutNothing)
		f.equal("it stays after a settlement that says nothing about the refusal", true, f.again().Deferred > third.Deferred)
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
	{"it counts after the server has accepted another message", func(f *fixture) {
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
	{"a refusal that one worker could not attribute is passed to the next", func(f *fixture) {
		f.refuse(f.claimEmail(f.revokedWithEmail(1), time.Hour), revocation.AboutServer)
		f.accepted(2, sender)
		refs := f.dueEmails(0)
		for range 2 { // the first worker is killed
			emails, err := f.ClaimNotifications(f.Context(), sender, refs, 0)
			f.must(err)
			f.counted(emails[0], 1, true)
			refs = f.dueEmails(0)
		}
	}},
	{"a released email counts it too", func(f *fixture) {
		f.refuse(f.claimEmail(f.revokedWithEmail(1), time.Hour), revocation.AboutServer)
		f.refuse(f.again(), revocation.AboutNothing)
		f.accepted(2, sender)
		email := f.again()
		f.counted(email, 1, true)
		f.refuse(email, revocation.AboutNothing)
		f.counted(f.again(), 1, false)
	}},
	{"a message of another sender does not count", func(f *fixture) {
		f.refuse(f.claimEmail(f.revokedWithEmail(1), time.Hour), revocation.AboutServer)
		f.accepted(2, "other")
		email := f.again()
		f.counted(email, 0, false)
		f.refuse(email, revocation.AboutServer)
		// The server of the other sender recovers too.
		ref := f.revokedWithEmail(3)
		others, err := f.ClaimNotifications(f.Context(), "other", []revocation.NotificationRef{{Account: acme, Revocation: ref.ID}}, time.Hour)
		f.must(err)
		f.settle(others[0], revocation.Settlement{Status: revocation.NotificationPending, About: revocation.AboutServer, Delay: time.Hour})
		f.accepted(4, "other")
		f.counted(f.again(), 0, false)
	}},
	{"emails are counted separately", func(f *fixture) {
		f.refuse(f.claimEmail(f.revokedWithEmail(1), time.Hour), revocation.AboutServer)
		f.accepted(2, sender)
		f.refuse(f.claimEmail(f.revokedWithEmail(3), time.Hour), revocation.AboutServer)
		emails := f.claimEmails(time.Hour, f.dueEmails(time.Hour)...)
		f.equal("emails", 2, len(emails))
		f.counted(emails[0], 1, true)
		f.counted(emails[1], 0, false)
	}},
	{"emails of jobs are counted too", func(f *fixture) {
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
