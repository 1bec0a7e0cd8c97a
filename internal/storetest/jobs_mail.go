package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
)

// jobEmails claims emails of the account's jobs.
func (f *fixture) jobEmails(account string, limit int, lease time.Duration) []revocation.Email {
	f.Helper()
	emails, unknown, err := f.ClaimJobNotifications(f.Context(), sender, account, limit, lease)
	f.must(err)
	f.lost += unknown
	return emails
}

// jobEmail claims the only email of the account's jobs that is due.
func (f *fixture) jobEmail(account string, lease time.Duration) revocation.Email {
	f.Helper()
	emails := f.jobEmails(account, 9, lease)
	if len(emails) != 1 {
		f.Fatalf("%d emails claimed, want 1", len(emails))
	}
	return emails[0]
}

// mails fails the test unless so many of the job's emails have come so far.
func (f *fixture) mails(job revocation.Job, want revocation.MailCounts) {
	f.Helper()
	f.same("mails", want, f.look(job).Mails)
}

// mailed is a job of acme's whose items are all revoked and to be told by email.
func (f *fixture) mailed(reportIDs ...int64) revocation.Job {
	f.Helper()
	job := f.bulk(items(reportIDs...), notifyAll)
	f.end(job)
	f.mails(job, revocation.MailCounts{Pending: len(reportIDs)})
	return job
}

// allReports name every invite of an account.
func allReports() []int64 {
	all := make([]int64, invites)
	for i := range all {
		all[i] = int64(i + 1)
	}
	return all
}

