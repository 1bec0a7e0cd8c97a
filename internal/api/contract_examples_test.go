package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rescind/internal/api"
	"rescind/internal/revocation"
)

// TestExamples produces every example of the document and compares it with the service's answer. It fails for an example
// that it cannot produce. Ids, times and the numbers of jobs may differ.
func TestExamples(t *testing.T) {
	t.Parallel()
	f := newContractWorld(newWorld(t, func(o *api.Options, _ *httptest.Server) { o.JobMaxItems = 10 }))
	w := f.world
	c := readContract(t, w)
	for _, op := range c.operations {
		for status, response := range op.Responses {
			for media, content := range response.Content {
				examples := map[string]json.RawMessage{}
				for name, one := range content.Examples {
					examples[name] = one.Value
				}
				if content.Example != nil {
					examples[media] = content.Example
				}
				if len(examples) == 0 && op.OperationID != "getOpenAPI" && op.OperationID != "getDocs" {
					t.Errorf("%s %s: %s has no example", op, status, media)
				}
				for name, example := range examples {
					t.Run(fmt.Sprint(op, " ", status, " ", name), func(t *testing.T) {
						want := string(example)
						if strings.HasPrefix(want, `"`) {
							w.must(json.Unmarshal(example, &want))
						}
						a := f.provoke(t, op, media, name)
						if got := fmt.Sprint(a.status); got != status {
							t.Fatalf("a %s: %s", got, a.body)
						}
						if err := c.validate(op, a, false); err != nil && a.status != http.StatusInternalServerError {
							t.Error(err)
						}
						if got, want := normalized(a.body), normalized(want); got != want {
							t.Errorf("the answer is\n%s\nand the example is\n%s", got, want)
						}
					})
				}
			}
		}
	}
}

var (
	anID     = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	aTime    = regexp.MustCompile(`"eta":null|"\d{4}-\d\d-\d\dT[0-9:.]+Z"`)
	aCounter = regexp.MustCompile(`"([a-z_A-Z]+)":[0-9.]+`)
	aCursor  = regexp.MustCompile(`"next_cursor":"[^"]+"`)
	aRow     = regexp.MustCompile(`(?m)^(\d+),ID,\d*,`)
)

// normalized replaces the values in a body that differ between runs.
func normalized(body string) string {
	body = anID.ReplaceAllString(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(body), "ID")
	body = strings.ReplaceAll(aTime.ReplaceAllString(body, "TIME"), `"eta":TIME`, "TIME")
	body = aCursor.ReplaceAllString(body, "CURSOR")
	body = aRow.ReplaceAllString(body, "$1,ID,N,")
	return aCounter.ReplaceAllStringFunc(body, func(s string) string {
		name, _, _ := strings.Cut(s, ":")
		if name == `"status"` || name == `"row"` || name == `"attempts"` {
			return s
		}
		return name + ":N"
	})
}

// provoke returns the answer for an example.
func (f *contractWorld) provoke(t *testing.T, op *contractOperation, media, name string) answer {
	t.Helper()
	if media == "application/problem+json" {
		return f.refusal(t, op, name)
	}
	switch op.OperationID {
	case "revokeInvite", "getRevocation":
		return f.outcome(t, op, name)
	case "listRevocations":
		return f.call(op.method, op.path+"?report_id="+f.revoked(t), "")
	case "getJobEmail":
		return f.call(op.method, "/jobs/"+f.failed+"/email", "")
	case "getAccount":
		return f.exampleAccount(t, op, name)
	case "getLiveness":
		return f.call(op.method, op.path, "")
	case "getReadiness":
		return f.readinessWithout("redis", op)
	case "getJobResults":
		return f.call(op.method, "/jobs/"+f.exampleResults(t)+"/results", "", "Accept", media)
	case "getJobEvents":
		return f.firstAndLastEvent(t)
	case "cancelRevocation", "startRevocation":
		return f.call(op.method, strings.ReplaceAll(op.path, "{id}", f.pending(t)), "")
	case "retryJob":
		f.queue.hold()
		return f.call(op.method, "/jobs/"+f.failed+"/retry", "")
	case "cancelJob":
		return f.call(op.method, "/jobs/"+f.runningJob(t)+"/cancel", "")
	case "confirmJob":
		f.queue.release()
		id := f.previewedJob(f.unused())
		f.queue.hold()
		return f.change(id, "confirm", f.countBody(id))
	case "approveJob":
		f.queue.release()
		id := f.jobForApproval(f.unused())
		f.queue.hold()
		return f.change(id, "approve", f.countBody(id), "apiKey", "", "apiKey", approverSecret)
	case "startJob":
		f.queue.hold()
		return f.change(f.scheduledJob(f.unused()), "start", "")
	case "createJob":
		f.queue.hold()
		return f.call(op.method, op.path, `{"report_ids":[300,301],"label":"closed positions"}`)
	case "listEvents":
		after := time.Now().UTC().Format(time.RFC3339Nano)
		f.must(f.store.FinishImport(t.Context(), "acme", nil, revocation.Import{Written: 990, Bad: 10}))
		return f.call(op.method, op.path+"?type=invites.imported&limit=1&after="+after, "")
	case "putInvites", "listInvites", "searchInvites", "getInvite", "forgetInvite":
		return f.exampleInvites(op)
	case "listJobs":
		f.runningJob(t)
		return f.call(op.method, op.path+"?limit=1", "").last()
	case "getJob":
		if name == "PREVIEWED" {
			f.queue.release()
			return f.call(op.method, "/jobs/"+f.previewedJob(f.unused()), "")
		}
		id := f.runningJob(t)
		if name == "COMPLETED" {
			f.queue.release()
			f.call(http.MethodGet, "/jobs/"+id, "", "Prefer", "wait=30").want(t, http.StatusOK, "")
		}
		return f.call(op.method, "/jobs/"+id, "")
	}
	t.Fatal("this test cannot produce the example")
	return answer{}
}

