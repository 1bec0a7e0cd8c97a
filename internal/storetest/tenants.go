package storetest

import (
	"time"

	"rescind/internal/revocation"
)

// asZenith returns the ref with zenith as the account.
func asZenith(ref revocation.Ref) revocation.Ref {
	ref.Account = zenith
	return ref
}

var tenantTests = []test{
	{"another account's revocation cannot be read or listed", func(f *fixture) {
		ref := f.submitNew(request(1))[0]
		_, err := f.Revocation(f.Context(), zenith, ref.ID)
		f.code(revocation.CodeNotFound, err)
		f.equal("zenith's list", []revocation.ID{}, f.list(revocation.Filter{Account: zenith}))
		f.equal("zenith's list by report_id", []revocation.ID{}, f.list(revocation.Filter{Account: zenith, ReportID: 1}))
	}},
	{"a report_id names a different invite in each account", func(f *fixture) {
		refs := f.submitNew(request(1), request(1, ofZenith))
		f.carryOut(refs[0])
		f.status(refs[0], revocation.StatusRevoked, true)
		f.status(refs[1], revocation.StatusPending, false)
		f.carryOut(refs[1])
		f.status(refs[1], revocation.StatusRevoked, true)
	}},
	{"an invite that only another account has is not found", func(f *fixture) {
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{{ReportID: 99, SentAt: sentAt}}))
		f.code(revocation.CodeNotFound, f.submit(request(99, ofZenith))[0].Err)
	}},
	{"the same key is independent in another account", func(f *fixture) {
		f.submitNew(request(1, withKey("k")))
		f.submitNew(request(2, withKey("k"), ofZenith))
	}},
	{"a plan change applies to its account only", func(f *fixture) {
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, PlanChangedAt: &planChange}))
		refs := f.submitNew(request(1), request(1, ofZenith))
		f.carryOut(refs...)
		f.status(refs[0], revocation.StatusNotAllowed, true)
		f.status(refs[1], revocation.StatusRevoked, true)
	}},
	{"a ref with another account's id does nothing", func(f *fixture) {
		ref := f.submitNew(request(1, withNotify))[0]
		f.equal("carried out", 0, len(f.carryOut(asZenith(ref))))
		f.equal("failed", 0, len(f.attemptFails(0, asZenith(ref))))
		f.status(ref, revocation.StatusPending, false)
		f.attemptFails(0, ref)
		due, err := f.ClaimDue(f.Context(), 10, []time.Duration{time.Hour})
		f.must(err)
		due[0].Account = zenith
		f.must(f.Release(f.Context(), due, 0))
		f.equal("due", 0, len(f.claimDue(time.Hour)))
	}},
	{"an email cannot be claimed for another account", func(f *fixture) {
		ref := f.revokedWithEmail(1)
		emails, err := f.ClaimNotifications(f.Context(), sender, []revocation.NotificationRef{{Account: zenith, Revocation: ref.ID}}, time.Hour)
		f.must(err)
		f.equal("claimed", 0, len(emails))

		email := f.claimEmail(ref, time.Hour)
		foreign := email
		foreign.Account = zenith
		committed, err := f.CommitNotification(f.Context(), foreign, time.Hour)
		f.must(err)
		f.equal("committed", false, committed)
		f.must(f.SettleNotification(f.Context(), foreign, revocation.Settlement{Status: revocation.NotificationFailed}))
		f.equal("notification", revocation.NotificationPending, f.read(ref).Notification.Status)
	}},
	{"keys belong to their account", func(f *fixture) {
		key := newKey(acme)
		f.must(f.AddKey(f.Context(), key))
		f.code(revocation.CodeNotFound, f.RevokeKey(f.Context(), zenith, key.ID))
		keys, err := f.Keys(f.Context(), zenith)
		f.must(err)
		f.equal("zenith's keys", 0, len(keys))
	}},
}
