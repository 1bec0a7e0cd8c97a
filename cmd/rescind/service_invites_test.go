package main

import (
	"strings"
	"testing"
)

func TestInvites_service(t *testing.T) {
	s := startStandalone(t)
	s.do(0, "", "revoke", "318", "--wait", "30s")
	t.Run("by address", func(t *testing.T) {
		stdout, stderr := s.do(0, "", "invites", "--email", "CANDIDATE1@example.com")
		contains(t, stdout, "       318  Candidate 1             candidate1@example.com        Analytical Engineer     PENDING ", "  ALREADY_REVOKED\n")
		if strings.Count(stdout, "\n") != 2 || stderr != "" {
			t.Errorf("%s%s", stdout, stderr)
		}
	})
	t.Run("by the beginning of a text", func(t *testing.T) {
		stdout, _ := s.do(0, "", "invites", "--q", "compil", "--csv")
		if want := inviteColumns + `317,"Grace Hopper","grace@example.com",,"Compiler Engineer",,"PENDING","2025-01-14T10:32:45Z",,"NOT_ALLOWED"` + "\r\n"; stdout != want {
			t.Errorf("%q", stdout)
		}
	})
	t.Run("all of an assessment, as a list for bulk", func(t *testing.T) {
		list, stderr := s.do(0, "", "invites", "--assessment", "analytical engineer", "--not-revoked", "--state", "pending", "--sent-after", "2026-01-16T00:00:00Z", "--csv")
		rows := strings.Count(list, "\r\n") - 1
		if rows < 10 || strings.Contains(list, "\r\n318,") || stderr != "" {
			t.Errorf("%d rows, %s: %s", rows, stderr, list)
		}
		stdout, _ := s.do(0, list, "bulk", "-", "--follow", "--json")
		if b := body(t, stdout); b["total"] != float64(rows) || b["counts"].(map[string]any)["REVOKED"] != float64(rows) {
			t.Errorf("%d rows: %v", rows, b)
		}
	})
	t.Run("none", func(t *testing.T) {
		stdout, stderr := s.do(0, "", "invites", "--email", "nobody@example.com", "--csv")
		if stdout != inviteColumns || stderr != "No invite matches.\n" {
			t.Errorf("%q %q", stdout, stderr)
		}
	})
	t.Run("what is wrong with a search", func(t *testing.T) {
		_, stderr := s.do(2, "", "invites", "--q", "a", "--state", "gone")
		contains(t, stderr, "  q: ", "  state: ")
	})
}
