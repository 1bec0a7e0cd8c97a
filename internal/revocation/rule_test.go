package revocation

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRule(t *testing.T) {
	change := time.Date(2025, 1, 15, 10, 32, 45, 0, time.UTC)
	changed := AccountState{PlanChangedAt: change}
	spares := AccountState{PlanChangedAt: change, SpareStarted: true}
	for _, test := range []struct {
		name    string
		invite  InviteState
		account AccountState
		want    Status
	}{
		{"no plan change", InviteState{SentAt: change.Add(-time.Hour)}, AccountState{}, StatusRevoked},
		{"sent before", InviteState{SentAt: change.Add(-time.Nanosecond)}, changed, StatusNotAllowed},
		{"sent at the time of the change", InviteState{SentAt: change}, changed, StatusRevoked},
		{"sent at the time of the change, in another zone", InviteState{SentAt: change.In(time.FixedZone("", 3600))}, changed, StatusRevoked},
		{"sent after", InviteState{SentAt: change.Add(time.Nanosecond)}, changed, StatusRevoked},
		{"revoked and sent before", InviteState{SentAt: change.Add(-time.Hour), Revoked: true}, changed, StatusAlreadyRevoked},
		{"revoked and sent after", InviteState{SentAt: change.Add(time.Hour), Revoked: true}, changed, StatusAlreadyRevoked},
		{"started, and nobody is spared", InviteState{SentAt: change, Started: true}, changed, StatusRevoked},
		{"started", InviteState{SentAt: change, Started: true}, spares, StatusAlreadyStarted},
		{"started and sent before", InviteState{Started: true}, spares, StatusAlreadyStarted},
		{"started and revoked", InviteState{Started: true, Revoked: true}, spares, StatusAlreadyRevoked},
		{"not started and sent before", InviteState{}, spares, StatusNotAllowed},
		{"not started and sent after", InviteState{SentAt: change}, spares, StatusRevoked},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Rule(test.invite, test.account); got != test.want {
				t.Errorf("Rule = %s, want %s", got, test.want)
			}
		})
	}
}

func TestStatus_Message(t *testing.T) {
	for _, s := range Statuses {
		if (s.Message() == "") != (s == StatusInvalid) {
			t.Errorf("%s: message %q", s, s.Message())
		}
	}
}

func TestRetryPolicy(t *testing.T) {
	policy := RetryPolicy{Base: 2 * time.Second, Max: 10 * time.Minute, MaxAttempts: 10}
	t.Run("each delay is between half of its doubled base and all of it", func(t *testing.T) {
		for n, full := range map[int]time.Duration{
			1: 2 * time.Second, 2: 4 * time.Second, 5: 32 * time.Second, 9: 512 * time.Second,
			10: 10 * time.Minute, 100: 10 * time.Minute, 1 << 30: 10 * time.Minute,
		} {
			low, high := full, time.Duration(0)
			for range 1000 {
				d := policy.Delay(n)
				low, high = min(low, d), max(high, d)
			}
			if low < full/2 || high > full {
				t.Errorf("delay %d is drawn from %s to %s, outside of %s to %s", n, low, high, full/2, full)
			}
			if high-low < full/4 {
				t.Errorf("delay %d hardly varies: %s to %s", n, low, high)
			}
		}
	})
	t.Run("MaxAttempts is the number of the last attempt", func(t *testing.T) {
		if policy.Exhausted(9) || !policy.Exhausted(10) || !policy.Exhausted(11) {
			t.Error("Exhausted does not allow exactly 10 attempts")
		}
	})
	t.Run("the visibility timeout doubles up to its bound", func(t *testing.T) {
		for n, want := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 80 * time.Second} {
			if got := VisibilityTimeout(n); got != want {
				t.Errorf("VisibilityTimeout(%d) = %s, want %s", n, got, want)
			}
		}
	})
}

func TestID(t *testing.T) {
	t.Run("ParseID parses what String returns", rapid.MakeCheck(func(t *rapid.T) {
		var id ID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		if got, ok := ParseID(id.String()); !ok || got != id {
			t.Fatalf("ParseID(%s) = %s, %v", id, got, ok)
		}
	}))
	t.Run("other forms are refused", func(t *testing.T) {
		for _, s := range []string{
			"", "x", "0191b7e2-7a00-7000-8000-00000000000", "0191b7e2-7a00-7000-8000-0000000000000",
			"{191b7e2-7a00-7000-8000-00000000000}", "0191b7e27a0070008000000000000000",
			"0191b7e2-7a00-7000-8000-00000000000g", "0191b7e2_7a00_7000_8000_000000000000",
		} {
			if _, ok := ParseID(s); ok {
				t.Errorf("ParseID(%q) accepted it", s)
			}
		}
	})
	t.Run("IDRange selects ids by the millisecond of their creation", rapid.MakeCheck(func(t *rapid.T) {
		at := time.UnixMicro(rapid.OneOf(rapid.Int64Range(0, 5000), rapid.Int64Range(0, 1<<52)).Draw(t, "made")).UTC()
		bound := time.UnixMicro(at.UnixMicro() + rapid.Int64Range(-3000, 3000).Draw(t, "offset")).UTC()
		id := FirstIDAt(at)
		copy(id[6:], rapid.SliceOfN(rapid.Byte(), 10, 10).Draw(t, "rest"))
		created := at.Truncate(time.Millisecond)
		if !id.Time().Equal(created) {
			t.Fatalf("Time = %s, want %s", id.Time(), created)
		}
		low, _ := Filter{CreatedAfter: bound}.IDRange()
		if got, want := id.Compare(low) >= 0, !created.Before(bound); got != want {
			t.Fatalf("created %s, after %s: in range %v, want %v", created, bound, got, want)
		}
		_, high := Filter{CreatedBefore: bound}.IDRange()
		if got, want := id.Compare(high) < 0, created.Before(bound); got != want {
			t.Fatalf("created %s, before %s: in range %v, want %v", created, bound, got, want)
		}
	}))
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]bool{
		"2025-01-15T10:32:45Z": true, "2025-01-15T10:32:45.5+02:00": true, "2025-01-15t10:32:45z": true,
		"2025-01-15T9:32:45Z": false, "2025-01-15T10:32:45,5Z": false, "2025-01-15 10:32:45": false,
		"2025-02-30T10:32:45Z": false, "2025-01-15": false, "": false,
	} {
		if got, ok := ParseTime(s); ok != want || ok == got.IsZero() {
			t.Errorf("ParseTime(%q) = %s, %v", s, got, ok)
		}
	}
}
