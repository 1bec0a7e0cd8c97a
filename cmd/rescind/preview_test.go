package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// equal reports the difference between two values.
func equal(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const (
	previewingJob = `{"id":"j1","state":"PREVIEWING","total":4,"pending":4,"progress":0.5,"counts":{},"notifications":{}}`
	previewedJob  = `{"id":"j1","state":"PREVIEWED","total":4,"pending":3,"counts":{"INVALID":1},"notifications":{},"expires_at":"2026-01-01T00:00:00Z",` +
		`"preview":{"predicted":{"REVOKED":2,"ALREADY_REVOKED":1,"NOT_FOUND":0,"INVALID":1,"UNKNOWN":0},"emails":1}}`
	awaitingJob  = `{"id":"j1","state":"AWAITING_APPROVAL","total":4,"pending":3,"counts":{},"notifications":{},"preview":{"predicted":{"REVOKED":2},"emails":1}}`
	scheduledJob = `{"id":"j1","state":"SCHEDULED","total":4,"pending":4,"counts":{},"notifications":{},"not_before":"2026-12-31T18:00:00Z"}`

	previewedItems = `{"data":[{"row":1,"report_id":318,"status":"PENDING","message":"Not confirmed yet.","predicted":"REVOKED"},` +
		`{"row":2,"report_id":null,"status":"INVALID","message":"No.","predicted":"INVALID"}],"next_cursor":null}`
	previewedTable = "     ROW               REPORT  PREDICTED\n" +
		"       1                  318  REVOKED\n" +
		"       2                    -  INVALID\n"
)

// decisions is a service with one job. It records the requests that change it.
type decisions struct {
	// end is the job in its events after the first change; empty if they stay the same.
	end string

	mu   sync.Mutex
	made []string
}

// events answers with a preview, and after a change with the end.
func (d *decisions) events(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	job := previewedJob
	if len(d.made) > 1 && d.end != "" {
		job = d.end
	}
	d.mu.Unlock()
	respond(200, "event: progress\ndata: "+previewingJob+"\n\nevent: done\ndata: "+job+"\n\n")(w, r)
}

// start starts the service. accepted and confirmed are its answers to the upload and to a confirmation or an approval.
func (d *decisions) start(t *testing.T, accepted, confirmed string) (environ []string) {
	t.Helper()
	note := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			d.mu.Lock()
			d.made = append(d.made, strings.TrimPrefix(r.URL.Path, "/jobs")+" "+r.URL.RawQuery+string(body))
			d.mu.Unlock()
			w.WriteHeader(http.StatusAccepted)
			_, _ = fmt.Fprint(w, answer)
		}
	}
	return startFake(t, map[string]http.HandlerFunc{
		"POST /jobs":            note(accepted),
		"POST /jobs/j1/confirm": note(confirmed), "POST /jobs/j1/approve": note(confirmed),
		"POST /jobs/j0/retry": note(accepted), "POST /jobs/j1/start": note(queued), "POST /jobs/j1/cancel": note(strings.Replace(queued, "QUEUED", "CANCELLING", 1)),
		"GET /jobs/j1":         respond(200, previewedJob),
		"GET /jobs/j1/events":  d.events,
		"GET /jobs/j1/results": respond(200, previewedItems),
	})
}

