package deploy_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rescind/internal/config"
	"rescind/internal/revocation"
)

// rows returns the cells of the table of a document whose first column has the given header.
func rows(t *testing.T, text, header string) (cells [][]string) {
	t.Helper()
	_, table, ok := strings.Cut(text, "\n| "+header+" |")
	if !ok {
		t.Fatalf("there is no table %q", header)
	}
	for line := range strings.Lines(table[strings.Index(table, "\n")+1:]) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if !strings.HasPrefix(line, "| ---") {
			row := strings.Split(strings.Trim(line, "|\n"), " |")
			for i := range row {
				row[i] = strings.TrimSpace(row[i])
			}
			cells = append(cells, row)
		}
	}
	return cells
}

// names returns what stands in code spans in the first column.
func names(cells ...[]string) (names []string) {
	for _, row := range cells {
		for _, span := range codeSpan.FindAllStringSubmatch(row[0], -1) {
			names = append(names, span[1])
		}
	}
	return names
}

func same(t *testing.T, what string, documented, served []string) {
	t.Helper()
	slices.Sort(documented)
	slices.Sort(served)
	if served = slices.Compact(served); !slices.Equal(slices.Compact(slices.Clone(documented)), served) {
		t.Errorf("%s: documented %v, served %v", what, documented, served)
	}
	if len(slices.Compact(slices.Clone(documented))) != len(documented) {
		t.Errorf("%s: something is documented twice: %v", what, documented)
	}
}

// TestDocuments_Settings compares settings.md with the fields that the programs read.
func TestDocuments_Settings(t *testing.T) {
	defaults := make(map[string]string)
	for _, row := range rows(t, read(t, "docs", "settings.md"), "setting") {
		values := codeSpan.FindAllStringSubmatch(row[1], -1)
		for i, name := range names(row) {
			if defaults[name] = row[1]; i < len(values) {
				defaults[name] = values[i][1]
			}
		}
	}
	same(t, "settings", slices.Collect(maps.Keys(defaults)), slices.Collect(maps.Keys(knownSettings())))
	for _, settings := range []any{config.API{}, config.Worker{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(settings)) {
			name, want := field.Tag.Get("env"), field.Tag.Get("envDefault")
			if name != "" && want != "" && defaults[name] != want {
				t.Errorf("the default of %s is %q, and documented as %q", name, want, defaults[name])
			}
		}
	}
}

// TestDocuments_Tables compares the list of what grows with the tables of both stores.
func TestDocuments_Tables(t *testing.T) {
	created := regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`)
	documented := names(rows(t, read(t, "docs", "backup.md"), "table")...)
	for _, store := range []string{"postgres", "sqlite"} {
		var tables []string
		files, err := filepath.Glob(filepath.Join(root, "internal", store, "migrations", "*.sql"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			up, _, _ := strings.Cut(read(t, file), "-- +goose Down")
			for _, table := range created.FindAllStringSubmatch(up, -1) {
				// A table that is made anew with the prefix new_ gets its name afterwards.
				if name := strings.TrimPrefix(table[1], "new_"); !slices.Contains(tables, name) {
					tables = append(tables, name)
				}
			}
		}
		same(t, "tables of "+store, documented, tables)
	}
}

type openAPI struct {
	Paths map[string]map[string]struct {
		Security  []map[string][]string
		Responses map[string]struct {
			Content map[string]struct {
				Examples map[string]struct {
					Value struct{ Code string }
				}
			}
		}
	}
	Components struct {
		Schemas map[string]struct {
			Properties map[string]struct {
				Enum       []any
				Properties map[string]struct{ Enum []any }
			}
		}
	}
}

// TestDocuments_API compares api.md with what a running service serves.
func TestDocuments_API(t *testing.T) {
	text := read(t, "docs", "api.md")
	base, _ := serve(t)
	var served openAPI
	if err := json.Unmarshal([]byte(get(t, base+"/openapi.json")), &served); err != nil {
		t.Fatal(err)
	}
	enum := func(schema, property string) (values []string) {
		for _, value := range served.Components.Schemas[schema].Properties[property].Enum {
			values = append(values, value.(string))
		}
		return values
	}
	same(t, "statuses of a revocation", names(rows(t, text, "status")...), enum("Result", "status"))
	same(t, "statuses of an email", names(rows(t, text, "notification.status")...), enum("Result", "notification"))
	same(t, "states of a job", names(rows(t, text, "state")...), enum("Job", "state"))
	same(t, "codes of a fault", names(rows(t, text, "code of a fault")...), enum("Fault", "code"))

	var routes []string
	codes := []string{
		// The two that any request can get, whatever its route.
		problemCode(t, http.MethodDelete, base+"/jobs", "", "405"), problemCode(t, http.MethodGet, base+"/jobs", "other.example", "403"),
	}
	for path, operations := range served.Paths {
		for method, operation := range operations {
			var alternatives []string
			for _, needed := range operation.Security {
				if all := needed["apiKey"]; len(all) > 0 {
					alternatives = append(alternatives, strings.Join(all, " and "))
				}
			}
			scope := strings.Join(alternatives, " or ")
			switch len(alternatives) {
			case 0:
				scope = "none"
			case len(revocation.Scopes):
				scope = "any"
			}
			routes = append(routes, strings.ToUpper(method)+" "+path+" "+scope)
			for status, response := range operation.Responses {
				for _, example := range response.Content["application/problem+json"].Examples {
					codes = append(codes, status+" "+example.Value.Code)
				}
			}
		}
	}
	var documented []string
	for _, row := range rows(t, text, "HTTP") {
		documented = append(documented, row[0]+" "+strings.Trim(row[1], "`"))
	}
	same(t, "errors", documented, codes)
	documented = nil
	for _, row := range rows(t, text, "route") {
		for _, route := range names(row) {
			documented = append(documented, route+" "+strings.ReplaceAll(row[1], "`", ""))
		}
	}
	same(t, "routes", documented, routes)
}

// problemCode sends a request that is refused, and returns its status and code.
func problemCode(t *testing.T, method, url, host, status string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var problem struct{ Code string }
	if err := json.NewDecoder(response.Body).Decode(&problem); err != nil || !regexp.MustCompile("^"+status).MatchString(response.Status) {
		t.Fatalf("%s %s: %s, %v", method, url, response.Status, err)
	}
	return status + " " + problem.Code
}
