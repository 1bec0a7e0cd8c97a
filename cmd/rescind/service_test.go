package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// csvOf is a file of rows that name no invite.
func csvOf(rows int) string {
	var b strings.Builder
	b.WriteString("report_id\n")
	for i := range rows {
		fmt.Fprintf(&b, "%d\n", 1_000_000+i)
	}
	return b.String()
}

// body decodes what --json printed.
func body(t *testing.T, stdout string) (b map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(stdout), &b); err != nil {
		t.Fatalf("%q: %v", stdout, err)
	}
	return b
}

var jobID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// variable replaces what differs from run to run.
func variable(s string) string {
	s = jobID.ReplaceAllString(s, "ID")
	s = regexp.MustCompile(`after [0-9.]+m?s`).ReplaceAllString(s, "after TIME")
	return regexp.MustCompile(`, \d+ items? a second`).ReplaceAllString(s, "")
}

func TestRevoke(t *testing.T) {
	s := startStandalone(t)
	for _, c := range []struct {
		exit int
		args string
		want string
	}{
		{0, "revoke 318 --wait 30s", "Report 318: REVOKED. Invite Revoked successfully. [ID]\n"},
		{0, "revoke 318 --wait 30s --notify", "Report 318: ALREADY_REVOKED. The invite has already been revoked. Email: SKIPPED. [ID]\n"},
		{1, "revoke 317 --wait 30s", "Report 317: NOT_ALLOWED. Invite was sent before the latest plan change. The plan changed at 2025-01-15 10:32:45. [ID]\n"},
		{1, "revoke 319 --wait 0s", "Report 319: PENDING. The revocation is queued. The service continues; run the same command again to see the outcome. [ID]\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			stdout, stderr := s.do(c.exit, "", strings.Fields(c.args)...)
			if diff := cmp.Diff(c.want, variable(stdout)); diff != "" || stderr != "" {
				t.Errorf("%q (-want +got):\n%s", stderr, diff)
			}
		})
	}
	t.Run("unknown", func(t *testing.T) {
		stdout, stderr := s.do(2, "", "revoke", "1")
		if stdout != "" {
			t.Errorf("stdout: %s", stdout)
		}
		contains(t, stderr, "rescind: No such invite in this account. (not_found)\nRequest id: ")
	})
	t.Run("as JSON", func(t *testing.T) {
		stdout, _ := s.do(0, "", "revoke", "320", "--notify", "--wait", "30s", "--json")
		if !strings.HasPrefix(stdout, `{"status":"REVOKED","message":"Invite Revoked successfully.","id":`) || body(t, stdout)["notify_candidate"] != true {
			t.Errorf("%s", stdout)
		}
	})
}

