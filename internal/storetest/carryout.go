package storetest

import (
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rescind/internal/revocation"
	"rescind/internal/uuidv7"
)

// final fails the test unless the revocation is final and equals want, except for its times.
func (f *fixture) final(ref revocation.Ref, want revocation.Revocation) {
	f.Helper()
	before := f.read(ref)
	if before.CompletedAt.IsZero() || !before.UpdatedAt.Equal(before.CompletedAt) || before.CompletedAt.Before(before.CreatedAt()) {
		f.Errorf("created %v, updated %v, completed %v", before.CreatedAt(), before.UpdatedAt, before.CompletedAt)
	}
	want.ID, want.Account, want.RequestedBy, want.Final = ref.ID, ref.Account, apiKey, true
	ignoreTimes := cmpopts.IgnoreFields(revocation.Revocation{}, "UpdatedAt", "CompletedAt")
	if diff := cmp.Diff(want, before, ignoreTimes); diff != "" {
		f.Errorf("revocation (-want +got):\n%s", diff)
	}
}

var carryOutTests = []test{
	{"an invite is revoked", func(f *fixture) {
		ref := f.submitNew(request(1, withReference("r")))[0]
		f.equal("decisions", []revocation.Decision{
			{Ref: ref, ReportID: 1, Status: revocation.StatusRevoked, Kind: revocation.Final},
		}, f.carryOut(ref))
		invite, err := f.Invite(f.Context(), acme, 1)
		f.must(err)
		f.equal("revoked by, and at the same time", []any{ref.ID, f.read(ref).CompletedAt}, []any{invite.RevokedBy, invite.RevokedAt})
		reference := "r"
		f.final(ref, revocation.Revocation{
			ReportID: 1, ClientReference: &reference, Status: revocation.StatusRevoked, Attempts: 1,
			Notification: revocation.Notification{Status: revocation.NotificationNotRequested},
		})
	}},
	{"an invite sent before the plan change is not allowed", func(f *fixture) {
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, PlanChangedAt: &planChange}))
		ref := f.submitNew(request(1, withNotify))[0]
		f.carryOut(ref)
		f.final(ref, revocation.Revocation{
			ReportID: 1, Notify: true, Status: revocation.StatusNotAllowed, Timestamp: "2025-01-15 10:32:45", Attempts: 1,
			Notification: revocation.Notification{Status: revocation.NotificationSkipped},
		})
	}},
	{"a started candidate is spared if the account says so", func(f *fixture) {
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{
			{ReportID: 1, SentAt: sentAt, Progress: revocation.ProgressStarted},
			{ReportID: 2, SentAt: sentAt, Progress: revocation.ProgressCompleted},
			{ReportID: 3, SentAt: sentAt},
			{ReportID: 4, SentAt: sentAt, Progress: revocation.ProgressStarted},
		}))
		before := f.submitNew(request(4))[0]
		f.carryOut(before)
		f.status(before, revocation.StatusRevoked, true)
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, PlanChangedAt: &planChange, SpareStarted: new(true)}))
		refs := f.submitNew(request(1, withNotify), request(2), request(3), request(4))
		f.carryOut(refs...)
		f.final(refs[0], revocation.Revocation{
			ReportID: 1, Notify: true, Status: revocation.StatusAlreadyStarted, Attempts: 1,
			Notification: revocation.Notification{Status: revocation.NotificationSkipped},
		})
		f.status(refs[1], revocation.StatusAlreadyStarted, true)
		f.status(refs[2], revocation.StatusNotAllowed, true)
		f.status(refs[3], revocation.StatusAlreadyRevoked, true)
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, PlanChangedAt: &time.Time{}, SpareStarted: new(false)}))
		after := f.submitNew(request(1))[0]
		f.carryOut(after)
		f.status(after, revocation.StatusRevoked, true)
	}},
	{"the plan change is compared to the microsecond", func(f *fixture) {
		changed := planChange.Add(500 * time.Microsecond)
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, PlanChangedAt: &changed}))
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{
			{ReportID: 1, SentAt: changed.Add(-time.Microsecond)},
			{ReportID: 2, SentAt: changed},
			{ReportID: 3, SentAt: changed.Add(time.Microsecond).In(time.FixedZone("", 5*60*60))},
		}))
		refs := f.submitNew(request(1), request(2), request(3))
		f.carryOut(refs...)
		f.status(refs[0], revocation.StatusNotAllowed, true)
		f.status(refs[1], revocation.StatusRevoked, true)
		f.status(refs[2], revocation.StatusRevoked, true)
	}},
	{"a revoked invite stays revoked after a plan change", func(f *fixture) {
		f.carryOut(f.submitNew(request(1))...)
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, PlanChangedAt: &planChange}))
		ref := f.submitNew(request(1, withNotify))[0]
		f.carryOut(ref)
		f.final(ref, revocation.Revocation{
			ReportID: 1, Notify: true, Status: revocation.StatusAlreadyRevoked, Attempts: 1,
			Notification: revocation.Notification{Status: revocation.NotificationSkipped},
		})
	}},
	{"other final outcomes are stored and do not change the invite", func(f *fixture) {
		for status, attempts := range map[revocation.Status]int{revocation.StatusNotFound: 1, revocation.StatusCancelled: 0} {
			ref := f.submitNew(request(1))[0]
			f.carryOutBy(decideAll(func(revocation.LockedRevocation) revocation.Decision {
				return revocation.Decision{Status: status, Kind: revocation.Final}
			}), ref)
			f.final(ref, revocation.Revocation{
				ReportID: 1, Status: status, Attempts: attempts,
				Notification: revocation.Notification{Status: revocation.NotificationNotRequested},
			})
		}
		ref := f.submitNew(request(1))[0]
		f.carryOut(ref)
		f.status(ref, revocation.StatusRevoked, true)
	}},
	{"the decision gets all facts in the order of the keys", func(f *fixture) {
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: acme, SpareStarted: new(true)}))
		f.must(f.SetAccount(f.Context(), revocation.AccountChange{ID: zenith, PlanChangedAt: &planChange}))
		f.must(f.UpsertInvites(f.Context(), acme, []revocation.Invite{{ReportID: 10, SentAt: sentAt, Progress: revocation.ProgressStarted}}))
		spares := revocation.AccountState{SpareStarted: true}
		f.carryOut(f.submitNew(request(3))...)
		refs := f.submitNew(request(3), request(2, ofZenith), request(10), request(1, ofZenith, withNotify), request(2))
		f.attemptFails(0, refs[2])
		refs[2].Attempt = 1
		f.equal("due", 1, len(f.claimDue(time.Hour)))
		var seen []revocation.LockedRevocation
		f.carryOutBy(func(locked []revocation.LockedRevocation) []revocation.Decision {
			seen = slices.Clone(locked)
			return postponed(time.Hour)(locked)
		}, refs...)
		unrevoked := &revocation.InviteState{SentAt: sentAt}
		f.equal("locked", []revocation.LockedRevocation{
			{Ref: refs[4], ReportID: 2, Invite: unrevoked, AccountState: spares},
			{Ref: refs[0], ReportID: 3, Invite: &revocation.InviteState{SentAt: sentAt, Revoked: true}, AccountState: spares},
			{
				Ref: refs[2], ReportID: 10, DispatchCount: 1, AccountState: spares,
				Invite: &revocation.InviteState{SentAt: sentAt, Started: true},
			},
			{Ref: refs[3], ReportID: 1, Invite: unrevoked, Notify: true, AccountState: revocation.AccountState{PlanChangedAt: planChange}},
			{Ref: refs[1], ReportID: 2, Invite: unrevoked, AccountState: revocation.AccountState{PlanChangedAt: planChange}},
		}, seen)
	}},
	{"a stale ref does nothing", func(f *fixture) {
		ref := f.submitNew(request(1, withNotify))[0]
		early := ref
		early.Attempt = 1
		f.equal("one that has not come", 0, len(f.carryOut(early)))
		f.attemptFails(0, ref)
		f.equal("the attempt before", 0, len(f.carryOut(ref)))
		f.equal("its failure", 0, len(f.attemptFails(0, ref)))
		f.equal("attempts", 1, f.read(ref).Attempts)
		f.equal("the attempt", 1, len(f.carryOut(early)))
		was := f.read(ref)
		f.equal("after the end", 0, len(f.carryOut(ref, early)))
		f.equal("a failure after the end", 0, len(f.attemptFails(0, early)))
		f.equal("unknown", 0, len(f.carryOut(revocation.Ref{Account: acme, ID: uuidv7.New()})))
		f.equal("revocation", was, f.read(ref))
	}},
	{"stale refs do not block the others", func(f *fixture) {
		refs := f.submitNew(request(1), request(2), request(3))
		f.carryOut(refs[1])
		f.equal("decided", 2, len(f.carryOut(refs...)))
		f.status(refs[2], revocation.StatusRevoked, true)
	}},
	{"a duplicate ref counts once", func(f *fixture) {
		ref := f.submitNew(request(1, withNotify))[0]
		f.equal("decided", 1, len(f.carryOut(ref, ref)))
		f.status(ref, revocation.StatusRevoked, true)
	}},
	{"no refs", func(f *fixture) {
		f.equal("decided", 0, len(f.carryOut()))
		f.equal("failed", 0, len(f.attemptFails(0)))
	}},
}
