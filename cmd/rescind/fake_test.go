package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// startFake starts a service with a handler for each method and path, and returns the environment of its client.
func startFake(t *testing.T, routes map[string]http.HandlerFunc) (environ []string) {
	t.Helper()
	mux := http.NewServeMux()
	for route, answer := range routes {
		mux.HandleFunc(route, answer)
	}
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return []string{"RESCIND_URL=" + s.URL, "RESCIND_API_KEY=hunter2"}
}

// respond answers with a status and a body.
func respond(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
}

const (
	pending = `{"status":"PENDING","message":"The revocation is queued.","id":"r1","report_id":318,"final":false,"notification":{"status":"PENDING"}}`
	failing = `{"status":"ERROR_REVOKING","message":"Unable to Revoke invite now, Please try again later.","id":"r1","report_id":318,"final":false,
"next_attempt_at":"2026-01-01T00:00:08Z","last_error":{"code":"x","detail":"The platform\u001b[2J is away."},"notification":{"status":"NOT_REQUESTED"}}`
	revoked = `{"status":"REVOKED","message":"Invite Revoked successfully.","id":"r1","report_id":318,"final":true,"notification":{"status":"SENT"}}`

	queued = `{"id":"j1","state":"QUEUED","total":2,"pending":2,"counts":{},"notifications":{}}`
	ended  = `{"id":"j1","label":"a\u0007b","state":"COMPLETED","retry_of":"j0","total":4,"pending":0,"counts":{"REVOKED":1,"ERROR_REVOKING":1,"NEWLY_INVENTED":2},` +
		`"notifications":{"PENDING":1,"SENT":2,"FAILED":3,"UNKNOWN":4,"DELEGATED":5},"items_per_second":2,"created_at":"2026-01-01T00:00:00Z","finished_at":"2026-01-01T00:01:02.5Z"}`
)

func TestRevoke_waits(t *testing.T) {
	t.Run("until it is final", func(t *testing.T) {
		polls := 0
		environ := startFake(t, map[string]http.HandlerFunc{
			"POST /assessments/invite/revoke": respond(202, pending),
			"GET /revocations/r1": func(w http.ResponseWriter, r *http.Request) {
				if prefer := r.Header.Get("Prefer"); prefer != "wait=30" {
					t.Errorf("Prefer: %s", prefer)
				}
				respond(200, []string{failing, failing, revoked}[polls])(w, r)
				polls++
			},
		})
		exit, stdout, stderr := inside(t, environ, "revoke", "318", "--wait", "1h")
		if exit != 0 || stdout != "Report 318: REVOKED. Invite Revoked successfully. Email: SENT. [r1]\n" || stderr != "" {
			t.Errorf("exit %d, %q %q", exit, stdout, stderr)
		}
	})
	t.Run("no longer than --wait", func(t *testing.T) {
		environ := startFake(t, map[string]http.HandlerFunc{
			"POST /assessments/invite/revoke": respond(202, failing), "GET /revocations/r1": respond(200, failing),
		})
		exit, stdout, stderr := inside(t, environ, "revoke", "318", "--wait", "100ms")
		if exit != 1 || stderr != "" {
			t.Errorf("exit %d, %q", exit, stderr)
		}
		contains(t, stdout, "Report 318: ERROR_REVOKING. Unable to Revoke invite now, Please try again later. The platform [2J is away. The next attempt is at ",
			" The service continues; run the same command again to see the outcome. [r1]\n")
	})
	t.Run("and reports the id when the outcome cannot be read", func(t *testing.T) {
		environ := startFake(t, map[string]http.HandlerFunc{
			"POST /assessments/invite/revoke": respond(202, pending), "GET /revocations/r1": respond(403, `{"code":"missing_scope","detail":"It lacks one."}`),
		})
		exit, stdout, stderr := inside(t, environ, "revoke", "318")
		if want := "rescind: it is accepted as r1, but its outcome cannot be read: It lacks one. (missing_scope)\n"; exit != 2 || stdout != "" || stderr != want {
			t.Errorf("exit %d, %q %q", exit, stdout, stderr)
		}
	})
}

func TestSummary(t *testing.T) {
	environ := startFake(t, map[string]http.HandlerFunc{
		"GET /jobs/j1": respond(200, ended),
		"GET /jobs/j1/results": func(w http.ResponseWriter, r *http.Request) {
			if status := r.URL.Query().Get("status"); status != "ERROR_REVOKING" {
				respond(404, `{"code":"not_found"}`)(w, r)
				return
			}
			if r.URL.Query().Get("cursor") == "" { // a page can be empty, and not be the last
				respond(200, `{"data":[],"next_cursor":"x"}`)(w, r)
				return
			}
			respond(200, `{"data":[{"row":7,"report_id":318,"status":"ERROR_REVOKING","message":"a\u001bb\n","notification":"SKIPPED"}],"next_cursor":null}`)(w, r)
		},
	})
	exit, stdout, stderr := inside(t, environ, "job", "show", "j1")
	want := `Job j1 "a b" (retry of j0): COMPLETED, 4 of 4 items are final, after 1m2.5s, 2 items a second.
         1  REVOKED
         1  ERROR_REVOKING
         2  NEWLY_INVENTED
         2  emails sent
         1  email to be sent
         3  emails that failed
         4  emails that may or may not have been sent
         5  emails that the upstream sends
Not revoked, the first of each outcome:
     ROW               REPORT  STATUS           EMAIL          MESSAGE
       7                  318  ERROR_REVOKING   SKIPPED        a b 
All of them:
  rescind job results j1 --status ERROR_REVOKING
  rescind job results j1 --status NEWLY_INVENTED
Items with ERROR_REVOKING can be retried: rescind job retry j1 --follow
`
	if diff := cmp.Diff(want, stdout); diff != "" || exit != 1 || stderr != "" {
		t.Errorf("exit %d, %q (-want +got):\n%s", exit, stderr, diff)
	}
}