func TestBulk(t *testing.T) {
	s := startStandalone(t)
	t.Run("the summary names each outcome, and where the failed rows are", func(t *testing.T) {
		rows := "report_id,notify_candidate\n318,true\n319,\n317,\n\n99999,\nabc,\n318,\n77777,maybe\n"
		stdout, stderr := s.do(1, "", "bulk", file(t, "list.csv", rows), "--follow")
		stdout = regexp.MustCompile(`\n +1  email (sent|to be sent)`).ReplaceAllString(stdout, "\n         1  email")
		want := `Job ID: COMPLETED, 7 of 7 items are final, after TIME.
         2  REVOKED
         1  ALREADY_REVOKED
         1  NOT_ALLOWED
         1  NOT_FOUND
         2  INVALID
         1  email
Not revoked, the first of each outcome:
     ROW               REPORT  STATUS           EMAIL          MESSAGE
       3                  317  NOT_ALLOWED      NOT_REQUESTED  Invite was sent before the latest plan change. The plan changed at 2025-01-15 10:32:45.
       4                99999  NOT_FOUND        NOT_REQUESTED  No such invite in this account.
`
		got := variable(stdout)
		if diff := cmp.Diff(want, got[:min(len(want), len(got))]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		contains(t, got, "\n       5                    -  INVALID ", "\n       7                    -  INVALID ", `All of them:
  rescind job results ID --status NOT_ALLOWED
  rescind job results ID --status NOT_FOUND
  rescind job results ID --status INVALID
`)
		contains(t, stderr, "is accepted: 7 items.\n", "COMPLETED, 7 of 7 done\n")
		if strings.Contains(stderr, "\r") || strings.Contains(stderr, "\x1b") {
			t.Errorf("drawn for a terminal: %q", stderr)
		}
	})
	t.Run("every format is accepted, from a file or standard input", func(t *testing.T) {
		const lines = `{"report_id": 320}` + "\n" + `{"report_id": 321, "notify_candidate": false}` + "\n"
		const whole = `{"report_ids": [320, 321], "label": "again"}`
		for name, content := range map[string]string{
			"a.csv": "report_id\n320\n321\n", "a.csv.gz": zipped(t, "report_id\n320\n321\n"), "a.ndjson": lines, "a.jsonl.gz": zipped(t, lines),
			"a.json": whole, "a.json.gz": zipped(t, whole), "a": lines,
		} {
			stdout, _ := s.do(0, "", "bulk", file(t, name, content), "--follow")
			contains(t, stdout, "2 of 2 items are final")
			stdout, _ = s.do(0, content, "bulk", "-", "--follow")
			contains(t, stdout, "2 of 2 items are final")
		}
	})
	t.Run("without --follow, it prints how to follow", func(t *testing.T) {
		stdout, _ := s.do(0, "", "bulk", file(t, "list.csv", "report_id\n322\nx\n"))
		id := jobID.FindString(stdout)
		want := "Job ID is accepted: 2 items, of which 1 could not be read.\nFollow it: rescind job show ID --follow\n"
		if diff := cmp.Diff(want, variable(stdout)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		stdout, _ = s.do(1, "", "job", "show", id, "--follow")
		contains(t, variable(stdout), "Job ID: COMPLETED, 2 of 2 items are final", "1  REVOKED", "1  INVALID")
	})
	t.Run("a job that has nothing to carry out has ended at once", func(t *testing.T) {
		stdout, _ := s.do(1, "", "bulk", file(t, "list.csv", "report_id\nx\n"))
		contains(t, variable(stdout), "Job ID: COMPLETED, 1 of 1 item is final", "1  INVALID")
	})
	t.Run("as JSON", func(t *testing.T) {
		stdout, _ := s.do(0, "", "bulk", file(t, "list.csv", "report_id\n323\n"), "--json")
		if b := body(t, stdout); b["total"] != 1.0 {
			t.Errorf("%v", b)
		}
		stdout, _ = s.do(1, "", "bulk", file(t, "list.csv", "report_id\n323\n1\n"), "--follow", "--json")
		if b := body(t, stdout); b["total"] != 2.0 || b["state"] != "COMPLETED" {
			t.Errorf("%v", b)
		}
	})
	t.Run("emails are requested", func(t *testing.T) {
		stdout, _ := s.do(0, "", "bulk", file(t, "list.csv", "report_id,notify_candidate\n324,\n325,false\n"), "--notify", "--follow", "--json")
		id := body(t, stdout)["id"].(string)
		stdout, _ = s.do(0, "", "job", "results", id)
		for _, row := range []string{`1 +324  REVOKED +(PENDING|SENT) `, `2 +325  REVOKED +NOT_REQUESTED `} {
			if !regexp.MustCompile(row).MatchString(stdout) {
				t.Errorf("%s is not in:\n%s", row, stdout)
			}
		}
		stdout, _ = s.do(0, "", "bulk", file(t, "job.json", ` {"report_ids": [326]}`), "--notify", "--follow", "--json")
		stdout, _ = s.do(0, "", "job", "results", body(t, stdout)["id"].(string))
		contains(t, stdout, "326  REVOKED")
		if strings.Contains(stdout, "NOT_REQUESTED") {
			t.Errorf("--notify is not in a job in JSON:\n%s", stdout)
		}
		_, stderr := s.do(2, "", "bulk", file(t, "job.json", `{"report_ids": [1], "notify_candidate": false}`), "--notify")
		contains(t, stderr, "notify_candidate: ", "(duplicate_field)")
	})
	t.Run("a refused file", func(t *testing.T) {
		_, stderr := s.do(2, "", "bulk", file(t, "empty.csv", "report_id\n"))
		contains(t, stderr, "(invalid)\n")
		_, stderr = s.do(2, "", "bulk", file(t, "job.json", `{"report_ids": [1]}`), "--sheet", "Candidates")
		contains(t, stderr, "  sheet: ")
		_, stderr = s.do(2, "", "bulk", file(t, "broken.json", `{"report_ids": [1`))
		contains(t, stderr, "(malformed_json)\n")
		_, stderr = s.do(2, "", "bulk", filepath.Join(t.TempDir(), "absent.csv"))
		contains(t, stderr, "no such file")
	})
	t.Run("a broken upload makes one job", func(t *testing.T) {
		before := len(body(t, s.get("/jobs?limit=1000"))["data"].([]any))
		content := csvOf(100_000)
		cut := startCutter(t, s.addr, int64(len(content)/2))
		r := start(t, []string{"RESCIND_URL=http://" + cut.addr, "RESCIND_API_KEY=demo"}, nil, programs.rescind,
			"bulk", file(t, "list.csv", content))
		r.ends(0)
		contains(t, r.stderr(), "Trying again in ")
		contains(t, r.stdout(), "is accepted: 100000 items, ")
		if after := len(body(t, s.get("/jobs?limit=1000"))["data"].([]any)); after != before+1 || cut.cuts.Load() != 1 {
			t.Errorf("%d cuts made %d jobs", cut.cuts.Load(), after-before)
		}
	})
}

// cutter lets connections to a service through, and cuts the first after so many bytes.
type cutter struct {
	addr string
	cuts atomic.Int64
}

func startCutter(t *testing.T, to string, after int64) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	c := &cutter{addr: listener.Addr().String()}
	go func() {
		for {
			caller, err := listener.Accept()
			if err != nil {
				return
			}
			service, err := net.Dial("tcp", to)
			if err != nil {
				_ = caller.Close()
				continue
			}
			limit := int64(math.MaxInt64)
			if c.cuts.CompareAndSwap(0, 1) {
				limit = after
			}
			go func() {
				_, _ = io.CopyN(service, caller, limit)
				_, _ = service.Close(), caller.Close()
			}()
			go func() { _, _ = io.Copy(caller, service) }()
		}
	}()
	return c
}

func TestJob(t *testing.T) {
	s := startStandalone(t)
	t.Run("the results, page by page", func(t *testing.T) {
		stdout, _ := s.do(1, "", "bulk", "--follow", "--json", file(t, "list.csv", csvOf(2500)+"318\n"))
		id := body(t, stdout)["id"].(string)
		stdout, _ = s.do(0, "", "job", "results", id)
		lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
		if len(lines) != 2502 {
			t.Fatalf("%d lines", len(lines))
		}
		want := []string{
			"     ROW               REPORT  STATUS           EMAIL          MESSAGE",
			"       1              1000000  NOT_FOUND        NOT_REQUESTED  No such invite in this account.",
			"    2501                  318  REVOKED          NOT_REQUESTED  Invite Revoked successfully.",
		}
		if diff := cmp.Diff(want, []string{lines[0], lines[1], lines[2501]}); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		stdout, _ = s.do(0, "", "job", "results", id, "--status", "revoked")
		if strings.Count(stdout, "\n") != 2 || !strings.Contains(stdout, " 2501 ") {
			t.Errorf("%s", stdout)
		}
		stdout, _ = s.do(0, "", "job", "results", id, "--json")
		rows, pages := 0, strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
		for _, page := range pages {
			rows += len(body(t, page)["data"].([]any))
		}
		if rows != 2501 || len(pages) != 3 {
			t.Errorf("%d rows on %d pages", rows, len(pages))
		}
		_, stderr := s.do(2, "", "job", "results", id, "--status", "NONSENSE")
		contains(t, stderr, "  status: ")
	})
	t.Run("a job that is not there", func(t *testing.T) {
		for _, command := range []string{"show", "results", "cancel", "retry"} {
			_, stderr := s.do(2, "", "job", command, "01a209b8-4f0e-7c55-b0f4-5a3b00000000")
			contains(t, stderr, "(not_found)")
		}
	})
}
