package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"rescind/internal/testservers"
)

func shell(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestCommands(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	// Both databases, each with the flag or the variable that selects it.
	for name, where := range map[string]func(t *testing.T) (env []string, flag string){
		"embedded": func(t *testing.T) ([]string, string) { return nil, "--data=" + t.TempDir() },
		"postgres": func(t *testing.T) ([]string, string) {
			env := []string{"DATABASE_URL=" + testservers.Postgres(t)}
			if _, stderr, exit := command(t, env, "", "account", "list"); exit != 1 || !strings.Contains(stderr, "run the migrate command") {
				t.Errorf("before migrate: exit %d: %s", exit, stderr)
			}
			mustCommand(t, env, "", "migrate")
			return env, ""
		},
	} {
		t.Run(name, func(t *testing.T) { testCommands(t, where) })
	}
}

func testCommands(t *testing.T, where func(t *testing.T) ([]string, string)) {
	env, flag := where(t)
	try := func(stdin string, args ...string) (stdout, stderr string, exit int) {
		if flag != "" {
			args = append(args, flag)
		}
		return command(t, env, stdin, args...)
	}
	must := func(stdin string, args ...string) string {
		t.Helper()
		stdout, stderr, exit := try(stdin, args...)
		if exit != 0 {
			t.Fatalf("%v: exit %d: %s", args, exit, stderr)
		}
		return stdout
	}
	refused := func(want string, args ...string) {
		t.Helper()
		if _, stderr, exit := try("", args...); exit == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %q is not in %s", args, exit, want, stderr)
		}
	}

	must("", "migrate")
	must("", "account", "set", "acme", "--name", "Acme\r\nBcc: x@example.com", "--contact", "jobs@acme.example", "--plan-changed-at", "2025-01-15T10:32:45Z")
	must("", "account", "set", "acme")
	if list := must("", "account", "list"); !strings.Contains(list, "Acme  Bcc: x@example.com") || !strings.Contains(list, "2025-01-15T10:32:45Z") {
		t.Errorf("accounts: %s", list)
	}
	must("", "account", "set", "acme", "--plan-changed-at", "none")
	if list := must("", "account", "list"); strings.Contains(list, "2025") {
		t.Errorf("accounts: %s", list)
	}
	refused("account ID", "account", "set", "a/b")
	refused("account ID", "account", "set", "..")
	refused("--contact", "account", "set", "acme", "--contact", "nobody")
	refused("--plan-changed-at", "account", "set", "acme", "--plan-changed-at", "yesterday")
	refused("the account has no upstream", "account", "set", "acme", "--upstream-rate", "5")
	refused("the account has no upstream", "account", "set", "acme", "--upstream-concurrency", "5")

	must("", "account", "set", "acme", "--hold", "1h30m", "--confirm-above", "0", "--approve-above", "1000", "--spare", "started",
		"--message-links", "on", "--single-events", "on")
	must("", "account", "set", "acme")
	if list := must("", "account", "list"); !strings.Contains(list, "hold 1h30m, confirm above 0, approve above 1000, spare started, message links, single events") {
		t.Errorf("accounts: %s", list)
	}
	refused("an upstream does not support; add --spare none", "account", "set", "acme", "--upstream-url", "https://platform.example")
	must("", "account", "set", "acme", "--hold", "0s", "--confirm-above", "none", "--approve-above", "none", "--spare", "none",
		"--message-links", "off", "--single-events", "off")
	if list := must("", "account", "list"); strings.Contains(list, "hold") || strings.Contains(list, "spare") || !strings.Contains(list, "  -  ") {
		t.Errorf("accounts: %s", list)
	}
	for flag, values := range map[string][]string{
		"hold": {"10", "1.5s", "-1s", "24h1s", "none", ""}, "confirm-above": {"-1", "2147483648", "1.5", "all", ""}, "approve-above": {"-5", "x"},
		"spare": {"completed", "Started", ""}, "message-links": {"true", "yes"}, "single-events": {"1", ""},
	} {
		for _, value := range values {
			refused("--"+flag+": write ", "account", "set", "acme", "--"+flag+"="+value)
		}
	}

	secret := must("", "key", "create", "--account", "acme", "--scopes", "read")
	if strings.Count(secret, "\n") != 1 || len(strings.TrimSpace(secret)) < 43 {
		t.Errorf("the secret is not alone on stdout: %q", secret)
	}
	list := must("", "key", "list")
	if strings.Contains(list, strings.TrimSpace(secret)) || !strings.Contains(list, "read") {
		t.Errorf("keys: %s", list)
	}
	id := strings.Fields(strings.Split(list, "\n")[1])[0]
	must("", "key", "revoke", id)
	must("", "key", "revoke", "--account", "acme", id)
	refused("no such key", "key", "revoke", "--account", "bolt", id)
	refused("key ID", "key", "revoke", strings.TrimSpace(secret))
	refused("no account", "key", "create", "--account", "bolt")
	must("", "key", "create", "--account", "acme", "--name", "The importer", "--scopes", "mail,webhooks, invites,approve,read,revoke")
	if list := must("", "key", "list"); !strings.Contains(list, "  The importer   mail,webhooks,invites,approve,read,revoke  ") ||
		!strings.Contains(list, "  acme     "+id[:13]+"  ") {
		t.Errorf("keys: %s", list)
	}
	refused("--name: at most 255 characters", "key", "create", "--account", "acme", "--name", strings.Repeat("ä", 256))
	refused("without control characters", "key", "create", "--account", "acme", "--name", "a\nb")
	refused("revoke, read, approve, invites, webhooks, mail", "key", "create", "--account", "acme", "--scopes", "all")
	refused("--scopes", "key", "create", "--account", "acme", "--scopes", "")
	refused("--expires", "key", "create", "--account", "acme", "--expires", "2020-01-01T00:00:00Z")
	refused("--expires", "key", "create", "--account", "acme", "--expires", "soon")
	must("", "key", "create", "--account", "acme", "--expires", "720h")

	t.Run("import keeps the good rows and reports the bad ones by number", func(t *testing.T) {
		rows := "\ufeff\"sent_at\",report_id,extra,candidate_email,candidate_name,assessment_name\r\n" +
			"2026-01-01T00:00:00Z,1,,ada@example.com,\"Ada\nLovelace\",Go\r\n" +
			"2026-01-01T00:00:00Z,0,,ada@example.com,Ada,Go\r\n" +
			"\r\n" +
			"yesterday,3,,ada@example.com,Ada,Go\r\n" +
			"2026-01-01T00:00:00Z,4,,secret-address,Ada,Go\r\n" +
			"2026-01-01T00:00:00Z,5\r\n" +
			"2026-01-01T00:00:00Z,6,,ada@example.com,\xff,Go\r\n" +
			"2026-01-01T00:00:00Z,7,,ada@example.com,\"Ada,Go\r\n" +
			"2026-01-01T9:00:00Z,8,,ada@example.com,Ada,Go\r\n" +
			"2026-01-01T00:00:00Z,9223372036854775807,,ada@example.com,Ada,Go\r\n" +
			",3.18E+10,,,,\r\n"
		_, stderr, exit := try(rows, "invites", "import", "--account", "acme", "-")
		if exit != 1 {
			t.Errorf("exit %d", exit)
		}
		for _, want := range []string{
			"row 2: report_id", "row 3: sent_at", "row 4: candidate_email", "row 5: ", "row 6: candidate_name",
			"row 7: a quote", "row 8: sent_at", "(line 10)", "row 10: report_id: a spreadsheet has lost its digits", "2 invites are written, 8 rows could not be read",
		} {
			if !strings.Contains(stderr, want) {
				t.Errorf("%q is not told: %s", want, stderr)
			}
		}
		if strings.Contains(stderr, "secret-address") {
			t.Errorf("an address is told: %s", stderr)
		}
	})
	t.Run("import reads how far a candidate has come", func(t *testing.T) {
		rows := "report_id,candidate_name,candidate_email,assessment_name,sent_at,State\n"
		for i, state := range []string{"STARTED", "completed", "Pending", "", "secret-state"} {
			rows += fmt.Sprintf("%d,Ada,ada@example.com,Go,2026-01-01T00:00:00Z,%s\n", 31+i, state)
		}
		_, stderr, exit := try(rows, "invites", "import", "--account", "acme", "-")
		if exit != 1 || !strings.Contains(stderr, "row 5: state: must be PENDING, STARTED or COMPLETED (line 6)") ||
			!strings.Contains(stderr, "4 invites are written, 1 row could not be read") || strings.Contains(stderr, "secret-state") {
			t.Errorf("exit %d: %s", exit, stderr)
		}
	})
	t.Run("import reads common formats of files and times", func(t *testing.T) {
		const names = "Report ID;Candidate Name;candidate-email;Assessment Name;Sent At\r"
		row := func(id int, sent string) string { return fmt.Sprintf("%d.0;Ada;ada@example.com;Go;%s\r", id, sent) }
		stdout, _, exit := try(names+row(21, "2026-01-01 10:00:00+00")+row(22, "2026-01-01T10:00:00+0530")+row(23, "2026-01-01 10:00:00.123-05:00")+";;;;\r",
			"invites", "import", "--account", "acme", "-")
		if exit != 0 {
			t.Errorf("exit %d: %s", exit, stdout)
		}
		_, stderr, exit := try(names+row(24, "2026-07-01 10:00:00"), "invites", "import", "--account", "acme", "-")
		if exit != 1 || !strings.Contains(stderr, "row 1: sent_at: the time has no zone") {
			t.Errorf("exit %d: %s", exit, stderr)
		}
		if _, stderr, exit = try(names+row(24, "2026-07-01 10:00:00"), "invites", "import", "--account", "acme", "--timezone", "Europe/Berlin", "-"); exit != 0 {
			t.Errorf("exit %d: %s", exit, stderr)
		}
		refused("no such zone", "invites", "import", "--account", "acme", "--timezone", "Europe/Nowhere", "-")
		if _, stderr, exit = try(names, "invites", "import", "--account", "acme", "--sheet", "List", "-"); exit != 1 || !strings.Contains(stderr, "has no sheets") {
			t.Errorf("exit %d: %s", exit, stderr)
		}
	})
	must(invitesCSV(12000), "invites", "import", "--account", "acme", "-")
	refused("no account", "invites", "import", "--account", "bolt", "-")
	refused("no header row", "invites", "import", "--account", "acme", "-")
	if _, stderr, exit := try("report_id,sent_at\n", "invites", "import", "--account", "acme", "-"); exit != 1 || !strings.Contains(stderr, "candidate_name") {
		t.Errorf("a column is missing: exit %d: %s", exit, stderr)
	}
	if _, stderr, exit := try("", "invites", "nonsense"); exit != 2 || !strings.Contains(stderr, "--help") {
		t.Errorf("nonsense: exit %d: %s", exit, stderr)
	}
}

func TestSettings(t *testing.T) {
	needPrograms(t)
	env := []string{"DATABASE_URL=mysql://user:hunter2@db/x", "SUBMIT_WAIT=soon", "RATE_LIMIT=0"}
	_, stderr, exit := command(t, env, "", "serve")
	if exit != 1 {
		t.Errorf("exit %d", exit)
	}
	for _, want := range []string{"DATABASE_URL", "REDIS_URL", "SUBMIT_WAIT", "RATE_LIMIT"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%s is not told: %s", want, stderr)
		}
	}
	if strings.Contains(stderr, "hunter2") {
		t.Errorf("a password is told: %s", stderr)
	}
}
