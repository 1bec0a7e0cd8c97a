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

func TestRevoke_selection(t *testing.T) {
	s := startStandalone(t)
	t.Run("confirmed without a question, and once", func(t *testing.T) {
		stdout, stderr := s.do(0, "", "revoke", "--email", "Candidate1@example.com", "--assessment", "analytical engineer", "--yes", "--notify", "--wait", "30s")
		contains(t, variable(stdout), "Job ID: COMPLETED, 1 of 1 item is final, after TIME.\n         1  REVOKED\n")
		contains(t, variable(stderr), "Job ID would end like this:\n         1  REVOKED\n         1  email at most\n", "       1                  318  REVOKED\n")
		stdout, stderr = s.do(0, "", "revoke", "--email", " candidate1@example.com", "--yes")
		if stdout != "The invite that matches has already been revoked.\n" || stderr != "" {
			t.Errorf("%s%s", stdout, stderr)
		}
		stdout, stderr = s.do(2, "", "revoke", "--email", "nobody@example.com", "--yes")
		if contains(t, stderr, "(no_match)\n"); stdout != "" {
			t.Errorf("%s", stdout)
		}
	})
	t.Run("what cannot be revoked", func(t *testing.T) {
		stdout, _ := s.do(1, "", "revoke", "--email", "grace@example.com", "--yes", "--wait", "30s")
		contains(t, stdout, "         1  NOT_ALLOWED\n")
	})
	t.Run("in a script, it waits for a person", func(t *testing.T) {
		stdout, stderr := s.do(1, "", "revoke", "--email", "candidate2@example.com")
		id := jobID.FindString(stdout)
		contains(t, stdout, "       1                  319  REVOKED\nConfirm it (until ", "): rescind job confirm "+id+" --count 1\n")
		if strings.Contains(stderr, "319") {
			t.Errorf("%s", stderr)
		}
		stdout, _ = s.do(0, "", "job", "confirm", id, "--count", "1", "--follow")
		contains(t, stdout, "         1  REVOKED\n")
	})
	t.Run("a selection in a file", func(t *testing.T) {
		const list = `{"select": {"candidate_emails": ["candidate3@example.com", "candidate4@example.com"]}}`
		stdout, _ := s.do(0, list, "bulk", "-", "--yes", "--follow")
		contains(t, stdout, "         2  REVOKED\n")
	})
}
