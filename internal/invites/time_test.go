package invites

import (
	"testing"
	"time"
)

func TestParseTime_inZone(t *testing.T) {
	zone, ok := Zone("Europe/Berlin")
	if !ok {
		t.Fatal("no such zone")
	}
	for text, want := range map[string]string{
		"2026-07-01 10:00:00":      "2026-07-01T08:00:00Z",
		"2026-10-25 02:30:00":      "2026-10-25T00:30:00Z", // twice: the first
		"2026-10-25 03:30:00":      "2026-10-25T02:30:00Z",
		"2026-03-29 02:30:00":      "", // never
		"2026-10-25T02:30:00+0100": "2026-10-25T01:30:00Z",
		"2026-01-01 10:00:00+00":   "2026-01-01T10:00:00Z",
		"1969-01-01 10:00:00":      "",
		"2026-01-01":               "",
	} {
		got, err := parseTime(text, zone)
		if (err != nil) != (want == "") || err == nil && got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, name := range []string{"", "Local", "Europe/Nowhere"} {
		if _, ok := Zone(name); ok {
			t.Errorf("%q is a zone", name)
		}
	}
}
