package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
)

func newTestAPI() *API {
	return New(Options{Health: NewHealth(), Hosts: Hosts{any: true}, RateLimit: 1, Log: slog.New(slog.DiscardHandler)})
}

func get(t *testing.T, a *API, path string) *httptest.ResponseRecorder {
	t.Helper()
	recorder := httptest.NewRecorder()
	a.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if recorder.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, recorder.Code, recorder.Body)
	}
	return recorder
}

func TestOpenAPI(t *testing.T) {
	a := newTestAPI()
	answer := get(t, a, "/openapi.json")
	var document struct {
		OpenAPI string
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Description string
			Security    []map[string][]string
			Parameters  []struct{ Name, In, Description string }
			Responses   map[string]struct {
				Description string
				Headers     map[string]any
				Content     map[string]struct {
					Schema   map[string]any
					Example  json.RawMessage
					Examples map[string]struct{ Value json.RawMessage }
				}
			}
		}
		Components struct {
			Schemas         map[string]json.RawMessage
			SecuritySchemes map[string]struct{ Type, In, Name string }
		}
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	if document.OpenAPI != "3.1.0" || document.Info.Title != "rescind" || answer.Header().Get("Content-Type") != mediaJSON {
		t.Errorf("%+v %v", document.Info, answer.Header())
	}

	t.Run("describes every route and nothing else", func(t *testing.T) {
		var routes, described []string
		for _, route := range a.echo.Routes() {
			refused := route.Path == "/invites/search" && route.Method != http.MethodPost
			if route.Method != http.MethodHead && !refused {
				routes = append(routes, route.Method+" "+regexp.MustCompile(`:(\w+)`).ReplaceAllString(route.Path, "{$1}"))
			}
		}
		for path, item := range document.Paths {
			for method, op := range item {
				described = append(described, strings.ToUpper(method)+" "+path)
				if op.OperationID == "" || op.Summary == "" || op.Description == "" {
					t.Errorf("%s %s: not described", method, path)
				}
			}
		}
		slices.Sort(routes)
		slices.Sort(described)
		if diff := cmp.Diff(routes, described); diff != "" {
			t.Errorf("(-routes +described):\n%s", diff)
		}
	})
	t.Run("every reference resolves", func(t *testing.T) {
		for _, ref := range regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllStringSubmatch(answer.Body.String(), -1) {
			name, ok := strings.CutPrefix(ref[1], "#/components/schemas/")
			if _, known := document.Components.Schemas[name]; !ok || !known {
				t.Errorf("%s does not resolve", ref[1])
			}
		}
	})
	t.Run("every time has its format", func(t *testing.T) {
		for name, raw := range document.Components.Schemas {
			var schema struct {
				Properties map[string]struct{ Format string }
			}
			if err := json.Unmarshal(raw, &schema); err != nil {
				t.Fatal(err)
			}
			for member, property := range schema.Properties {
				if regexp.MustCompile(`_(at|after|before|until)$`).MatchString(member) && property.Format != "date-time" {
					t.Errorf("%s of %s has the format %q", member, name, property.Format)
				}
			}
		}
	})
	t.Run("has no schemas of huma's errors", func(t *testing.T) {
		if want := []string{"Account", "Actor", "Count", "Email", "Event", "EventPage", "Fault", "File", "Import", "Invite", "InviteDetails", "InvitePage", "InviteSearch", "Item", "Job", "JobCounts", "JobPage", "Key", "Liveness", "NewJob", "NewJobForm", "Notifications", "PartHealth", "Predicted", "Preview", "Problem", "Readiness", "Result", "ResultPage", "Revocation", "RevocationPage", "RowError", "Selection", "Subject", "Submission", "Upstream"}; !cmp.Equal(want, slices.Sorted(mapKeys(document.Components.Schemas))) {
			t.Errorf("schemas: %v", slices.Sorted(mapKeys(document.Components.Schemas)))
		}
		if strings.Contains(answer.Body.String(), "$schema") {
			t.Error("$schema is in it")
		}
	})
	t.Run("the documented endpoint", func(t *testing.T) {
		op := document.Paths["/assessments/invite/revoke"]["post"]
		if diff := cmp.Diff([]map[string][]string{{"apiKey": {"revoke"}}, {"bearer": {"revoke"}}}, op.Security); diff != "" {
			t.Error(diff)
		}
		want := []string{"200", "202", "400", "401", "403", "404", "408", "413", "415", "422", "429", "500", "503"}
		if diff := cmp.Diff(want, slices.Sorted(mapKeys(op.Responses))); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"idempotency_mismatch", "invalid", "not_supported"}, slices.Sorted(mapKeys(op.Responses["422"].Content[mediaProblem].Examples))); diff != "" {
			t.Error(diff)
		}
		for status, header := range map[string]string{"202": "Location", "401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After", "200": "RateLimit"} {
			if op.Responses[status].Headers[header] == nil {
				t.Errorf("%s has no %s", status, header)
			}
		}
		if scheme := document.Components.SecuritySchemes["apiKey"]; scheme.In != "header" || scheme.Name != "apiKey" {
			t.Errorf("%+v", scheme)
		}
	})
	t.Run("reading", func(t *testing.T) {
		if got := slices.Sorted(mapKeys(document.Paths["/revocations/{id}"]["get"].Responses)); !slices.Contains(got, "304") || !slices.Contains(got, "404") {
			t.Errorf("statuses: %v", got)
		}
		var names []string
		for _, p := range document.Paths["/revocations"]["get"].Parameters {
			names = append(names, p.Name)
		}
		if diff := cmp.Diff([]string{"report_id", "status", "notification", "job_id", "created_after", "created_before", "limit", "cursor"}, names); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("jobs", func(t *testing.T) {
		for route, want := range map[string]struct {
			scope, parameters, statuses string
		}{
			"get /jobs":               {"read approve", "state limit cursor", "200 401 403 422 429 500 503"},
			"get /jobs/{id}":          {"read approve", "id Prefer If-None-Match", "200 304 401 403 404 422 429 500 503"},
			"get /jobs/{id}/results":  {"read approve", "id status predicted limit cursor bom", "200 401 403 404 422 429 500 503"},
			"get /jobs/{id}/events":   {"read approve", "id", "200 401 403 404 422 429 500 503"},
			"post /jobs":              {"revoke", "notify_candidate label not_before preview sheet Content-Encoding Idempotency-Key", "202 400 401 403 408 409 413 415 422 429 500 503"},
			"post /jobs/{id}/confirm": {"revoke", "id", "202 400 401 403 404 408 409 413 415 422 429 500 503"},
			"post /jobs/{id}/approve": {"approve", "id", "202 400 401 403 404 408 409 413 415 422 429 500 503"},
			"post /jobs/{id}/start":   {"revoke", "id", "202 401 403 404 409 422 429 500 503"},
			"post /jobs/{id}/cancel":  {"revoke approve", "id", "202 401 403 404 409 422 429 500 503"},
			"post /jobs/{id}/retry":   {"revoke", "id Idempotency-Key", "202 401 403 404 409 422 429 500 503"},
		} {
			method, path, _ := strings.Cut(route, " ")
			op := document.Paths[path][method]
			if diff := cmp.Diff(oneOfScopes(strings.Fields(want.scope)...), op.Security); diff != "" {
				t.Errorf("%s: %s", route, diff)
			}
			var names []string
			for _, p := range op.Parameters {
				names = append(names, p.Name)
			}
			if got := strings.Join(names, " "); got != want.parameters {
				t.Errorf("%s: parameters %s", route, got)
			}
			if got := strings.Join(slices.Sorted(mapKeys(op.Responses)), " "); got != want.statuses {
				t.Errorf("%s: statuses %s", route, got)
			}
		}
		media := slices.Sorted(mapKeys(document.Paths["/jobs/{id}/results"]["get"].Responses["200"].Content))
		if diff := cmp.Diff([]string{mediaJSON, mediaNDJSON, mediaCSV}, media); diff != "" {
			t.Error(diff)
		}
		conflicts := document.Paths["/jobs/{id}/retry"]["post"].Responses["409"].Content[mediaProblem].Examples
		if diff := cmp.Diff([]string{"job_running", "retry_running", "upload_in_progress"}, slices.Sorted(mapKeys(conflicts))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("every answer has a request id", func(t *testing.T) {
		for path, item := range document.Paths {
			for method, op := range item {
				for status, response := range op.Responses {
					if response.Headers["X-Request-Id"] == nil || response.Description == "" {
						t.Errorf("%s %s %s", method, path, status)
					}
				}
			}
		}
	})
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

// TestSchemas_fitTheAnswers validates the golden answers against the schemas, some of which are written by hand.
func TestSchemas_fitTheAnswers(t *testing.T) {
	a := newTestAPI()
	schemas := a.document.Components.Schemas
	check := func(t *testing.T, schema string, value any) {
		t.Helper()
		s := *schemas.Map()[schema]
		s.AdditionalProperties = false // the schema must describe every member
		s.PrecomputeMessages()
		result := &huma.ValidateResult{}
		huma.Validate(schemas, &s, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, value, result)
		for _, err := range result.Errors {
			t.Error(err)
		}
	}
	files, err := filepath.Glob("testdata/golden/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		body := strings.NewReplacer(`"ID"`, `"0197a3c2-8f4e-7b1a-9c3d-5e6f70819203"`, `"TIME"`, `"2026-01-01T00:00:08.000Z"`).Replace(string(text))
		var value map[string]any
		if err := json.Unmarshal([]byte(body), &value); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			_, status := value["final"]
			_, progress := value["progress"]
			switch {
			case strings.HasPrefix(name, "problem_"):
				check(t, "Problem", value)
			case status:
				check(t, "Revocation", value)
			case strings.HasPrefix(name, "ready"):
				check(t, "Readiness", value)
			case progress:
				check(t, "Job", value)
			case name == "jobs":
				check(t, "JobPage", value)
			case name == "results":
				check(t, "ResultPage", value)
			case name == "list":
				for _, one := range value["data"].([]any) {
					check(t, "Revocation", one)
				}
			}
		})
	}
}

func TestKinds_coverTheDomain(t *testing.T) {
	for code, want := range map[revocation.Code]int{
		revocation.CodeNotFound: 404, revocation.CodeInvalid: 422, revocation.CodeIdempotencyMismatch: 422,
		revocation.CodeTooManyItems: 413, revocation.CodeUploadInProgress: 409, revocation.CodeJobEnded: 409, revocation.CodeJobRunning: 409,
		revocation.CodeOutcomeUnknown: 503, revocation.CodeUnavailable: 503, revocation.CodeConnectionLost: 503,
		revocation.CodeDeadlock: 503, revocation.CodeSerialization: 503, revocation.CodeLockTimeout: 503,
		revocation.CodeInternal: 500, "something new": 500,
	} {
		if got := problemOf(&revocation.Error{Code: code}).Status; got != want {
			t.Errorf("%s has the status %d, want %d", code, got, want)
		}
	}
	if got := newProblem(revocation.CodeTooManyItems).Code; got != codeTooLarge {
		t.Errorf("too many items have the code %s", got)
	}
}

func TestDocs(t *testing.T) {
	a := newTestAPI()
	answer := get(t, a, "/docs")
	page, policy := answer.Body.String(), answer.Header().Get("Content-Security-Policy")
	t.Run("describes every operation", func(t *testing.T) {
		var document struct{ Paths map[string]map[string]any }
		if err := json.Unmarshal(get(t, a, "/openapi.json").Body.Bytes(), &document); err != nil || len(document.Paths) == 0 {
			t.Fatal(err)
		}
		for path, item := range document.Paths {
			for method := range item {
				if want := "<h2><code>" + strings.ToUpper(method) + " " + path + "</code></h2>"; !strings.Contains(page, want) {
					t.Errorf("%q is not in it", want)
				}
			}
		}
		for _, want := range []string{"event: done\n", "row,id,report_id", "Idempotency-Key", "idempotency_mismatch", "Invite Revoked successfully."} {
			if !strings.Contains(page, want) {
				t.Errorf("%q is not in it", want)
			}
		}
	})
	t.Run("its policy allows its style and nothing else", func(t *testing.T) {
		_, style, _ := strings.Cut(page, "<style>")
		style, _, _ = strings.Cut(style, "</style>")
		sum := sha256.Sum256([]byte(style))
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
		if policy != want {
			t.Errorf("policy %q, want %q", policy, want)
		}
	})
	t.Run("loads nothing from anywhere", func(t *testing.T) {
		for _, bad := range []string{"http://", "https://", "<script", " src=", "<link", "style=", "onclick", "@import", "url("} {
			if strings.Contains(page, bad) {
				t.Errorf("%q is in it", bad)
			}
		}
	})
}

// oneOfScopes is the security of an operation that needs a key with one of the scopes.
func oneOfScopes(scopes ...string) (security []map[string][]string) {
	for _, scheme := range []string{"apiKey", "bearer"} {
		for _, scope := range scopes {
			security = append(security, map[string][]string{scheme: {scope}})
		}
	}
	return security
}
