package revocation

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFormatHold(t *testing.T) {
	for hold, want := range map[time.Duration]string{
		0: "0s", 5 * time.Second: "5s", 10 * time.Minute: "10m", 90 * time.Second: "1m30s", 90 * time.Minute: "1h30m",
		24 * time.Hour: "24h", time.Hour + 10*time.Second: "1h0m10s", 20 * time.Hour: "20h", 10*time.Hour + 10*time.Minute: "10h10m",
	} {
		got := FormatHold(hold)
		if parsed, err := time.ParseDuration(got); got != want || parsed != hold || err != nil {
			t.Errorf("FormatHold(%d) = %q, want %q", hold, got, want)
		}
	}
}

func TestAPIKey_ShownName(t *testing.T) {
	id, _ := ParseID("0191b7e2-7a00-7000-8000-000000000000")
	for name, want := range map[string]string{"": "0191b7e2-7a00", "Importer": "Importer"} {
		if got := (&APIKey{ID: id, Name: name}).ShownName(); got != want {
			t.Errorf("a key named %q is shown as %q, want %q", name, got, want)
		}
	}
}

func TestValidKeyName(t *testing.T) {
	for name, want := range map[string]bool{
		"": true, "Ada's key": true, strings.Repeat("ä", MaxKeyName): true, strings.Repeat("a", MaxKeyName+1): false,
		"a\nb": false, "a\u0085b": false, "\x00": false, "\xff": false,
	} {
		if ValidKeyName(name) != want {
			t.Errorf("ValidKeyName(%q) is not %v", name, want)
		}
	}
}

func TestMergeInvites(t *testing.T) {
	got := MergeInvites([]Invite{
		{ReportID: 3, CandidateName: "a", Progress: ProgressStarted},
		{ReportID: 1},
		{ReportID: 3, CandidateName: "b"},
		{ReportID: 2, Progress: ProgressStarted},
		{ReportID: 2, Progress: ProgressPending},
		{ReportID: 3, CandidateName: "c"},
	})
	want := []Invite{
		{ReportID: 1}, {ReportID: 2, Progress: ProgressPending}, {ReportID: 3, CandidateName: "c", Progress: ProgressStarted},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("invites (-want +got):\n%s", diff)
	}
}