// emailOfUpstream asks for the email of a job while the account has an upstream.
func (f *contractWorld) emailOfUpstream(t *testing.T) answer {
	t.Helper()
	none, url := "", "https://platform.example"
	f.must(f.store.SetAccount(t.Context(), revocation.AccountChange{
		ID: "acme", Upstream: &revocation.UpstreamChange{URL: &url, SealedKey: []byte("sealed")},
	}))
	a := f.call(http.MethodGet, "/jobs/"+f.failed+"/email", "")
	f.must(f.store.SetAccount(t.Context(), revocation.AccountChange{ID: "acme", Upstream: &revocation.UpstreamChange{URL: &none}}))
	return a
}

// exampleAccount makes the account of the example and reads it.
func (f *contractWorld) exampleAccount(t *testing.T, op *contractOperation, platform string) answer {
	t.Helper()
	change := revocation.AccountChange{
		ID: "example", Name: new("Acme Corp"), Contact: new("jobs@acme.example"), PlanChangedAt: &planChange,
		Hold: new(10 * time.Minute), ConfirmAbove: new(100), SpareStarted: new(true),
		Upstream: &revocation.UpstreamChange{URL: new("")},
	}
	if platform == "upstream" {
		change = revocation.AccountChange{
			ID: "example", Name: change.Name, Contact: new(""), PlanChangedAt: &time.Time{},
			Hold: new(time.Duration(0)), ConfirmAbove: new(-1), SpareStarted: new(false),
			Upstream: &revocation.UpstreamChange{URL: new("https://platform.example"), SealedKey: []byte("sealed")},
		}
	}
	f.must(f.store.SetAccount(t.Context(), change))
	if platform == "upstream" {
		up, err := f.store.Upstream(t.Context(), "example")
		f.must(err)
		f.must(f.store.HoldUpstream(t.Context(), *up, revocation.HoldUnauthorized, time.Minute))
	}
	secret := revocation.NewSecret()
	f.must(f.store.AddKey(t.Context(), revocation.APIKey{
		ID: newID(), Account: "example", Name: "importer", Hash: revocation.HashSecret(secret),
		Scopes: []revocation.Scope{revocation.ScopeRevoke, revocation.ScopeRead},
	}))
	return f.call(op.method, op.path, "", "apiKey", "", "apiKey", secret)
}

// last removes the cursor from a page, as if it was the last one.
func (a answer) last() answer {
	before, _, _ := strings.Cut(a.body, `"next_cursor":`)
	a.body = before + `"next_cursor":null}`
	return a
}

