package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rescind/internal/api"
	"rescind/internal/revocation"
)

// The functions below produce the document's examples of successful responses.

// unused returns a report_id that no earlier case has used.
func (f *contractWorld) unused() int64 { return 320 + f.used.Add(1) }

// outcome returns the answer to submitting or polling a revocation with the named status.
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
	case "PENDING, waits":
		body = fmt.Sprintf(`{"report_id":%d,"notify_candidate":true,"reason":"position filled","candidate_message":"Thank you for your interest.\nThe position has been filled.","not_before":%q}`,
			f.unused(), time.Now().Add(time.Hour).Format(time.RFC3339))
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

// revoked revokes an invite and returns its report_id.
func (f *contractWorld) revoked(t *testing.T) string {
	t.Helper()
	f.queue.release()
	id := fmt.Sprint(f.unused())
	f.submit(`{"report_id":`+id+`,"notify_candidate":true}`).want(t, http.StatusOK, "")
	return id
}

// runningJob returns the id of a job that is RUNNING until the queue is released.
func (f *contractWorld) runningJob(t *testing.T) string {
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

// firstAndLastEvent returns a stream of a job's events, reduced to its first and its last event.
func (f *contractWorld) firstAndLastEvent(t *testing.T) answer {
	t.Helper()
	s := f.open("/jobs/" + f.runningJob(t) + "/events")
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

// readinessWithout returns the readiness of a service with an unavailable part.
func (f *contractWorld) readinessWithout(part string, op *contractOperation) answer {
	var checks []api.Check
	for _, name := range []string{"database", "redis"} {
		checks = append(checks, api.Check{Name: name, Critical: name == "database", Run: func(context.Context) (api.State, string) {
			if strings.HasPrefix(name, part) {
				return api.StateUnavailable, "It cannot be reached."
			}
			return api.StateOK, ""
		}})
	}
	w := newWorld(f.t, func(o *api.Options, _ *httptest.Server) { o.Health = api.NewHealth(checks...) })
	return w.call(op.method, op.path, "")
}

// pending returns the id of a revocation that no worker takes up until the queue is released.
func (f *contractWorld) pending(t *testing.T) string {
	t.Helper()
	f.queue.hold()
	return f.submit(fmt.Sprintf(`{"report_id":%d}`, f.unused()), "Prefer", "wait=0").str(t, "id")
}

// onUpstream returns the secret of a new key, whose account is on an upstream.
func (f *contractWorld) onUpstream(t *testing.T) (secret string) {
	t.Helper()
	f.must(f.store.SetAccount(t.Context(), revocation.AccountChange{
		ID: "on-upstream", Upstream: &revocation.UpstreamChange{URL: new("https://platform.example"), SealedKey: []byte("sealed")},
	}))
	secret = revocation.NewSecret()
	f.must(f.store.AddKey(t.Context(), revocation.APIKey{
		ID: newID(), Account: "on-upstream", Hash: revocation.HashSecret(secret), Scopes: revocation.Scopes,
	}))
	return secret
}

// cancelUnderWay cancels a revocation that an upstream may be carrying out.
func (f *contractWorld) cancelUnderWay(t *testing.T, op *contractOperation) answer {
	t.Helper()
	f.queue.hold()
	secret := f.onUpstream(t)
	id := f.call(http.MethodPost, "/assessments/invite/revoke", `{"report_id":1}`, "apiKey", "", "apiKey", secret, "Prefer", "wait=0").str(t, "id")
	parsed, _ := revocation.ParseID(id)
	_, err := f.store.CarryOut(t.Context(), []revocation.Ref{{Account: "on-upstream", ID: parsed}}, revocation.Decide)
	f.must(err)
	calls, err := f.store.BeginCalls(t.Context(), "on-upstream", 1, 1, time.Minute)
	f.must(err)
	if len(calls) != 1 {
		t.Fatalf("%d calls", len(calls))
	}
	return f.call(op.method, strings.ReplaceAll(op.path, "{id}", id), "", "apiKey", "", "apiKey", secret)
}

// exampleInvites imports the invite of the document's examples, and returns the answer of an operation about it.
func (f *contractWorld) exampleInvites(op *contractOperation) answer {
	f.t.Helper()
	id := fmt.Sprint(f.unused())
	imported := f.call(http.MethodPut, "/invites", inviteHeader+id+",Ada Lovelace,ada@example.com,Backend,2026-01-01T00:00:00Z,backend-1,en,\n"+id+",,x,,,,,\n",
		"Content-Type", "", "Content-Type", asCSV)
	switch op.OperationID {
	case "getInvite", "forgetInvite":
		return f.call(op.method, "/invites/"+id, "")
	case "listInvites":
		return f.call(op.method, op.path+"?assessment_id=backend-1&limit=1", "").last()
	case "searchInvites":
		return f.call(op.method, op.path, `{"assessment_id":"backend-1","limit":1}`).last()
	}
	return imported
}
