package api_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// contract validates answers against the served document, with a JSON Schema validator that the service does not use. It
// refuses everything that the document does not describe.
type contract struct {
	operations map[string]*contractOperation
	compiler   *jsonschema.Compiler
	compiled   map[string]*jsonschema.Schema
}

// has reports whether the document has an operation.
func (c *contract) has(method, path string) bool {
	for _, op := range c.operations {
		if op.method == method && op.path == path {
			return true
		}
	}
	return false
}

// contractOperation is an operation of the document.
type contractOperation struct {
	method, path string

	OperationID string                `json:"operationId"`
	Security    []map[string][]string `json:"security"`
	Parameters  []struct {
		Name, In string
		Schema   struct {
			Type   any
			Format string
			Enum   []any
		}
	}
	RequestBody struct{ Content map[string]contractMedia } `json:"requestBody"`
	Responses   map[string]struct {
		Headers map[string]struct{ Required bool }
		Content map[string]contractMedia
	}
}

type contractMedia struct {
	Example  json.RawMessage
	Examples map[string]struct{ Value json.RawMessage }
}

func (op *contractOperation) String() string { return op.method + " " + op.path }

// readContract returns the contract in the document of a world.
func readContract(t *testing.T, w *world) *contract {
	t.Helper()
	body := w.call(http.MethodGet, "/openapi.json", "").body
	var document struct {
		Paths map[string]map[string]*contractOperation
	}
	w.must(json.Unmarshal([]byte(body), &document))
	c := &contract{operations: map[string]*contractOperation{}, compiled: map[string]*jsonschema.Schema{}}
	for path, item := range document.Paths {
		for method, op := range item {
			op.method, op.path = strings.ToUpper(method), path
			c.operations[op.OperationID] = op
		}
	}
	whole, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	w.must(err)
	closeObjects(whole, whole, false)
	c.compiler = jsonschema.NewCompiler()
	c.compiler.AssertFormat()
	w.must(c.compiler.AddResource("openapi.json", whole))
	return c
}

// closeObjects forbids members that an object's schema does not name. For an allOf it resolves the references in the
// parts, leaves the parts open and closes their combination.
func closeObjects(whole, node any, open bool) {
	switch node := node.(type) {
	case []any:
		for _, one := range node {
			closeObjects(whole, one, false)
		}
	case map[string]any:
		if parts, ok := node["allOf"].([]any); ok {
			for i, part := range parts {
				if ref, ok := part.(map[string]any)["$ref"].(string); ok {
					parts[i] = maps.Clone(resolve(whole, ref))
				}
				delete(parts[i].(map[string]any), "unevaluatedProperties")
				closeObjects(whole, parts[i], true)
			}
			node["unevaluatedProperties"] = false
			return
		}
		_, isObject := node["properties"].(map[string]any)
		if _, said := node["additionalProperties"]; isObject && node["type"] != nil && !said && !open {
			node["unevaluatedProperties"] = false
		}
		for name, one := range node {
			if name != "example" && name != "examples" {
				closeObjects(whole, one, false)
			}
		}
	}
}

func resolve(whole any, ref string) map[string]any {
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		whole = whole.(map[string]any)[name]
	}
	return whole.(map[string]any)
}

