package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// selectedAda is the request for a job of the invites of ada@example.com, as decisions records it.
const selectedAda = ` {"select":{"candidate_emails":["ada@example.com"]},"notify_candidate":false}`

func TestRevoke_selected(t *testing.T) {
	const confirm = `/j1/confirm {"count":2}`
	const allRevoked = `{"id":"j1","state":"COMPLETED","total":2,"pending":0,"counts":{"REVOKED":1,"ALREADY_REVOKED":1},"notifications":{}}`
	const notAll = `{"id":"j1","state":"COMPLETED","total":2,"pending":0,"counts":{"REVOKED":1,"NOT_ALLOWED":1},"notifications":{}}`
	const soon = `{"id":"j1","state":"SCHEDULED","total":4,"pending":4,"counts":{},"notifications":{},"not_before":"2026-01-01T00:00:00Z"}`
	for name, test := range map[string]struct {
		flags          string
		confirmed, end string
		exit           int
		made           []string
		stdout, stderr string
	}{
		"in a script, it waits for a person": {
			exit: 1, made: []string{selectedAda}, stdout: previewedTable + "Confirm it (until ",
		},
		"confirmed without a question": {
			flags: "--yes", confirmed: queued, end: allRevoked, made: []string{selectedAda, confirm},
			stdout: "Job j1: COMPLETED, 2 of 2 items are final.\n         1  REVOKED\n", stderr: previewedTable,
		},
		"not all end well": {
			flags: "--yes", confirmed: queued, end: notAll, exit: 1, made: []string{selectedAda, confirm}, stdout: "         1  NOT_ALLOWED\n",
		},
		"it has ended at once": {
			flags: "--yes --wait 0s", confirmed: allRevoked, made: []string{selectedAda, confirm}, stdout: "Job j1: COMPLETED, ",
		},
		"the wait ends": {
			flags: "--yes --wait 0s", confirmed: queued, exit: 1, made: []string{selectedAda, confirm},
			stderr: "The job continues. Follow it: rescind job show j1 --follow. Cancel it: rescind job cancel j1.\n",
		},
		"it needs an approval as well": {
			flags: "--yes", confirmed: awaitingJob, exit: 1, made: []string{selectedAda, confirm},
			stdout: "It needs the approval of another key: rescind job approve j1 --count 2\n",
		},
		"it begins later": {
			flags: "--yes", confirmed: scheduledJob, made: []string{selectedAda, confirm}, stdout: "Take it back: rescind job cancel j1\n",
		},
		"it begins within the wait": {
			flags: "--yes", confirmed: soon, end: allRevoked, made: []string{selectedAda, confirm}, stdout: "Job j1: COMPLETED, ",
		},
		"with all options": {
			flags: "--assessment Backend --notify --not-before 2026-12-31T18:00:00Z --reason closed --message Sorry.", exit: 1,
			made: []string{` {"select":{"candidate_emails":["ada@example.com"],"assessment_name":"Backend"},"notify_candidate":true,` +
				`"not_before":"2026-12-31T18:00:00Z","reason":"closed","candidate_message":"Sorry."}`},
		},
		"as JSON": {
			flags: "--yes --json", confirmed: queued, end: allRevoked, made: []string{selectedAda, confirm}, stdout: allRevoked + "\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := decisions{end: test.end}
			args := append([]string{"revoke", "--email", "ada@example.com"}, strings.Fields(test.flags)...)
			exit, stdout, stderr := inside(t, d.start(t, previewingJob, test.confirmed), args...)
			if exit != test.exit {
				t.Errorf("exit %d: %s%s", exit, stdout, stderr)
			}
			contains(t, stdout, test.stdout)
			contains(t, stderr, test.stderr)
			equal(t, test.made, d.made)
		})
	}
	const noMatch = `{"code":"invalid","detail":"Nothing is found.","errors":[{"field":"select","code":"no_match","detail":"No invite."}]}`
	const refused = "rescind: Nothing is found. (invalid)\n  select: No invite. (no_match)\n"
	const one = `{"data":[{"report_id":1,"revoked_at":"2026-01-01T00:00:00Z"}],"next_cursor":null}`
	const first = `{"data":[{"report_id":2,"revoked_at":"2026-01-01T00:00:00Z"}],"next_cursor":"c"}`
	for name, test := range map[string]struct {
		pages          []string // none for a search that is refused
		flags          string
		exit           int
		stdout, stderr string
	}{
		"one is revoked already":      {pages: []string{one}, stdout: "The invite that matches has already been revoked.\n"},
		"all are revoked already":     {pages: []string{first, one}, flags: "--yes", stdout: "All 2 invites that match have already been revoked.\n"},
		"all are revoked, as JSON":    {pages: []string{first, one}, flags: "--json", stdout: first + "\n" + one + "\n"},
		"nothing is found":            {pages: []string{`{"data":[],"next_cursor":null}`}, exit: 2, stderr: refused},
		"nothing is found, as JSON":   {pages: []string{`{"data":[],"next_cursor":null}`}, flags: "--json", exit: 2, stdout: noMatch + "\n", stderr: refused},
		"one is not revoked":          {pages: []string{first, `{"data":[{"report_id":1,"revoked_at":null}],"next_cursor":null}`}, exit: 2, stderr: refused},
		"the invites cannot be found": {exit: 2, stderr: refused},
	} {
		t.Run(name, func(t *testing.T) {
			var searches []string
			environ := startFake(t, map[string]http.HandlerFunc{
				"POST /jobs": respond(422, noMatch),
				"POST /invites/search": func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					if searches = append(searches, string(body)); len(searches) > len(test.pages) {
						respond(403, `{"code":"missing_scope","detail":"It lacks one."}`)(w, r)
						return
					}
					respond(200, test.pages[len(searches)-1])(w, r)
				},
			})
			args := append([]string{"revoke", "--email", "ada@example.com", "--assessment", "Backend"}, strings.Fields(test.flags)...)
			exit, stdout, stderr := inside(t, environ, args...)
			if exit != test.exit || stdout != test.stdout || stderr != test.stderr {
				t.Errorf("exit %d, %q %q", exit, stdout, stderr)
			}
			const search = `{"candidate_email":"ada@example.com","assessment_name":"Backend","limit":1000`
			want := []string{search + "}", search + `,"cursor":"c"}`}
			equal(t, want[:max(1, len(test.pages))], searches)
		})
	}
	t.Run("another fault", func(t *testing.T) {
		environ := startFake(t, map[string]http.HandlerFunc{
			"POST /jobs": respond(422, `{"code":"invalid","detail":"It is wrong.","errors":[]}`),
		})
		exit, stdout, stderr := inside(t, environ, "revoke", "--email", "ada@example.com", "--yes")
		if exit != 2 || stdout != "" || stderr != "rescind: It is wrong. (invalid)\n" {
			t.Errorf("exit %d, %q %q", exit, stdout, stderr)
		}
	})
}

func TestPreview_items(t *testing.T) {
	const many = `{"id":"j1","state":"PREVIEWED","total":21,"pending":21,"counts":{},"notifications":{},"preview":{"predicted":{"REVOKED":21},"emails":0}}`
	environ := startFake(t, map[string]http.HandlerFunc{
		"GET /jobs/j1": respond(200, many),
		"GET /jobs/j1/results": func(http.ResponseWriter, *http.Request) {
			t.Error("the items of a long job were read")
		},
	})
	exit, stdout, _ := inside(t, environ, "job", "show", "j1")
	if exit != 1 || strings.Contains(stdout, "REPORT") {
		t.Errorf("exit %d, %s", exit, stdout)
	}
}