func TestBulk_preview(t *testing.T) {
	list := file(t, "list.csv", "report_id\n1\n")
	const table = "         2  REVOKED\n         1  ALREADY_REVOKED\n         1  INVALID\n         1  email at most\n" + previewedTable
	for name, test := range map[string]struct {
		flags               []string
		accepted, confirmed string
		exit                int
		made                []string
		stdout, stderr      string
	}{
		"in a script, it runs at once": {
			accepted: queued, made: []string{" report_id\n1\n"}, stdout: "Job j1 is accepted",
		},
		"only a preview": {
			flags: []string{"--preview"}, accepted: previewingJob, made: []string{" preview=truereport_id\n1\n"},
			stdout: table + "Confirm it (until ",
		},
		"a preview that the limits of the account want": {
			accepted: previewingJob, exit: 1, made: []string{" report_id\n1\n"}, stdout: "): rescind job confirm j1 --count 2\n",
		},
		"confirmed without a question": {
			flags: []string{"--yes"}, accepted: previewingJob, confirmed: queued, made: []string{" report_id\n1\n", `/j1/confirm {"count":2}`},
			stdout: "Job j1 is accepted", stderr: table,
		},
		"it needs an approval as well": {
			flags: []string{"--yes"}, accepted: previewingJob, confirmed: awaitingJob, exit: 1,
			made:   []string{" report_id\n1\n", `/j1/confirm {"count":2}`},
			stdout: "It needs the approval of another key: rescind job approve j1 --count 2\n",
		},
		"it begins later": {
			flags: []string{"--not-before", "2026-12-31T18:00:00Z"}, accepted: scheduledJob,
			made: []string{" not_before=2026-12-31T18%3A00%3A00Zreport_id\n1\n"}, stdout: "It begins by itself, not before " + formatTime(time.Date(2026, 12, 31, 18, 0, 0, 0, time.UTC)) +
				". Begin it now: rescind job start j1. Take it back: rescind job cancel j1\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var d decisions
			exit, stdout, stderr := inside(t, d.start(t, test.accepted, test.confirmed), append([]string{"bulk", list}, test.flags...)...)
			if exit != test.exit {
				t.Errorf("exit %d: %s%s", exit, stdout, stderr)
			}
			contains(t, stdout, test.stdout)
			contains(t, stderr, test.stderr)
			equal(t, test.made, d.made)
		})
	}
	t.Run("a report of a preview is refused", func(t *testing.T) {
		var d decisions
		exit, _, stderr := inside(t, d.start(t, queued, ""), "bulk", list, "--preview", "--report", "out.csv")
		if exit != 2 || len(d.made) > 0 {
			t.Errorf("exit %d, %v", exit, d.made)
		}
		contains(t, stderr, "--report: ")
	})
}

func TestJob_decisions(t *testing.T) {
	for name, test := range map[string]struct {
		args           string
		confirmed      string
		exit           int
		made           []string
		stdout, stderr string
	}{
		"confirm":               {"job confirm j1 --count 2", queued, 0, []string{`/j1/confirm {"count":2}`}, "Job j1 is accepted", ""},
		"confirm what is read":  {"job confirm j1 --yes", queued, 0, []string{`/j1/confirm {"count":2}`}, "Job j1 is accepted", "2  REVOKED\n"},
		"nobody is there":       {"job confirm j1", queued, 2, nil, "", "name the number, --count 2"},
		"another key":           {"job confirm j1 --count 2", awaitingJob, 1, []string{`/j1/confirm {"count":2}`}, "rescind job approve j1 --count 2", ""},
		"another key's outcome": {"job confirm j1 --count 2 --follow", awaitingJob, 1, []string{`/j1/confirm {"count":2}`}, "rescind job approve j1 --count 2", ""},
		"approve":               {"job approve j1 --count 2", queued, 0, []string{`/j1/approve {"count":2}`}, "Job j1 is accepted", ""},
		"nothing to approve":    {"job approve j1 --yes", queued, 2, nil, "", "the job is PREVIEWED"},
		"start":                 {"job start j1", "", 0, []string{`/j1/start `}, "Job j1 is accepted", ""},
		"cancel":                {"job cancel j1", "", 0, []string{`/j1/cancel `}, "Job j1: CANCELLING", ""},
		"show":                  {"job show j1", "", 1, nil, "rescind job confirm j1 --count 2", ""},
		"retry":                 {"job retry j0", "", 1, []string{"/j0/retry "}, "): rescind job confirm j1 --count 2\n", ""},
		"retry, and follow":     {"job retry j0 --follow", "", 1, []string{"/j0/retry "}, "): rescind job confirm j1 --count 2\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var d decisions
			exit, stdout, stderr := inside(t, d.start(t, previewingJob, test.confirmed), strings.Fields(test.args)...)
			if exit != test.exit {
				t.Errorf("exit %d: %s%s", exit, stdout, stderr)
			}
			contains(t, stdout, test.stdout)
			contains(t, stderr, test.stderr)
			equal(t, test.made, d.made)
		})
	}
	t.Run("an expired job", func(t *testing.T) {
		expired := `{"id":"j1","state":"EXPIRED","total":4,"pending":0,"counts":{"CANCELLED":4},"notifications":{}}`
		exit, stdout, stderr := inside(t, startFake(t, map[string]http.HandlerFunc{"GET /jobs/j1": respond(200, expired)}), "job", "show", "j1")
		want := "Job j1: EXPIRED, 4 of 4 items are final.\n         4  CANCELLED\n" +
			"It was not confirmed or approved in time, and nothing is revoked. Submit the list again.\n"
		if exit != 1 || stdout != want || stderr != "" {
			t.Errorf("exit %d: %s%s", exit, stdout, stderr)
		}
	})
	t.Run("another number", func(t *testing.T) {
		environ := startFake(t, map[string]http.HandlerFunc{
			"POST /jobs/j1/confirm": respond(409, `{"code":"count_mismatch","detail":"Another number.","count":7}`),
			"POST /jobs/j1/start":   respond(409, `{"code":"wrong_state","detail":"Not now.","state":"RUNNING"}`),
		})
		exit, _, stderr := inside(t, environ, "job", "confirm", "j1", "--count", "8")
		if exit != 2 {
			t.Errorf("exit %d", exit)
		}
		contains(t, stderr, "(count_mismatch)", "The preview predicts 7.")
		_, _, stderr = inside(t, environ, "job", "start", "j1")
		contains(t, stderr, "(wrong_state)", "The job is RUNNING.")
	})
}