// refusal returns the problem for an example.
func (f *contractWorld) refusal(t *testing.T, op *contractOperation, name string) answer {
	t.Helper()
	nobody := newID().String()
	path := strings.NewReplacer("{id}", f.ended, "{report_id}", "313").Replace(op.path)
	asType := []string{"Content-Type", "", "Content-Type", "application/json"}
	if op.OperationID == "putInvites" {
		asType[3] = asCSV
	}
	if strings.HasPrefix(path, "/revocations/") {
		path = strings.ReplaceAll(op.path, "{id}", f.single)
	}
	fails := func(code revocation.Code) answer {
		f.faults.keys.Store(&revocation.Error{Code: code})
		defer f.faults.keys.Store(nil)
		return f.call(op.method, path, "{}", "apiKey", "", "apiKey", "never seen")
	}
	switch name {
	case "unauthorized":
		return f.call(op.method, path, "", "apiKey", "")
	case "missing_scope":
		lesser := map[string]string{"read": writerSecret, "revoke": readerSecret, "approve": readerSecret, "invites": readerSecret}[op.Security[0]["apiKey"][0]]
		return f.call(op.method, path, "", "apiKey", "", "apiKey", lesser)
	case "unavailable":
		if len(op.Security) == 0 {
			return f.readinessWithout("database", op)
		}
		return fails(revocation.CodeUnavailable)
	case "internal":
		return fails(revocation.CodeInternal)
	case "rate_limited":
		return f.limited(t, op, path)
	case "invalid":
		return f.invalidFor(op, path)
	case "malformed_json":
		if op.OperationID == "putInvites" {
			return f.call(op.method, path, "x", append(asType, "Content-Encoding", "gzip")...)
		}
		return f.call(op.method, path, `{"report_id":}`)
	case "too_large":
		if op.OperationID == "createJob" { // JSON may be larger
			asType[3] = asCSV
		}
		return f.call(op.method, path, strings.Repeat(" ", 100<<10), asType...)
	case "unsupported_media_type":
		return f.call(op.method, path, "x", "Content-Type", "", "Content-Type", "text/plain")
	case "request_timeout":
		return f.slow(t, op)
	case "not_supported":
		switch op.OperationID {
		case "revokeInvite":
			return f.call(op.method, op.path, `{"report_id":1,"candidate_message":"x"}`, "apiKey", "", "apiKey", f.onUpstream(t))
		case "createJob":
			return f.messageAtUpstream(t, op)
		case "cancelRevocation", "startRevocation":
			return f.call(op.method, strings.ReplaceAll(op.path, "{id}", f.invalid), "")
		case "putInvites", "listInvites", "searchInvites", "getInvite", "forgetInvite":
			return f.call(op.method, path, "{}", append(asType, "apiKey", "", "apiKey", f.onUpstream(t))...)
		}
		return f.emailOfUpstream(t)
	case "already_final":
		return f.call(op.method, path, "")
	case "under_way":
		return f.cancelUnderWay(t, op)
	case "not_found":
		if op.OperationID == "revokeInvite" {
			return f.call(op.method, path, `{"report_id":4242}`)
		}
		return f.call(op.method, strings.NewReplacer("{id}", nobody, "{report_id}", "4242").Replace(op.path), `{"count":1}`)
	case "wrong_state":
		return f.call(op.method, path, `{"count":1}`)
	case "count_mismatch", "same_key":
		f.queue.release()
		var id string
		var headers []string
		if op.OperationID == "confirmJob" {
			id = f.previewedJob(f.unused())
		} else {
			id = f.jobForApproval(f.unused())
		}
		count := f.confirmable(id)
		if name == "count_mismatch" {
			count++
		}
		if name == "count_mismatch" && op.OperationID == "approveJob" {
			headers = []string{"apiKey", "", "apiKey", approverSecret}
		}
		return f.change(id, strings.TrimSuffix(op.OperationID, "Job"), fmt.Sprintf(`{"count":%d}`, count), headers...)
	case "job_ended":
		return f.call(op.method, path, "")
	case "job_running":
		return f.call(op.method, "/jobs/"+f.runningJob(t)+"/retry", "")
	case "retry_running":
		path = "/jobs/" + f.failedJob(f.unused()).ID.String() + "/retry"
		f.queue.hold()
		f.call(op.method, path, "").want(t, http.StatusAccepted, "")
		return f.call(op.method, path, "")
	case "nothing to retry":
		return f.call(op.method, path, "")
	case "idempotency_mismatch", "upload_in_progress", "outcome_unknown":
		return f.bound(t, op, name)
	}
	t.Fatal("this test cannot produce the example")
	return answer{}
}

