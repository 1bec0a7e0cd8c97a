package storetest

import (
	"slices"
	"time"

	"rescind/internal/revocation"
)

// jobEmails claims at most limit emails of the account's jobs.
func (f *fixture) jobEmails(account string, limit int, lease time.Duration) []revocation.Email {
	f.Helper()
	emails, unknown, err := f.ClaimJobNotifications(f.Context(), sender, account, limit, lease)
	f.must(err)
	f.lost += unknown
	return emails
}

// jobEmail claims the one email of the account's jobs that is due.
func (f *fixture) jobEmail(account string, lease time.Duration) revocation.Email {
	f.Helper()
	emails := f.jobEmails(account, 9, lease)
	if len(emails) != 1 {
		f.Fatalf("%d emails claimed, want 1", len(emails))
	}
	return emails[0]
}

// mails fails the test unless the job counts its emails as want does.
func (f *fixture) mails(job revocation.Job, want revocation.MailCounts) {
	f.Helper()
	f.equal("mails", want, f.job(job).Mails)
}

// mailed returns a job of acme's whose items are all revoked and each have an email to send.
func (f *fixture) mailed(reportIDs ...int64) revocation.Job {
	f.Helper()
	job := f.bulk(items(reportIDs...), notifyAll)
	f.end(job)
	f.mails(job, revocation.MailCounts{Pending: len(reportIDs)})
	return job
}

// allReports returns the report ids of all invites of an account.
func allReports() []int64 {
	all := make([]int64, invites)
	for i := range all {
		all[i] = int64(i + 1)
	}
	return all
}

