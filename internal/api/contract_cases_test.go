package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rescind/internal/api"
	"rescind/internal/revocation"
)

// The cases of the document's examples that are no refusals.

// unused gives a report_id that no case has had.
func (f *contractWorld) unused() int64 { return 320 + f.used.Add(1) }

// outcome has a revocation end as named, by submitting it or polling it.
func (f *contractWorld) outcome(t *testing.T, op *contractOperation, name string) answer {
	t.Helper()
	f.queue.release()
	body, prefer := fmt.Sprintf(`{"report_id":%d}`, f.unused()), ""
	switch name {
	case "REVOKED":
		body = body[:len(body)-1] + `,"notify_candidate":true}`
	case "NOT_ALLOWED":
		body = `{"report_id":1}`
	case "ALREADY_REVOKED":
		f.submit(body).want(t, http.StatusOK, "")
	case "PENDING":
		f.queue.hold()
		prefer = "wait=0"
	case "ERROR_REVOKING":
		f.setAttempts(2)
		f.faults.carryOut.Store(&revocation.Error{Code: revocation.CodeLockTimeout})
		defer f.faults.carryOut.Store(nil)
	}
	a := f.submit(body, "Prefer", prefer)
	if op.OperationID == "getRevocation" {
		return f.call(op.method, "/revocations/"+a.str(t, "id"), "")
	}
	return a
}

// revoked is the report_id of an invite that was revoked once.
func (f *contractWorld) revoked(t *testing.T) string {
	t.Helper()
	f.queue.release()
	id := fmt.Sprint(f.unused())
	f.submit(`{"report_id":`+id+`,"notify_candidate":true}`).want(t, http.StatusOK, "")
	return id
}

// partly is a job that runs and will not end before the queue is released.
func (f *contractWorld) partly(t *testing.T) string {
	t.Helper()
	f.queue.hold()
	id := f.job(f.manyItems(revocation.ChunkSize + 1)...).ID.String()
	eventually(t, "it runs", func() bool {
		if f.call(http.MethodGet, "/jobs/"+id, "").str(t, "state") == "RUNNING" {
			return true
		}
		f.carryOutChunk()
		return false
	})
	return id
}

func (f *contractWorld) exampleResults(t *testing.T) string {
	t.Helper()
	f.queue.release()
	job := f.job(
		revocation.Item{ReportID: f.unused(), Notify: new(true), ClientReference: new("ticket 4711")},
		revocation.Item{ReportID: 1}, revocation.Item{Invalid: "report_id must be an integer."},
	)
	f.world.ended(job)
	return job.ID.String()
}

// followed is a job's events from its first to its last, without those in between.
func (f *contractWorld) followed(t *testing.T) answer {
	t.Helper()
	s := f.open("/jobs/" + f.partly(t) + "/events")
	next := events(t, s.body)
	first, _ := next()
	f.queue.release()
	last, ok := next()
	for ok && last.name == first.name {
		last, ok = next()
	}
	body := "retry: 2000\n\n"
	for _, e := range []event{first, last} {
		body += "event: " + e.name + "\ndata: " + e.data + "\n\n"
	}
	return answer{s.status, s.header, body}
}

// without asks a service of which a part is away whether it is ready.
func (f *contractWorld) without(away string, op *contractOperation) answer {
	var checks []api.Check
	for _, name := range []string{"database", "redis"} {
		checks = append(checks, api.Check{Name: name, Critical: name == "database", Run: func(context.Context) (api.State, string) {
			if strings.HasPrefix(name, away) {
				return api.StateUnavailable, "It cannot be reached."
			}
			return api.StateOK, ""
		}})
	}
	w := newWorld(f.t, func(o *api.Options, _ *httptest.Server) { o.Health = api.NewHealth(checks...) })
	return w.call(op.method, op.path, "")
}