func (f *contractWorld) invalidFor(op *contractOperation, path string) answer {
	switch op.OperationID {
	case "revokeInvite":
		return f.call(op.method, path, `{"report_id":"318"}`)
	case "createJob":
		return f.call(op.method, path, `{}`)
	case "confirmJob", "approveJob":
		return f.call(op.method, path, `{}`)
	case "listRevocations":
		return f.call(op.method, path+"?report_id=x", "")
	case "listJobs", "getJobResults", "listInvites":
		return f.call(op.method, path+"?limit=0", "")
	case "searchInvites":
		return f.call(op.method, path, `{"limit":0}`)
	case "putInvites":
		return f.call(op.method, path+"?verbose=1", "x", "Content-Type", "", "Content-Type", asCSV)
	default:
		return f.call(op.method, path+"?verbose=1", "")
	}
}

// bound returns the problems that need a bound Idempotency-Key or a connection that breaks during a commit.
func (f *contractWorld) bound(t *testing.T, op *contractOperation, name string) answer {
	t.Helper()
	key, failed := newID().String(), f.failed
	if op.OperationID == "retryJob" && name == "idempotency_mismatch" {
		failed = f.failedJob(f.unused()).ID.String() // a retry of the other one may not have ended
	}
	send := func(second bool) answer {
		switch {
		case op.OperationID == "revokeInvite" && second:
			return f.call(op.method, op.path, `{"report_id":316}`, "Idempotency-Key", key)
		case op.OperationID == "revokeInvite":
			return f.call(op.method, op.path, `{"report_id":317}`, "Idempotency-Key", key, "Prefer", "wait=0")
		case op.OperationID == "createJob":
			return f.call(op.method, op.path, fmt.Sprintf(`{"report_ids":[316],"notify_candidate":%t}`, second), "Idempotency-Key", key)
		case slices.Contains([]string{"cancelJob", "confirmJob", "approveJob", "startJob"}, op.OperationID):
			return f.call(op.method, strings.ReplaceAll(op.path, "{id}", f.running), `{"count":1}`)
		case op.OperationID == "cancelRevocation", op.OperationID == "startRevocation":
			return f.call(op.method, strings.ReplaceAll(op.path, "{id}", f.single), "")
		case op.OperationID == "putInvites":
			return f.exampleInvites(op)
		case second:
			return f.call(op.method, "/jobs/"+f.failedJob(319).ID.String()+"/retry", "", "Idempotency-Key", key)
		default:
			return f.call(op.method, "/jobs/"+failed+"/retry", "", "Idempotency-Key", key)
		}
	}
	if name == "idempotency_mismatch" {
		if first := send(false); first.status >= http.StatusBadRequest {
			t.Fatalf("%d %s", first.status, first.body)
		}
		return send(true)
	}
	broken := &revocation.Error{Code: revocation.Code(name)}
	f.faults.submit.Store(broken)
	f.faults.cancels.Store(broken)
	f.faults.imports.Store(broken)
	defer f.faults.imports.Store(nil)
	f.onStep(beforeBegin, func(revocation.NewJob) error { return broken })
	defer f.faults.submit.Store(nil)
	defer f.faults.cancels.Store(nil)
	defer f.faults.beforeUploadStep.Store(nil)
	return send(false)
}

// limited sends requests to a service with a rate limit of one, until it refuses one.
func (f *contractWorld) limited(t *testing.T, op *contractOperation, path string) (a answer) {
	w := newWorld(t, func(o *api.Options, _ *httptest.Server) { o.RateLimit, o.SubmitWait = 1, 0 })
	eventually(t, "a refusal", func() bool {
		a = w.call(op.method, path, "")
		return a.status == http.StatusTooManyRequests
	})
	return a
}

// slow sends only half of a body.
func (f *contractWorld) slow(t *testing.T, op *contractOperation) answer {
	conn := newWorld(t, readTimeoutOf(200*time.Millisecond)).dial()
	media := "application/json"
	if op.OperationID == "putInvites" {
		media = asCSV
	}
	conn.write(op.method + " " + op.path + " HTTP/1.1\r\nHost: x\r\napiKey: " + secret + "\r\nContent-Type: " + media + "\r\nContent-Length: 100\r\n\r\n{")
	return conn.answer()
}

// messageAtUpstream submits a job with a message for the candidates of an account on an upstream.
func (f *contractWorld) messageAtUpstream(t *testing.T, op *contractOperation) answer {
	f.must(f.store.SetAccount(t.Context(), revocation.AccountChange{ID: "messages", Upstream: &revocation.UpstreamChange{
		URL: new("https://upstream.example"), SealedKey: []byte("sealed"),
	}}))
	key := newID().String()
	f.addKey("messages", key, time.Time{}, revocation.Scopes...)
	return f.call(op.method, op.path, `{"report_ids":[1],"candidate_message":"Goodbye."}`, "apiKey", "", "apiKey", key)
}
