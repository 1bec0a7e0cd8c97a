package client

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rescind/internal/submission"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/api"
	"rescind/internal/sqlite"
	"rescind/internal/uuidv7"
)

// schema is what is needed of a schema in the OpenAPI document.
type schema struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"` // a name, or several
	Format     string            `json:"format"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Enum       []any             `json:"enum"`
	Minimum    float64           `json:"minimum"`
}

type operation struct {
	Parameters []struct{ Name, In string }
	Responses  map[string]struct {
		Content map[string]struct{ Schema schema }
	}
	RequestBody struct {
		Content map[string]struct{ Schema schema }
	}
}

type document struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]schema }
}

// served is the document of the real service.
func served(t *testing.T) (d document) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "rescind.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	log := slog.New(slog.DiscardHandler)
	server := httptest.NewServer(api.New(api.Options{
		Service:   submission.NewService(submission.ServiceOptions{Store: store, NewID: uuidv7.New, Log: log}),
		Keys:      store,
		Invites:   store,
		Health:    api.NewHealth(),
		RateLimit: 1,
		Log:       log,
	}))
	t.Cleanup(server.Close)
	c, _ := newTestClient(t, server.URL, nil)
	c.base = server.URL
	body, err := c.send(t.Context(), request{method: "GET", path: "/openapi.json"})
	if err != nil {
		t.Fatal(err)
	}
	if d, err = decode[document](body); err != nil {
		t.Fatal(err)
	}
	return d
}

// resolve follows a reference.
func (d *document) resolve(s schema) schema {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return d.Components.Schemas[name]
	}
	return s
}

// types are the JSON types that a schema allows.
func (s schema) types() (names []string) {
	switch t := s.Type.(type) {
	case string:
		return []string{t}
	case []any:
		for _, one := range t {
			names = append(names, one.(string))
		}
	}
	return names
}

// jsonTypes are the names of what a Go type reads.
var jsonTypes = map[reflect.Kind]string{
	reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Int64: "integer",
	reflect.Float64: "number", reflect.Slice: "array", reflect.Struct: "object", reflect.Map: "object",
}

// mismatches holds a Go type to a schema: what the type reads must be there, in the type to read.
func (d *document) mismatches(at string, into reflect.Type, s schema) (found []string) {
	s = d.resolve(s)
	if into.Kind() == reflect.Pointer {
		into = into.Elem()
	} else if nothing := into.Kind() == reflect.String || into.Kind() == reflect.Slice || s.Minimum > 0; !nothing && slices.Contains(s.types(), "null") {
		found = append(found, at+" can be null, which the type cannot distinguish from a zero value")
	}
	want := jsonTypes[into.Kind()]
	if into == reflect.TypeFor[time.Time]() {
		if want = "string"; s.Format != "date-time" {
			found = append(found, at+" is no time")
		}
	}
	if !slices.Contains(s.types(), want) {
		return append(found, fmt.Sprintf("%s is %v, not %s", at, s.Type, want))
	}
	switch {
	case want == "array":
		found = append(found, d.mismatches(at+"[]", into.Elem(), *s.Items)...)
	case into.Kind() == reflect.Map:
		for name, one := range s.Properties {
			found = append(found, d.mismatches(at+"."+name, into.Elem(), one)...)
		}
	case want == "object":
		for field := range into.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			one, ok := s.Properties[name]
			switch {
			case field.Anonymous:
				found = append(found, d.mismatches(at, field.Type, s)...)
			case name == "-":
			case !ok:
				found = append(found, at+" has no "+name)
			default:
				found = append(found, d.mismatches(at+"."+name, field.Type, one)...)
			}
		}
	}
	return found
}

// TestOpenAPI holds what this package says and reads to the document that the service serves.
func TestOpenAPI(t *testing.T) {
	d := served(t)
	t.Run("answers", func(t *testing.T) {
		for at, into := range map[string]reflect.Type{
			"POST /assessments/invite/revoke 200": reflect.TypeFor[Revocation](),
			"POST /assessments/invite/revoke 202": reflect.TypeFor[Revocation](),
			"GET /revocations/{id} 200":           reflect.TypeFor[Revocation](),
			"POST /jobs 202":                      reflect.TypeFor[Job](),
			"GET /jobs/{id} 200":                  reflect.TypeFor[Job](),
			"GET /jobs/{id}/results 200":          reflect.TypeFor[Results](),
			"POST /jobs/{id}/cancel 202":          reflect.TypeFor[Job](),
			"POST /jobs/{id}/retry 202":           reflect.TypeFor[Job](),
			"POST /jobs/{id}/confirm 202":         reflect.TypeFor[Job](),
			"POST /jobs/{id}/approve 202":         reflect.TypeFor[Job](),
			"POST /jobs/{id}/start 202":           reflect.TypeFor[Job](),
			"GET /jobs 200":                       reflect.TypeFor[Jobs](),
			"POST /revocations/{id}/cancel 200":   reflect.TypeFor[Revocation](),
			"POST /invites/search 200":            reflect.TypeFor[Invites](),
		} {
			part := strings.Fields(at)
			op := d.Paths[part[1]][strings.ToLower(part[0])]
			content, ok := op.Responses[part[2]].Content["application/json"]
			if !ok {
				t.Errorf("there is no %s", at)
				continue
			}
			refusal, ok := op.Responses["401"].Content["application/problem+json"]
			if !ok {
				t.Errorf("%s has no problem", at)
				continue
			}
			for _, mismatch := range append(d.mismatches(at, into, content.Schema), d.mismatches(at+" refused", reflect.TypeFor[Problem](), refusal.Schema)...) {
				t.Error(mismatch)
			}
		}
		if _, ok := d.Paths["/jobs/{id}/events"]["get"].Responses["200"].Content["text/event-stream"]; !ok {
			t.Error("there is no stream of events")
		}
	})
	t.Run("requests", func(t *testing.T) {
		for path, from := range map[string]reflect.Type{
			"/assessments/invite/revoke": reflect.TypeFor[Submission](), "/invites/search": reflect.TypeFor[InviteSearch](),
			"/jobs": reflect.TypeFor[SelectedJob](),
		} {
			body := d.Paths[path]["post"].RequestBody.Content["application/json"].Schema
			for _, mismatch := range d.mismatches(path, from, body) {
				t.Error(mismatch)
			}
		}
		for _, media := range []string{"text/csv", "application/x-ndjson", "application/json"} {
			if _, ok := d.Paths["/jobs"]["post"].RequestBody.Content[media]; !ok {
				t.Errorf("no job is taken as %s", media)
			}
		}
		for at, name := range map[string]string{
			"POST /jobs": "notify_candidate preview not_before sheet", "GET /jobs": "state limit cursor", "GET /jobs/{id}/results": "status limit cursor",
			"GET /jobs/{id}": "Prefer", "GET /revocations/{id}": "Prefer",
			"POST /assessments/invite/revoke": "Prefer Idempotency-Key", "POST /jobs/{id}/retry": "Idempotency-Key",
		} {
			method, path, _ := strings.Cut(at, " ")
			var names []string
			for _, p := range d.Paths[path][strings.ToLower(method)].Parameters {
				names = append(names, p.Name)
			}
			for want := range strings.FieldsSeq(name) {
				if !slices.Contains(names, want) {
					t.Errorf("%s takes no %s: %v", at, want, names)
				}
			}
		}
	})
	t.Run("statuses and states", func(t *testing.T) {
		revoked, job := d.Components.Schemas["Revocation"], d.Components.Schemas["Job"]
		counted := d.resolve(job.Properties["counts"]).Properties
		for _, s := range []Status{
			StatusRevoked, StatusAlreadyRevoked, StatusNotAllowed, StatusAlreadyStarted, StatusNotFound,
			StatusErrorRevoking, StatusInvalid, StatusCancelled,
		} {
			if _, ok := counted[string(s)]; !ok || !slices.Contains(revoked.Properties["status"].Enum, any(string(s))) {
				t.Errorf("there is no %s", s)
			}
			delete(counted, string(s))
		}
		if len(counted) > 0 {
			t.Errorf("unknown here: %v", counted)
		}
		for _, s := range []JobState{
			JobPreviewing, JobPreviewed, JobAwaitingApproval, JobScheduled, JobCompleted, JobCancelled, JobExpired,
		} {
			if !slices.Contains(job.Properties["state"].Enum, any(string(s))) {
				t.Errorf("there is no %s", s)
			}
		}
		if !slices.Contains(revoked.Properties["notification"].Properties["status"].Enum, any(NotificationNotRequested)) {
			t.Errorf("there is no %s", NotificationNotRequested)
		}
	})
	t.Run("a mismatch is found", func(t *testing.T) {
		type other struct {
			ID    int       `json:"id"`
			Label bool      `json:"label"`
			State time.Time `json:"state"`
			New   string    `json:"new"`
		}
		want := []string{
			"job.id is string, not integer", "job.label can be null, which the type cannot distinguish from a zero value",
			"job.label is [string null], not boolean", "job.state is no time", "job has no new",
		}
		if diff := cmp.Diff(want, d.mismatches("job", reflect.TypeFor[other](), d.Components.Schemas["Job"])); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDecode(t *testing.T) {
	if _, err := decode[Job]([]byte(`{"id": 1}`)); err == nil {
		t.Error("it is decoded")
	}
	var j Job
	if err := json.Unmarshal([]byte(`{"counts":{"REVOKED":1,"NEW_ONE":2},"total":3,"state":"COMPLETED","more":[]}`), &j); err != nil || j.Good() || !j.Ended() {
		t.Errorf("%+v %v", j, err)
	}
}