func TestSummary_one(t *testing.T) {
	environ := startFake(t, map[string]http.HandlerFunc{
		"GET /jobs/j1": respond(200, `{"id":"j1","state":"COMPLETED","total":1,"pending":0,"counts":{"REVOKED":1},"notifications":{"SENT":1},"items_per_second":1.2}`),
		"GET /jobs/j2": respond(200, `{"id":"j2","state":"RUNNING","total":2,"pending":1,"counts":{"REVOKED":1},"notifications":{}}`),
		"GET /jobs/j3": respond(200, `{"id":"j3","state":"QUEUED","total":1,"pending":1,"counts":{},"notifications":{}}`),
	})
	for id, want := range map[string]string{
		"j1": "Job j1: COMPLETED, 1 of 1 item is final, 1 item a second.\n         1  REVOKED\n         1  email sent\n",
		"j2": "Job j2: RUNNING, 1 of 2 items is final.\n         1  REVOKED\n         1  not tried yet\n",
		"j3": "Job j3: QUEUED, 0 of 1 item is final.\n         1  not tried yet\n",
	} {
		if _, stdout, stderr := inside(t, environ, "job", "show", id); !strings.HasPrefix(stdout, want) {
			t.Errorf("%q %q", stdout, stderr)
		}
	}
}

func TestJobRetry_running(t *testing.T) {
	environ := startFake(t, map[string]http.HandlerFunc{
		"POST /jobs/j0/retry": respond(409, `{"code":"retry_running","detail":"Another retry has not ended.","job_id":"j1"}`),
	})
	exit, stdout, stderr := inside(t, environ, "job", "retry", "j0")
	if exit != 2 || stdout != "" {
		t.Errorf("exit %d, %q", exit, stdout)
	}
	contains(t, stderr, "(retry_running)", "That is job j1. Follow it: rescind job show j1 --follow.\n")
}

func TestFollow_refused(t *testing.T) {
	environ := startFake(t, map[string]http.HandlerFunc{
		"POST /jobs": respond(202, queued), "GET /jobs/j1/events": respond(401, `{"code":"unauthorized","detail":"It has ended."}`),
	})
	exit, stdout, stderr := inside(t, environ, "bulk", file(t, "a.csv", "report_id\n1\n2\n"), "--follow")
	if exit != 2 || stdout != "" {
		t.Errorf("exit %d, %q", exit, stdout)
	}
	contains(t, stderr, "rescind: the job cannot be followed any more, but may still run: It has ended. (unauthorized). Follow it: rescind job show j1 --follow. Cancel it: rescind job cancel j1.\n")
}

func TestInterrupted(t *testing.T) {
	// stopped runs a command that is interrupted while the service is at reach.
	stopped := func(t *testing.T, route string, reach func(*http.Request), args ...string) (exit int, stdout, stderr string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		environ := startFake(t, map[string]http.HandlerFunc{route: func(_ http.ResponseWriter, r *http.Request) {
			reach(r)
			cancel()
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}})
		var out, errs bytes.Buffer
		exit = run(ctx, args, environ, strings.NewReader(""), &out, &errs)
		return exit, out.String(), errs.String()
	}
	none := func(*http.Request) {}
	whole := func(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	large := file(t, "large.csv", csvOf(4_000_000))
	for name, c := range map[string]struct {
		route string
		reach func(*http.Request)
		args  []string
		want  string
	}{
		"an upload in the middle": {
			"POST /jobs", func(r *http.Request) { _, _ = r.Body.Read(make([]byte, 1)) },
			[]string{"bulk", large},
			"rescind: stopped before the upload was complete: nothing is carried out\n",
		},
		"an upload at its end": {
			"POST /jobs", whole,
			[]string{"bulk", file(t, "small.csv", "report_id\n1\n")},
			"rescind: stopped before the answer: the job may have been accepted, and is then carried out\n",
		},
		"a revocation": {
			"POST /assessments/invite/revoke", whole,
			[]string{"revoke", "318"},
			"rescind: stopped: the revocation may have been accepted, and is then carried out; run the same command again to see the outcome\n",
		},
		"a question": {"GET /jobs/j1", none, []string{"job", "show", "j1"}, "Stopped.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			exit, stdout, stderr := stopped(t, c.route, c.reach, c.args...)
			if exit != 2 || stdout != "" || !strings.HasSuffix("\n"+stderr, "\n"+c.want) {
				t.Errorf("exit %d, %q %q", exit, stdout, stderr)
			}
		})
	}
	t.Run("a revocation that is waited for", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		environ := startFake(t, map[string]http.HandlerFunc{
			"POST /assessments/invite/revoke": respond(202, pending),
			"GET /revocations/r1": func(_ http.ResponseWriter, r *http.Request) {
				cancel()
				<-r.Context().Done()
			},
		})
		var out, errs bytes.Buffer
		exit := run(ctx, []string{"revoke", "318"}, environ, strings.NewReader(""), &out, &errs)
		if exit != 1 || !strings.HasPrefix(out.String(), "Report 318: PENDING. ") || errs.Len() > 0 {
			t.Errorf("exit %d, %q %q", exit, out.String(), errs.String())
		}
	})
}
