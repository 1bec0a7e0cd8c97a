package storetest

import (
	"time"

	"rescind/internal/revocation"
)

var fastPathTests = []test{
	{"ordinary revocations get their outcomes", func(f *fixture) {
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: zenith, PlanChangedAt: &planChange}))
		f.carryOut(f.submitNew(request(3))...)
		refs := f.submitNew(request(1, withNotify), request(2), request(3, withNotify), request(1, ofZenith, withNotify))
		f.attemptFails(0, refs[1])
		refs[1].Attempt = 1
		done, err := f.RevokeFast(f.Context(), refs)
		f.must(err)
		f.equal("decisions", len(refs), len(done.Decisions))
		for i, want := range []revocation.Status{
			revocation.StatusRevoked, revocation.StatusRevoked, revocation.StatusAlreadyRevoked, revocation.StatusNotAllowed,
		} {
			f.status(refs[i], want, true)
		}
		f.equal("attempts", 2, f.read(refs[1]).Attempts)
		f.equal("email", revocation.NotificationPending, f.read(refs[0]).Notification.Status)
		claimed, err := f.ClaimNotifications(f.Context(), sender, []revocation.NotificationRef{{Account: acme, Revocation: refs[0].ID}}, time.Minute)
		f.must(err)
		f.equal("emails", 1, len(claimed))
	}},
	{"other revocations are left unchanged", func(f *fixture) {
		refs := f.submitNew(request(1), request(2, ofZenith))
		f.toUpstream(upstreamURL)
		done, err := f.RevokeFast(f.Context(), refs)
		f.must(err)
		for _, d := range done.Decisions {
			if d.Account == acme && d.Kind == revocation.Final {
				f.Errorf("decided %+v of an account on an upstream", d)
			}
		}
		f.status(refs[0], revocation.StatusPending, false)
		f.status(refs[1], revocation.StatusRevoked, true)
	}},
}