var jobMailTests = []test{
	{"a claim gives what the message says", func(f *fixture) {
		job := f.mailed(1)
		email := f.jobEmail(acme, time.Hour)
		f.same("email", revocation.Email{
			Account: acme, Revocation: job.ID.Item(1), Sender: sender, Claims: 1,
			ToName: "Ada of acme", ToAddress: "ada@acme.example", Assessment: "Go",
			Company: "The acme company", Contact: "help@acme.example",
		}, email)
		f.email(rowOf(job, 1), revocation.NotificationPending, 0)
		f.mails(job, revocation.MailCounts{Pending: 1})
		f.same("held", true, f.commit(email, time.Hour))
		f.mails(job, revocation.MailCounts{Pending: 1})
		f.settle(email, revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		f.email(rowOf(job, 1), revocation.NotificationSent, 1)
		f.mails(job, revocation.MailCounts{Sent: 1})
	}},
	{"emails of items that were carried out by themselves", func(f *fixture) {
		job := f.bulk([]revocation.Item{item(1, wishing(true)), item(2), item(3, wishing(true))})
		f.spill(job)
		f.claimItems(acme, 9, time.Hour)
		f.attemptFails(0, rowOf(job, 3))
		f.carryOut(rowOf(job, 1), rowOf(job, 2))
		f.mails(job, revocation.MailCounts{Pending: 1})
		f.carryOut(next(rowOf(job, 3)))
		f.mails(job, revocation.MailCounts{Pending: 2})
		f.same("claimed", 2, len(f.jobEmails(acme, 9, time.Hour)))
	}},
	{"the oldest is claimed first, and no more than asked for", func(f *fixture) {
		job := f.bulk(items(1, 2, 3, 4), notifyAll)
		f.spill(job)
		for _, row := range []int{3, 1, 4, 2} {
			f.carryOut(rowOf(job, row))
		}
		var rows []int
		for _, limit := range []int{1, 2, 2, 2} {
			emails := f.jobEmails(acme, limit, time.Hour)
			slices.SortFunc(emails, func(a, b revocation.Email) int { return a.Revocation.Compare(b.Revocation) })
			for _, email := range emails {
				rows = append(rows, email.Revocation.Row())
			}
		}
		f.same("rows", []int{3, 1, 4, 2}, rows)
	}},
	{"the accounts' emails are claimed apart, and those of single submissions too", func(f *fixture) {
		single := f.revokedWithEmail(2)
		job := f.mailed(1)
		other := f.bulk(items(1), zeniths, notifyAll)
		f.end(other)
		f.same("due singles", 0, len(f.dueEmails(0)))
		f.same("nobody's", 0, len(f.jobEmails("nobody", 9, time.Hour)))
		f.same("zenith's", other.ID.Item(1), f.jobEmail(zenith, time.Hour).Revocation)
		f.same("acme's", job.ID.Item(1), f.jobEmail(acme, time.Hour).Revocation)
		f.settle(f.claimEmail(single, time.Hour), revocation.Settlement{Status: revocation.NotificationPending})
		f.same("acme's, when the single one is due", 0, len(f.jobEmails(acme, 9, time.Hour)))
		f.same("the single one", single.ID, f.dueEmails(0)[0].Revocation)
	}},
	{"an email whose claim ran out is not due for the dispatcher", func(f *fixture) {
		job := f.mailed(1, 2)
		f.jobEmails(acme, 9, 0)
		f.same("due singles", 0, len(f.dueEmails(0)))
		emails := f.jobEmails(acme, 9, 0)
		f.same("claims", []int{2, 2}, []int{emails[0].Claims, emails[1].Claims})
		f.mails(job, revocation.MailCounts{Pending: 2})
	}},
	{"each way to settle is counted, once", func(f *fixture) {
		job := f.mailed(allReports()...)
		emails := f.jobEmails(acme, invites, time.Hour)
		statuses := []revocation.NotificationStatus{
			revocation.NotificationSent, revocation.NotificationFailed, revocation.NotificationUnknown, revocation.NotificationPending,
		}
		for range 2 {
			for _, email := range emails {
				status := statuses[email.Revocation.Row()%4]
				f.settle(email, revocation.Settlement{Status: status, Attempts: 1, Delay: time.Hour})
			}
			f.mails(job, revocation.MailCounts{Pending: invites / 4, Sent: invites / 4, Failed: invites / 4, Unknown: invites / 4})
		}
		for _, email := range emails {
			f.email(revocation.Ref{Account: acme, ID: email.Revocation}, statuses[email.Revocation.Row()%4], 1)
		}
	}},
	{"a deferred one comes back after its delay", func(f *fixture) {
		job := f.mailed(1, 2)
		emails := f.jobEmails(acme, 9, time.Hour)
		f.settle(emails[0], revocation.Settlement{Status: revocation.NotificationPending, Attempts: 1})
		f.settle(emails[1], revocation.Settlement{Status: revocation.NotificationPending, Attempts: 1, Delay: time.Hour})
		f.mails(job, revocation.MailCounts{Pending: 2})
		again := f.jobEmail(acme, time.Hour)
		f.same("again", []any{emails[0].Revocation, 2, 1}, []any{again.Revocation, again.Claims, again.Attempts})
		f.settle(again, revocation.Settlement{Status: revocation.NotificationFailed, Attempts: 2})
		f.mails(job, revocation.MailCounts{Pending: 1, Failed: 1})
	}},
	{"a claim that was taken over is worth nothing", func(f *fixture) {
		job := f.mailed(1)
		lost := f.jobEmail(acme, 0)
		owner := f.jobEmail(acme, time.Hour)
		f.same("claims", 2, owner.Claims)
		f.same("held", false, f.commit(lost, time.Hour))
		f.settle(lost, revocation.Settlement{Status: revocation.NotificationFailed, Attempts: 1})
		f.mails(job, revocation.MailCounts{Pending: 1})
		f.same("held by its owner", true, f.commit(owner, time.Hour))
		f.settle(owner, revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		f.mails(job, revocation.MailCounts{Sent: 1})
	}},
	{"a committed one that is never settled becomes unknown, and is counted", func(f *fixture) {
		job := f.mailed(1, 2)
		emails := f.jobEmails(acme, 9, time.Hour)
		f.same("held", []bool{true, true}, []bool{f.commit(emails[0], 0), f.commit(emails[1], time.Hour)})
		f.mails(job, revocation.MailCounts{Pending: 2})
		for range 2 {
			f.same("claimed", 0, len(f.jobEmails(acme, 9, time.Hour)))
			f.mails(job, revocation.MailCounts{Pending: 1, Unknown: 1})
			f.settle(emails[0], revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		}
		f.same("have become unknown", 1, f.lost)
		f.email(revocation.Ref{Account: acme, ID: emails[0].Revocation}, revocation.NotificationUnknown, 0)
		f.settle(emails[1], revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		f.mails(job, revocation.MailCounts{Sent: 1, Unknown: 1})
	}},
	{"what cannot be sent any more does not hold up the rest", func(f *fixture) {
		job := f.mailed(1, 2, 3)
		for _, email := range f.jobEmails(acme, 2, time.Hour) {
			f.commit(email, 0)
		}
		var rest []revocation.Email
		for range 3 { // each look is at two
			rest = append(rest, f.jobEmails(acme, 2, time.Hour)...)
		}
		f.same("the rest", 1, len(rest))
		f.same("have become unknown", 2, f.lost)
		f.mails(job, revocation.MailCounts{Pending: 1, Unknown: 2})
	}},
	{"many who send at once send each once", func(f *fixture) {
		job := f.mailed(allReports()...)
		sent, err := together(8, func(int) (n int, err error) {
			for {
				emails, _, err := f.ClaimJobNotifications(f.Context(), sender, acme, 3, time.Hour)
				if err != nil || len(emails) == 0 {
					return n, err
				}
				for _, email := range emails {
					held, err := f.CommitNotification(f.Context(), email, time.Hour)
					if err != nil || !held {
						return n, err
					}
					n++
					if err := f.SettleNotification(f.Context(), email, revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1}); err != nil {
						return n, err
					}
				}
			}
		})
		f.must(err)
		total := 0
		for _, n := range sent {
			total += n
		}
		f.same("sent", invites, total)
		f.mails(job, revocation.MailCounts{Sent: invites})
	}},
}