var jobMailTests = []test{
	{"a claim returns the content of the message", func(f *fixture) {
		job := f.mailed(1)
		email := f.jobEmail(acme, time.Hour)
		f.equal("email", revocation.Email{
			Account: acme, Revocation: job.ID.Item(1), Sender: sender, Claims: 1,
			ToName: "Ada of acme", ToAddress: "ada@acme.example", Assessment: "Go",
			Company: "The acme company", Contact: "help@acme.example",
		}, email)
		f.email(rowOf(job, 1), revocation.NotificationPending, 0)
		f.mails(job, revocation.MailCounts{Pending: 1})
		f.equal("committed", true, f.commit(email, time.Hour))
		f.mails(job, revocation.MailCounts{Pending: 1})
		f.settle(email, revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		f.email(rowOf(job, 1), revocation.NotificationSent, 1)
		f.mails(job, revocation.MailCounts{Sent: 1})
	}},
	{"a claim returns the job's message to the candidates", func(f *fixture) {
		withMessage := func(s *revocation.FinalJob) { s.CandidateMessage = new("Sorry.") }
		job := f.bulk(items(1, 2), notifyAll, withMessage)
		f.end(job)
		for _, email := range f.jobEmails(acme, 9, time.Hour) {
			f.equal("message", "Sorry.", email.Message)
		}
		f.mails(job, revocation.MailCounts{Pending: 2})
	}},
	{"emails of items with work items", func(f *fixture) {
		job := f.bulk([]revocation.Item{item(1, withItemNotify(true)), item(2), item(3, withItemNotify(true))})
		f.spill(job)
		f.claimItems(acme, 9, time.Hour)
		f.attemptFails(0, rowOf(job, 3))
		f.carryOut(rowOf(job, 1), rowOf(job, 2))
		f.mails(job, revocation.MailCounts{Pending: 1})
		f.carryOut(next(rowOf(job, 3)))
		f.mails(job, revocation.MailCounts{Pending: 2})
		f.equal("claimed", 2, len(f.jobEmails(acme, 9, time.Hour)))
	}},
	{"a claim takes the oldest emails and at most the limit", func(f *fixture) {
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
		f.equal("rows", []int{3, 1, 4, 2}, rows)
	}},
	{"emails are claimed by account, and separately from single submissions", func(f *fixture) {
		single := f.revokedWithEmail(2)
		job := f.mailed(1)
		other := f.bulk(items(1), ofZenithJob, notifyAll)
		f.end(other)
		f.equal("due singles", 0, len(f.dueEmails(0)))
		f.equal("nobody's", 0, len(f.jobEmails("nobody", 9, time.Hour)))
		f.equal("zenith's", other.ID.Item(1), f.jobEmail(zenith, time.Hour).Revocation)
		f.equal("acme's", job.ID.Item(1), f.jobEmail(acme, time.Hour).Revocation)
		f.settle(f.claimEmail(single, time.Hour), revocation.Settlement{Status: revocation.NotificationPending})
		f.equal("acme's, when the single one is due", 0, len(f.jobEmails(acme, 9, time.Hour)))
		f.equal("the single one", single.ID, f.dueEmails(0)[0].Revocation)
	}},
	{"a job's email with an expired claim is not due for the dispatcher", func(f *fixture) {
		job := f.mailed(1, 2)
		f.jobEmails(acme, 9, 0)
		pending, err := f.PendingWork(f.Context())
		f.must(err)
		f.equal("pending emails of singles", false, pending.Notifications)
		f.equal("due singles", 0, len(f.dueEmails(0)))
		emails := f.jobEmails(acme, 9, 0)
		f.equal("claims", []int{2, 2}, []int{emails[0].Claims, emails[1].Claims})
		f.mails(job, revocation.MailCounts{Pending: 2})
	}},
	{"each settlement is counted once", func(f *fixture) {
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
	{"a deferred email is due after its delay", func(f *fixture) {
		job := f.mailed(1, 2)
		emails := f.jobEmails(acme, 9, time.Hour)
		f.settle(emails[0], revocation.Settlement{Status: revocation.NotificationPending, Attempts: 1})
		f.settle(emails[1], revocation.Settlement{Status: revocation.NotificationPending, Attempts: 1, Delay: time.Hour})
		f.mails(job, revocation.MailCounts{Pending: 2})
		again := f.jobEmail(acme, time.Hour)
		f.equal("again", []any{emails[0].Revocation, 2, 1}, []any{again.Revocation, again.Claims, again.Attempts})
		f.settle(again, revocation.Settlement{Status: revocation.NotificationFailed, Attempts: 2})
		f.mails(job, revocation.MailCounts{Pending: 1, Failed: 1})
	}},
	{"a claim that another worker took over has no effect", func(f *fixture) {
		job := f.mailed(1)
		lost := f.jobEmail(acme, 0)
		owner := f.jobEmail(acme, time.Hour)
		f.equal("claims", 2, owner.Claims)
		f.equal("committed", false, f.commit(lost, time.Hour))
		f.settle(lost, revocation.Settlement{Status: revocation.NotificationFailed, Attempts: 1})
		f.mails(job, revocation.MailCounts{Pending: 1})
		f.equal("committed by the owner", true, f.commit(owner, time.Hour))
		f.settle(owner, revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		f.mails(job, revocation.MailCounts{Sent: 1})
	}},
	{"a committed email that is never settled becomes unknown and is counted", func(f *fixture) {
		job := f.mailed(1, 2)
		emails := f.jobEmails(acme, 9, time.Hour)
		f.equal("committed", []bool{true, true}, []bool{f.commit(emails[0], 0), f.commit(emails[1], time.Hour)})
		f.mails(job, revocation.MailCounts{Pending: 2})
		for range 2 {
			f.equal("claimed", 0, len(f.jobEmails(acme, 9, time.Hour)))
			f.mails(job, revocation.MailCounts{Pending: 1, Unknown: 1})
			f.settle(emails[0], revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		}
		f.equal("have become unknown", 1, f.lost)
		f.email(revocation.Ref{Account: acme, ID: emails[0].Revocation}, revocation.NotificationUnknown, 0)
		f.settle(emails[1], revocation.Settlement{Status: revocation.NotificationSent, Attempts: 1})
		f.mails(job, revocation.MailCounts{Sent: 1, Unknown: 1})
	}},
	{"unknown emails do not block the rest", func(f *fixture) {
		lost := f.mailed(1, 2)
		for _, email := range f.jobEmails(acme, 2, time.Hour) {
			f.commit(email, 0)
		}
		later := f.bulk(items(3), notifyAll)
		f.end(later)
		var rest []revocation.Email
		for range 2 { // the lost ones are older, and may fill the first claim
			rest = append(rest, f.jobEmails(acme, 2, time.Hour)...)
		}
		f.equal("the rest", 1, len(rest))
		f.equal("have become unknown", 2, f.lost)
		f.mails(lost, revocation.MailCounts{Unknown: 2})
		f.mails(later, revocation.MailCounts{Pending: 1})
	}},
	{"concurrent workers send each email once", func(f *fixture) {
		job := f.mailed(allReports()...)
		sent, err := concurrently(8, func(int) (n int, err error) {
			for {
				emails, _, err := f.ClaimJobNotifications(f.Context(), sender, acme, 3, time.Hour)
				if err != nil || len(emails) == 0 {
					return n, err
				}
				for _, email := range emails {
					committed, err := f.CommitNotification(f.Context(), email, time.Hour)
					if err != nil || !committed {
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
		f.equal("sent", invites, total)
		f.mails(job, revocation.MailCounts{Sent: invites})
	}},
}
