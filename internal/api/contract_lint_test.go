package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocument_isSound checks the document for mistakes that break generators of clients or mislead readers.
func TestDocument_isSound(t *testing.T) {
	w := newWorld(t)
	c := readContract(t, w)
	text := w.call(http.MethodGet, "/openapi.json", "").body
	var document struct {
		Tags  []struct{ Name, Description string }
		Paths map[string]map[string]struct {
			OperationID string
			Summary     string
			Tags        []string
			Security    []map[string][]string
			Parameters  []struct {
				Name, In, Description string
				Required              bool
				Schema                map[string]any
			}
			Responses map[string]struct{ Description string }
		}
		Components struct{ Schemas, SecuritySchemes map[string]any }
	}
	w.must(json.Unmarshal([]byte(text), &document))
	var tags []string
	for _, tag := range document.Tags {
		tags = append(tags, tag.Name)
	}
	if len(document.Paths) < 10 || len(tags) == 0 {
		t.Fatalf("%d paths, tags %v", len(document.Paths), tags)
	}
	camel := regexp.MustCompile(`^[a-z]+([A-Z][a-z]+)*(API)?$`)
	ids := map[string]string{}
	for path, item := range document.Paths {
		for method, op := range item {
			where := method + " " + path
			wrong := func(format string, args ...any) { t.Errorf("%s: "+format, append([]any{where}, args...)...) }
			if other := ids[op.OperationID]; other != "" || !camel.MatchString(op.OperationID) {
				wrong("the operationId %q is also that of %q, or no name", op.OperationID, other)
			}
			ids[op.OperationID] = where
			if strings.HasSuffix(op.Summary, ".") || strings.Contains(op.Summary, "\n") || op.Summary == "" {
				wrong("the summary is %q", op.Summary)
			}
			if len(op.Tags) != 1 || !slices.Contains(tags, op.Tags[0]) {
				wrong("the tags are %v", op.Tags)
			}
			for _, either := range op.Security {
				for scheme := range either {
					if document.Components.SecuritySchemes[scheme] == nil {
						wrong("there is no security scheme %s", scheme)
					}
				}
			}
			named := map[string]bool{}
			for _, p := range op.Parameters {
				if named[p.Name] || p.Schema == nil || p.In != "path" && p.Description == "" || p.Required != (p.In == "path") {
					wrong("the parameter %s comes twice or is not described", p.Name)
				}
				named[p.Name] = true
			}
			for _, hole := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if !named[hole[1]] {
					wrong("%s in the path is no parameter", hole[1])
				}
			}
			if !slices.ContainsFunc(slices.Collect(maps.Keys(op.Responses)), func(s string) bool { return s[0] == '2' }) {
				wrong("there is no success")
			}
			for status, response := range op.Responses {
				if !strings.HasSuffix(response.Description, ".") && status[0] != '4' && status[0] != '5' {
					wrong("%s is described by %q", status, response.Description)
				}
			}
		}
	}
	for name := range document.Components.Schemas {
		inStream := slices.Contains([]string{"Result", "Job", "Submission"}, name)
		if !inStream && !strings.Contains(text, `"#/components/schemas/`+name+`"`) {
			t.Errorf("nothing refers to the schema %s", name)
		}
	}
	t.Run("its examples fit their schemas", func(t *testing.T) {
		for _, op := range c.operations {
			place := []string{"paths", op.path, strings.ToLower(op.method)}
			c.examplesFit(t, op.RequestBody.Content, append(place, "requestBody"))
			for status, response := range op.Responses {
				c.examplesFit(t, response.Content, append(slices.Clone(place), "responses", status))
			}
		}
	})
}

// examplesFit validates examples against their schemas.
func (c *contract) examplesFit(t *testing.T, content map[string]contractMedia, place []string) {
	t.Helper()
	for media, m := range content {
		all := map[string]json.RawMessage{}
		for name, one := range m.Examples {
			all[name] = one.Value
		}
		if m.Example != nil {
			all["example"] = m.Example
		}
		for name, example := range all {
			if err := c.fits(string(example), append(slices.Clone(place), "content", media, "schema")...); err != nil {
				t.Errorf("%s %s: %v", fmt.Sprint(place), name, err)
			}
		}
	}
}