func TestRevoke_held(t *testing.T) {
	const held = `{"status":"PENDING","message":"The revocation is queued.","id":"r1","report_id":318,"final":false,"attempts":0,` +
		`"next_attempt_at":"2099-01-01T00:00:00Z","notification":{"status":"NOT_REQUESTED"}}`
	var sent string
	environ := startFake(t, map[string]http.HandlerFunc{
		"POST /assessments/invite/revoke": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			sent = string(body)
			respond(202, held)(w, r)
		},
		"POST /revocations/r1/cancel": respond(200, `{"status":"CANCELLED","message":"The revocation was cancelled first.","id":"r1","report_id":318,"final":true,"notification":{"status":"NOT_REQUESTED"}}`),
	})
	exit, stdout, stderr := inside(t, environ, "revoke", "318", "--not-before", "2098-12-31T23:00:00Z", "--reason", "closed", "--message", "Sorry.")
	if exit != 0 || stderr != "" {
		t.Errorf("exit %d, %q", exit, stderr)
	}
	contains(t, stdout, "Report 318: PENDING.", "It is carried out at 2099-01-01 ", "rescind cancel r1")
	equal(t, `{"report_id":318,"notify_candidate":false,"not_before":"2098-12-31T23:00:00Z","reason":"closed","candidate_message":"Sorry."}`, sent)
	exit, stdout, _ = inside(t, environ, "cancel", "r1")
	if exit != 0 || stdout != "Report 318: CANCELLED. The revocation was cancelled first. [r1]\n" {
		t.Errorf("exit %d, %q", exit, stdout)
	}
}

func TestEvents(t *testing.T) {
	event := func(id, kind string) string {
		return `{"id":"` + id + `","type":"` + kind + `","occurred_at":"2026-01-01T00:00:00Z","actor":{"type":"key","id":"k","name":"ann"},` +
			`"subject":{"type":"job","id":"j1"},"data":{"total":3}}`
	}
	page := func(cursor string, events ...string) string {
		return `{"data":[` + strings.Join(events, ",") + `],"next_cursor":"` + cursor + `"}`
	}
	environ := startFake(t, map[string]http.HandlerFunc{
		"GET /events": func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			answer := map[string]string{
				"": page("c1", event("e1", "job.created")), "c1": page("c2", event("e2", "job.finished")), "c2": page("c2"),
			}[q.Get("cursor")]
			if q.Get("type") != "job.created,job.finished" || q.Has("after") != (q.Get("cursor") == "") {
				t.Errorf("%s", r.URL)
			}
			respond(200, answer)(w, r)
		},
	})
	exit, stdout, stderr := inside(t, environ, "events", "--type", "job.created,job.finished", "--after", "2026-01-01T00:00:00Z")
	if exit != 0 || stderr != "" || strings.Count(stdout, "\n") != 2 {
		t.Errorf("exit %d, %q %q", exit, stdout, stderr)
	}
	contains(t, stdout, `job.created             ann            job j1  {"total":3}`)
}