// fits validates a JSON text against the schema at a place in the document.
func (c *contract) fits(text string, place ...string) error {
	var pointer strings.Builder
	for _, name := range place {
		pointer.WriteString("/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name)))
	}
	schema := c.compiled[pointer.String()]
	if schema == nil {
		var err error
		if schema, err = c.compiler.Compile("openapi.json#" + pointer.String()); err != nil {
			return err
		}
		c.compiled[pointer.String()] = schema
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func (c *contract) fitsSchema(text, name string) error {
	return c.fits(text, "components", "schemas", name)
}

// commonHeaders are headers that the document does not describe, because every response may have them.
var commonHeaders = []string{
	"Cache-Control", "Connection", "Content-Length", "Content-Security-Policy", "Content-Type", "Date", "Referrer-Policy",
	"X-Content-Type-Options",
}

// validate returns an error if an answer violates the document. An answer with the status 500 always does.
func (c *contract) validate(op *contractOperation, a answer, head bool) error {
	status := fmt.Sprint(a.status)
	response, known := op.Responses[status]
	if !known || a.status == http.StatusInternalServerError {
		return fmt.Errorf("unexpected status %s", status)
	}
	described := slices.Clone(commonHeaders)
	for name := range response.Headers {
		described = append(described, http.CanonicalHeaderKey(name))
	}
	for name := range a.header {
		if !slices.Contains(described, name) {
			return fmt.Errorf("%s: the header %s is not described", status, name)
		}
	}
	for name, header := range response.Headers {
		if header.Required && a.header.Get(name) == "" {
			return fmt.Errorf("%s: there is no header %s", status, name)
		}
	}
	if len(response.Content) == 0 {
		if a.body != "" || a.header.Get("Content-Type") != "" {
			return fmt.Errorf("%s: a body is not described", status)
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		return err
	}
	content, known := response.Content[media]
	switch {
	case !known:
		return fmt.Errorf("%s: %s is not described", status, media)
	case head && a.body != "":
		return fmt.Errorf("%s: a body in an answer to HEAD", status)
	case head:
		return nil
	}
	if err := c.validateBody(op, status, media, a.body); err != nil {
		return fmt.Errorf("%s: %w", status, err)
	}
	if media == "application/problem+json" {
		return content.describesCode(a.body)
	}
	return nil
}

// describesCode returns an error unless one of the examples has the problem's code.
func (m contractMedia) describesCode(body string) error {
	var got, example struct{ Code string }
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		return err
	}
	for _, one := range m.Examples {
		if err := json.Unmarshal(one.Value, &example); err != nil {
			return err
		}
		if example.Code == got.Code {
			return nil
		}
	}
	return fmt.Errorf("the code %s is not described", got.Code)
}

// validateBody validates a body against its schema. It splits streams, whose schemas describe only the parts.
func (c *contract) validateBody(op *contractOperation, status, media, body string) error {
	switch media {
	case asNDJSON:
		for line := range strings.Lines(body) {
			if err := c.fitsSchema(line, "Result"); err != nil {
				return err
			}
		}
		return nil
	case asCSV:
		return c.validateTable(body)
	case "text/event-stream":
		return c.validateEvents(body)
	case "text/html":
		return nil
	default:
		return c.fits(body, "paths", op.path, strings.ToLower(op.method), "responses", status, "content", media, "schema")
	}
}

// validateTable converts each row to JSON and validates it.
func (c *contract) validateTable(body string) error {
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(body, "\ufeff"))).ReadAll()
	if err != nil {
		return err
	}
	if got := strings.Join(rows[0], ","); got != "row,id,report_id,client_reference,status,message,timestamp,attempts,notification,reason,predicted" {
		return fmt.Errorf("the header row is %s", got)
	}
	for _, row := range rows[1:] {
		var b bytes.Buffer
		for i, cell := range row {
			value, err := json.Marshal(cell)
			if err != nil {
				return err
			}
			switch rows[0][i] {
			case "row", "report_id", "attempts":
				value = []byte(cell)
			}
			if cell == "" && rows[0][i] != "message" {
				value = []byte("null")
			}
			fmt.Fprintf(&b, ",%q:%s", rows[0][i], value)
		}
		if err := c.fitsSchema("{"+b.String()[1:]+"}", "Result"); err != nil {
			return err
		}
	}
	return nil
}

// validateEvents validates the beginning of a stream, or all of it.
func (c *contract) validateEvents(body string) error {
	blocks := strings.SplitAfter(body, "\n\n")
	if blocks[0] != "retry: 2000\n\n" || len(blocks) < 3 {
		return fmt.Errorf("the stream begins with %q", blocks[0])
	}
	for _, block := range blocks[1 : len(blocks)-1] {
		name, data, _ := strings.Cut(strings.TrimSuffix(block, "\n\n"), "\ndata: ")
		if name != "event: progress" && name != "event: done" {
			return fmt.Errorf("an event %q", name)
		}
		if err := c.fitsSchema(data, "Job"); err != nil {
			return err
		}
	}
	return nil
}
