package revocation

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestDecide(t *testing.T) {
	change := time.Date(2025, 1, 15, 10, 32, 45, 999, time.FixedZone("", 2*3600))
	ref := func(n byte) Ref { return Ref{Account: "acme", ID: ID{15: n}, Attempt: 2} }
	open, revoked, old := &InviteState{SentAt: change}, &InviteState{Revoked: true}, &InviteState{}

	for _, test := range []struct {
		name string
		held LockedRevocation
		want Decision
	}{
		{
			"revoked with the email that was asked for",
			LockedRevocation{Ref: ref(1), ReportID: 7, Notify: true, Invite: open},
			Decision{Ref: ref(1), ReportID: 7, Status: StatusRevoked, Kind: Final, Notify: true},
		},
		{
			"in doubt, the invite is revoked and its email becomes UNKNOWN",
			LockedRevocation{Ref: ref(1), ReportID: 7, Notify: true, InDoubt: true, Invite: open},
			Decision{
				Ref: ref(1), ReportID: 7, Status: StatusRevoked, Kind: Final, Notify: true, InDoubt: true,
			},
		},
		{
			"in doubt without a request for the email, no email is added",
			LockedRevocation{Ref: ref(1), ReportID: 7, InDoubt: true, Invite: open},
			Decision{Ref: ref(1), ReportID: 7, Status: StatusRevoked, Kind: Final, InDoubt: true},
		},
		{
			"revoked without an email",
			LockedRevocation{Ref: ref(1), ReportID: 7, Invite: open},
			Decision{Ref: ref(1), ReportID: 7, Status: StatusRevoked, Kind: Final},
		},
		{
			"already revoked sends no email",
			LockedRevocation{Ref: ref(1), ReportID: 7, Notify: true, Invite: revoked},
			Decision{Ref: ref(1), ReportID: 7, Status: StatusAlreadyRevoked, Kind: Final, Notify: true},
		},
		{
			"not allowed, with the time of the plan change in UTC",
			LockedRevocation{Ref: ref(1), ReportID: 7, Notify: true, Invite: old, AccountState: AccountState{PlanChangedAt: change}},
			Decision{Ref: ref(1), ReportID: 7, Status: StatusNotAllowed, Kind: Final, Notify: true, Timestamp: "2025-01-15 08:32:45"},
		},
		{
			"no such invite",
			LockedRevocation{Ref: ref(1), ReportID: 7},
			Decision{Ref: ref(1), ReportID: 7, Status: StatusNotFound, Kind: Final},
		},
		{
			"a contended invite counts no attempt and is retried",
			LockedRevocation{Ref: ref(1), ReportID: 7, Notify: true, Contended: true, DispatchCount: 1},
			Decision{Ref: ref(1), ReportID: 7, Notify: true, Delay: 400 * time.Millisecond},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff([]Decision{test.want}, Decide([]LockedRevocation{test.held})); diff != "" {
				t.Error(diff)
			}
		})
	}

	t.Run("an invite named several times is revoked once, by the first revocation", rapid.MakeCheck(func(t *rapid.T) {
		held := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) LockedRevocation {
			return LockedRevocation{
				Ref:      Ref{Account: rapid.SampledFrom([]string{"acme", "bolt"}).Draw(t, "account")},
				ReportID: rapid.Int64Range(1, 3).Draw(t, "report"), Notify: true, Invite: open,
			}
		}), 0, 12).Draw(t, "held")
		seen := make(map[InviteKey]bool)
		for i, d := range Decide(held) {
			key := InviteKey{held[i].Account, held[i].ReportID}
			want := StatusRevoked
			if seen[key] {
				want = StatusAlreadyRevoked
			}
			seen[key] = true
			if d.Status != want || d.MarksInvite() != (want == StatusRevoked) || (d.EmailStatus() == NotificationPending) != d.MarksInvite() {
				t.Fatalf("%d of %v: %+v, want %s", i, key, d, want)
			}
		}
	}))
}

func TestDecideFailed(t *testing.T) {
	policy := RetryPolicy{Base: time.Second, Max: time.Minute, MaxAttempts: 3}
	failure := FailureOf(&Error{Code: CodeDeadlock})
	held := []LockedRevocation{{Ref: Ref{ID: ID{1}, Attempt: 1}, Notify: true}, {Ref: Ref{ID: ID{2}, Attempt: 2}}}
	got := DecideFailed(held, failure, policy)

	if d := got[0]; d.Kind != Retry || d.Status != StatusErrorRevoking || d.Delay < time.Second || d.Delay > 2*time.Second {
		t.Errorf("the second of three attempts failed: %+v", d)
	}
	if d := got[1]; d.Kind != Final || d.Status != StatusErrorRevoking || d.Delay != 0 {
		t.Errorf("the last of three attempts failed: %+v", d)
	}
	for _, d := range got {
		if d.MarksInvite() || d.EmailStatus() != "" || d.Failure.Code != CodeDeadlock || d.Failure.Detail == "" {
			t.Errorf("a failed attempt is decided as %+v", d)
		}
	}
}

func TestPartsOf(t *testing.T) {
	single := Decision{ReportID: 1, Kind: Final, Status: StatusRevoked, Notify: true}
	item := Decision{ReportID: 2, Kind: Final, Status: StatusNotAllowed, Job: ID{1}, Notify: true}
	called := Decision{ReportID: 3, Kind: Final, Status: StatusRevoked, Job: ID{1}, Notify: true, Upstream: true}
	failed := Decision{ReportID: 4, Kind: Retry, Status: StatusErrorRevoking, Notify: true}
	locked, routed := Decision{ReportID: 5}, Decision{ReportID: 6, Kind: RouteUpstream}
	got := PartsOf([]Decision{single, item, called, failed, locked, routed})
	want := DecisionParts{
		Singles: []Decision{single}, Items: []Decision{item, called},
		Retried: []Decision{failed}, Postponed: []Decision{locked, routed},
		Revoked: []Decision{single}, Notified: []Decision{single, called},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
