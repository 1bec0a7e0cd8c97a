package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsTemplate string

//go:embed docs.css
var docsStyle string

// docsPolicy is a Content-Security-Policy that lets the page load nothing. It allows the embedded style sheet by its
// hash.
var docsPolicy = func() []string {
	sum := sha256.Sum256([]byte(docsStyle))
	return []string{"default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
}()

// docsOperation holds what the page shows of an operation.
type docsOperation struct {
	Method, Path string
	Operation    *huma.Operation
	Scope        string
	Statuses     []docsStatus
	Bodies       []docsExample
}

type docsStatus struct {
	Status      string
	Description string
	Headers     []string
	Examples    []docsExample
}

type docsExample struct{ Name, Text string }

// docsPage renders the OpenAPI document as one page of HTML.
func docsPage(document *huma.OpenAPI) []byte {
	var operations []docsOperation
	for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
		item := document.Paths[path]
		for _, one := range []struct {
			method string
			op     *huma.Operation
		}{{http.MethodPost, item.Post}, {http.MethodPut, item.Put}, {http.MethodGet, item.Get}, {http.MethodDelete, item.Delete}} {
			if one.op != nil {
				operations = append(operations, docsOf(one.method, path, one.op))
			}
		}
	}
	var page bytes.Buffer
	err := template.Must(template.New("docs").Parse(docsTemplate)).Execute(&page, map[string]any{
		"Info": document.Info, "Operations": operations,
		"Style": template.CSS(docsStyle), //nolint:gosec // our own
	})
	if err != nil {
		panic(err) // the document consists of this package's literals
	}
	return page.Bytes()
}

func docsOf(method, path string, op *huma.Operation) docsOperation {
	d := docsOperation{Method: method, Path: path, Operation: op, Scope: scopeNames(scopesOf(op))}
	if op.RequestBody != nil {
		d.Bodies = docsExamples(op.RequestBody.Content)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		response := op.Responses[status]
		d.Statuses = append(d.Statuses, docsStatus{
			Status: status, Description: response.Description,
			Headers:  slices.Sorted(maps.Keys(response.Headers)),
			Examples: docsExamples(response.Content),
		})
	}
	return d
}

func docsExamples(content map[string]*huma.MediaType) (examples []docsExample) {
	for _, media := range slices.Sorted(maps.Keys(content)) {
		m := content[media]
		for _, name := range slices.Sorted(maps.Keys(m.Examples)) {
			examples = append(examples, docsExample{name, indented(m.Examples[name].Value)})
		}
		if m.Example != nil {
			examples = append(examples, docsExample{media, indented(m.Example)})
		}
	}
	return examples
}

// indented formats an example for people: it returns a string unchanged, and other values as indented JSON.
func indented(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(fmt.Errorf("example: %w", err))
	}
	return string(text)
}
