package api_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
)

// databaseAway is the error of a store whose database is unavailable.
var databaseAway = &revocation.Error{Code: revocation.CodeConnectionLost}

// into decodes the body.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
}

// tenantsWorld is a world in which acme has resources of every kind that are not final, and other tries to reach them.
type tenantsWorld struct {
	*world
	// acmeIDs are ids of acme's resources, by the path segment before them.
	acmeIDs map[string][]string
	// otherIDs has an id of other for kinds of resources.
	otherIDs map[string]string
	// acmeQuery has a value of acme's for each query parameter that names a resource.
	acmeQuery map[string]string
}

// namelessParameters are the parameters that do not name a resource of an account.
var namelessParameters = []string{
	"query status", "query type", "query after",
	"query notification", "query state", "query predicted", "query not_before", "query preview", "query created_after", "query created_before", "query limit", "query notify_candidate", "query label", "query bom", "query sheet",
	"query assessment_id", "query assessment_name", "query revoked", "query sent_after", "query sent_before", "query timezone",
	"header Prefer", "header If-None-Match", "header Content-Encoding",
}

const usedKey = "a-key-that-acme-has-used"

func newTenantsWorld(t *testing.T) *tenantsWorld {
	t.Helper()
	w := newWorld(t)
	failed := w.failedJob(318, 319)
	w.queue.hold()
	single := w.submit(`{"report_id":320}`, "Prefer", "respond-async", "Idempotency-Key", usedKey).str(t, "id")
	queued := w.upload(asCSV, "", "report_id\n321\n322\n", "Idempotency-Key", usedKey).str(t, "id")
	upload, _, err := w.service.BeginJob(t.Context(), revocation.NewJob{Account: "acme", RequestedBy: newID(), Route: revocation.RouteJobs}, allowed)
	w.must(err)
	t.Cleanup(func() { upload.Abandon(context.WithoutCancel(t.Context())) })
	item := failed.ID.Item(1).String()
	return &tenantsWorld{
		world:     w,
		acmeIDs:   map[string][]string{"revocations": {single, item}, "jobs": {queued, failed.ID.String()}, "invites": {"318"}},
		otherIDs:  map[string]string{"jobs": w.jobOf("other", items(9000)...).ID.String()},
		acmeQuery: map[string]string{"report_id": "318", "job_id": failed.ID.String(), "subject": failed.ID.String()},
	}
}

// attack sends a request as other. It fails if the response waits for a resource of acme.
func (w *tenantsWorld) attack(method, path string, headers ...string) answer {
	w.t.Helper()
	return w.attackWith(method, path, "", headers...)
}

func (w *tenantsWorld) attackWith(method, path, body string, headers ...string) answer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, w.server.URL+path, strings.NewReader(body))
	w.must(err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("apiKey", otherSecret)
	r.Header.Set("Prefer", "wait=30")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return w.send(r)
}

// requireSame fails the test unless the answers about a foreign and an unknown resource are equal, except for the headers
// that differ between any two answers.
func requireSame(t *testing.T, foreign, unknown answer) {
	t.Helper()
	for _, a := range []answer{foreign, unknown} {
		maps.DeleteFunc(a.header, func(name string, _ []string) bool {
			return name == "Date" || name == "X-Request-Id" || strings.HasPrefix(name, "Ratelimit") || strings.HasPrefix(name, "RateLimit")
		})
	}
	if diff := cmp.Diff(unknown.header, foreign.header); diff != "" || foreign.status != unknown.status || foreign.body != unknown.body {
		t.Errorf("foreign: %d %s, unknown: %d %s, headers (-unknown +foreign):\n%s", foreign.status, foreign.body, unknown.status, unknown.body, diff)
	}
}

// TestTenantWall sends another account's ids in every parameter and body that can name a resource.
func TestTenantWall(t *testing.T) {
	t.Parallel()
	w := newTenantsWorld(t)
	state := func() (all []string) {
		for _, kind := range slices.Sorted(maps.Keys(w.acmeIDs)) {
			for _, id := range w.acmeIDs[kind] {
				a := w.call(http.MethodGet, "/"+kind+"/"+id, "")
				a.want(t, http.StatusOK, "")
				all = append(all, a.body)
			}
		}
		return all
	}
	before := state()
	for _, op := range w.operations() {
		if !op.guarded() {
			continue
		}
		t.Run(op.String(), func(t *testing.T) {
			for _, p := range op.Parameters {
				switch {
				case slices.Contains(namelessParameters, p.In+" "+p.Name):
				case p.In == "path":
					w.attackPath(t, op)
				case p.In == "query" && p.Name == "cursor":
					w.attackCursor(t, op)
				case p.In == "query" && w.acmeQuery[p.Name] != "":
					w.attackQuery(t, op, p.Name)
				case p.In == "header" && p.Name == "Idempotency-Key": // attackBody sends it
				default:
					t.Errorf("this test has no value of another account for the parameter %s in %s", p.Name, p.In)
				}
			}
			if _, known := bodies[op.path]; op.RequestBody != nil && !known && namelessBodies[op.path] == "" && !strings.HasPrefix(op.path, "/invites") { // see TestInvites_tenants
				t.Error("this test has no body that names another account's invite")
			}
		})
	}
	t.Run("changes nothing", func(t *testing.T) {
		if diff := cmp.Diff(before, state()); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
	})
	w.queue.release()
	for path := range bodies {
		t.Run("invites in the body of "+path, func(t *testing.T) { w.attackBody(t, path) })
	}
}

