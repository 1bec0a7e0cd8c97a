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

// databaseAway is what a database that is away says.
var databaseAway = &revocation.Error{Code: revocation.CodeConnectionLost}

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
}

// wall is a world in which acme has something of everything, none of it carried out, and other looks for it.
type wall struct {
	*world
	// things are acme's ids, by the segment of the path before them.
	things map[string][]string
	// own is one of other's ids of the same kinds.
	own map[string]string
	// inQuery are acme's ids that parameters of queries name.
	inQuery map[string]string
}

// The parameters that name nothing of an account.
var nameless = []string{
	"query status", "query created_after", "query created_before", "query limit", "query notify_candidate", "query label", "query bom", "query sheet",
	"header Prefer", "header If-None-Match", "header Content-Encoding",
}

const usedKey = "a-key-that-acme-has-used"

func newWall(t *testing.T) *wall {
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
	return &wall{
		world:   w,
		things:  map[string][]string{"revocations": {single, item}, "jobs": {queued, failed.ID.String()}},
		own:     map[string]string{"jobs": w.jobOf("other", items(9000)...).ID.String()},
		inQuery: map[string]string{"report_id": "318", "job_id": failed.ID.String()},
	}
}

// attack asks as other. An answer that waits for something of acme's would never come.
func (w *wall) attack(method, path string, headers ...string) answer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, w.server.URL+path, nil)
	w.must(err)
	r.Header.Set("apiKey", otherSecret)
	r.Header.Set("Prefer", "wait=30")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return w.send(r)
}

// same fails the test unless two answers are one, but for the headers that no two answers share.
func same(t *testing.T, theirs, nobodys answer) {
	t.Helper()
	for _, a := range []answer{theirs, nobodys} {
		maps.DeleteFunc(a.header, func(name string, _ []string) bool {
			return name == "Date" || name == "X-Request-Id" || strings.HasPrefix(name, "Ratelimit") || strings.HasPrefix(name, "RateLimit")
		})
	}
	if diff := cmp.Diff(nobodys.header, theirs.header); diff != "" || theirs.status != nobodys.status || theirs.body != nobodys.body {
		t.Errorf("%d %s, of what nobody has %d %s; headers %s", theirs.status, theirs.body, nobodys.status, nobodys.body, diff)
	}
}

// TestTenantWall has an account name another's ids wherever an operation of the document takes one.
func TestTenantWall(t *testing.T) {
	w := newWall(t)
	state := func() (all []string) {
		for _, kind := range slices.Sorted(maps.Keys(w.things)) {
			for _, id := range w.things[kind] {
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
				case slices.Contains(nameless, p.In+" "+p.Name):
				case p.In == "path":
					w.attackPath(t, op)
				case p.In == "query" && p.Name == "cursor":
					w.attackCursor(t, op)
				case p.In == "query" && w.inQuery[p.Name] != "":
					w.attackQuery(t, op, p.Name)
				case p.In == "header" && p.Name == "Idempotency-Key": // with the bodies, below
				default:
					t.Errorf("this test has nothing of another account for the parameter %s in %s", p.Name, p.In)
				}
			}
			if _, known := bodies[op.path]; op.RequestBody != nil && !known {
				t.Error("this test has no body that names another account's invite")
			}
		})
	}
	t.Run("nothing has become of it", func(t *testing.T) {
		if diff := cmp.Diff(before, state()); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
	})
	w.queue.release()
	for path := range bodies {
		t.Run("invites named to "+path, func(t *testing.T) { w.attackBody(t, path) })
	}
}

// attackPath names what acme has in the path, with all that can make a difference to an answer.
func (w *wall) attackPath(t *testing.T, op operation) {
	before, _, _ := strings.Cut(op.path, "/{")
	things := w.things[before[strings.LastIndex(before, "/")+1:]]
	if len(things) == 0 {
		t.Errorf("this test has no id of another account for %s", op.path)
	}
	methods := []string{op.method}
	if op.method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	for _, id := range things {
		for _, method := range methods {
			for _, headers := range [][]string{
				nil,
				{"If-None-Match", "*"},
				{"Accept", "text/csv"},
				{"Accept", "application/x-ndjson"},
				{"Idempotency-Key", usedKey},
			} {
				theirs := w.attack(method, op.at(id), headers...)
				if theirs.status != http.StatusNotFound {
					t.Errorf("%s %s: %d %s", method, headers, theirs.status, theirs.body)
				}
				same(t, theirs, w.attack(method, op.at(newID().String()), headers...))
			}
		}
	}
}

func (w *wall) attackQuery(t *testing.T, op operation, parameter string) {
	nobodys := map[string]string{"report_id": "4711", "job_id": newID().String()}[parameter]
	path := op.at(w.own["jobs"]) + "?" + parameter + "="
	theirs := w.attack(http.MethodGet, path+w.inQuery[parameter])
	if theirs.status != http.StatusOK {
		t.Errorf("%s: %d %s", parameter, theirs.status, theirs.body)
	}
	same(t, theirs, w.attack(http.MethodGet, path+nobodys))
}

// attackCursor goes on in another account's list. A cursor may be refused; it must not show what stood there.
func (w *wall) attackCursor(t *testing.T, op operation) {
	var page struct {
		Next *string `json:"next_cursor"`
	}
	acmes := w.call(http.MethodGet, op.at(w.things["jobs"][0])+"?limit=1", "")
	acmes.into(t, &page)
	if page.Next == nil {
		t.Fatalf("this test has no cursor of another account: %s", acmes.body)
	}
	theirs := w.attack(http.MethodGet, op.at(w.own["jobs"])+"?cursor="+*page.Next)
	if theirs.status != http.StatusOK && theirs.status != http.StatusUnprocessableEntity {
		t.Errorf("%d %s", theirs.status, theirs.body)
	}
	for _, id := range slices.Concat(w.things["jobs"], w.things["revocations"]) {
		if strings.Contains(theirs.body, id) {
			t.Errorf("it shows another account's: %s", theirs.body)
		}
	}
}

// bodies name an invite.
var bodies = map[string]func(reportID string) string{
	"/assessments/invite/revoke": func(id string) string { return `{"report_id":` + id + `}` },
	"/jobs":                      func(id string) string { return `{"report_ids":[` + id + `]}` },
}

// attackBody names an invite of acme's and one that nobody has, also under an Idempotency-Key that acme has used.
func (w *wall) attackBody(t *testing.T, path string) {
	const acmes, nobodys = "323", "4711"
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
	want := outcome(nobodys, "fresh")
	if !strings.Contains(want, "not_found") && !strings.Contains(want, "NOT_FOUND") {
		t.Fatal(want)
	}
	if diff := cmp.Diff(want, outcome(acmes, "fresh too")); diff != "" {
		t.Errorf("(-nobody's +another account's):\n%s", diff)
	}
	if diff := cmp.Diff(want, outcome(nobodys, usedKey)); diff != "" {
		t.Errorf("the key of another account (-unused +used):\n%s", diff)
	}
}