// attackPath sends acme's ids in the path, with all headers that may change the response.
func (w *tenantsWorld) attackPath(t *testing.T, op operation) {
	before, _, _ := strings.Cut(op.path, "/{")
	ids := w.acmeIDs[before[strings.LastIndex(before, "/")+1:]]
	if len(ids) == 0 {
		t.Errorf("this test has no id of another account for %s", op.path)
	}
	methods := []string{op.method}
	if op.method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	for _, id := range ids {
		for _, method := range methods {
			for _, headers := range [][]string{
				nil,
				{"If-None-Match", "*"},
				{"Accept", "text/csv"},
				{"Accept", "application/x-ndjson"},
				{"Idempotency-Key", usedKey},
			} {
				foreign := w.attackWith(method, op.at(id), namelessBodies[op.path], headers...)
				if foreign.status != http.StatusNotFound {
					t.Errorf("%s %s: %d %s", method, headers, foreign.status, foreign.body)
				}
				requireSame(t, foreign, w.attackWith(method, op.at(newID().String()), namelessBodies[op.path], headers...))
			}
		}
	}
}

func (w *tenantsWorld) attackQuery(t *testing.T, op operation, parameter string) {
	unknown := map[string]string{"report_id": "4711", "job_id": newID().String(), "subject": newID().String()}[parameter]
	path := op.at(w.otherIDs["jobs"]) + "?" + parameter + "="
	var headers []string
	if op.path == "/events" { // it waits for an event, whatever the filter is
		headers = []string{"Prefer", "wait=1"}
	}
	foreign := w.attack(http.MethodGet, path+w.acmeQuery[parameter], headers...)
	if foreign.status != http.StatusOK {
		t.Errorf("%s: %d %s", parameter, foreign.status, foreign.body)
	}
	requireSame(t, foreign, w.attack(http.MethodGet, path+unknown, headers...))
}

// attackCursor sends a cursor of another account's list. The service may refuse it, but must not return acme's ids.
func (w *tenantsWorld) attackCursor(t *testing.T, op operation) {
	var page struct {
		Next *string `json:"next_cursor"`
	}
	first := w.call(http.MethodGet, op.at(w.acmeIDs["jobs"][0])+"?limit=1", "")
	first.into(t, &page)
	if page.Next == nil {
		t.Fatalf("this test has no cursor of another account: %s", first.body)
	}
	foreign := w.attack(http.MethodGet, op.at(w.otherIDs["jobs"])+"?cursor="+*page.Next)
	if foreign.status != http.StatusOK && foreign.status != http.StatusUnprocessableEntity {
		t.Errorf("%d %s", foreign.status, foreign.body)
	}
	for _, id := range slices.Concat(w.acmeIDs["jobs"], w.acmeIDs["revocations"]) {
		if strings.Contains(foreign.body, id) {
			t.Errorf("the response has ids of another account: %s", foreign.body)
		}
	}
}

// namelessBodies holds, for each path, a body that names nothing.
var namelessBodies = map[string]string{"/jobs/{id}/confirm": `{"count":1}`, "/jobs/{id}/approve": `{"count":1}`}

// bodies holds, for each path, a body that names an invite.
var bodies = map[string]func(reportID string) string{
	"/assessments/invite/revoke": func(id string) string { return `{"report_id":` + id + `}` },
	"/jobs":                      func(id string) string { return `{"report_ids":[` + id + `]}` },
}

// attackBody sends an invite of acme and an unknown one, also with an Idempotency-Key that acme has used, and compares
// the outcomes.
func (w *tenantsWorld) attackBody(t *testing.T, path string) {
	const foreign, unknown = "323", "4711"
	outcome := func(report, key string) string {
		a := w.call(http.MethodPost, path, bodies[path](report), "apiKey", "", "apiKey", otherSecret, "Idempotency-Key", key)
		text := a.body
		if job := a.header.Get("Location"); a.status == http.StatusAccepted {
			ended := w.call(http.MethodGet, job, "", "apiKey", "", "apiKey", otherSecret, "Prefer", "wait=30")
			results := w.call(http.MethodGet, job+"/results", "", "apiKey", "", "apiKey", otherSecret)
			text += ended.str(t, "state") + results.body
		}
		return strings.ReplaceAll(anyTime.ReplaceAllString(anyID.ReplaceAllString(text, "ID"), "TIME"), report, "REPORT")
	}
	want := outcome(unknown, "new key")
	if !strings.Contains(want, "not_found") && !strings.Contains(want, "NOT_FOUND") {
		t.Fatal(want)
	}
	if diff := cmp.Diff(want, outcome(foreign, "another new key")); diff != "" {
		t.Errorf("(-unknown +another account's):\n%s", diff)
	}
	if diff := cmp.Diff(want, outcome(unknown, usedKey)); diff != "" {
		t.Errorf("the key of another account (-unused +used):\n%s", diff)
	}
}
