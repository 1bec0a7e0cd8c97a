package api_test

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"testing"

	"rescind/internal/revocation"
)

// operation is an operation of the served OpenAPI document, with the members that the tests use.
type operation struct {
	method, path string

	OperationID string                `json:"operationId"`
	Security    []map[string][]string `json:"security"`
	Parameters  []struct{ Name, In string }
	RequestBody *struct{} `json:"requestBody"`
}

func (op operation) String() string { return op.method + " " + op.path }

// guarded reports whether the operation needs a key.
func (op operation) guarded() bool { return len(op.Security) > 0 }

// accepts reports whether a key with this scope alone may call the operation.
func (op operation) accepts(scope revocation.Scope) bool {
	return slices.ContainsFunc(op.Security, func(either map[string][]string) bool {
		return slices.Equal(either["apiKey"], []string{string(scope)})
	})
}

// at returns the operation's path with this id.
func (op operation) at(id string) string {
	before, after, named := strings.Cut(op.path, "{")
	if !named {
		return op.path
	}
	_, after, _ = strings.Cut(after, "}")
	return operation{path: before + id + after}.at(id)
}

// operations returns all operations of the document, so that tests cover new routes automatically.
func (w *world) operations() (all []operation) {
	w.t.Helper()
	var document struct {
		Paths map[string]map[string]operation
	}
	a := w.call(http.MethodGet, "/openapi.json", "", "apiKey", "")
	a.want(w.t, http.StatusOK, "")
	a.into(w.t, &document)
	for path, methods := range document.Paths {
		for method, op := range methods {
			op.method, op.path = strings.ToUpper(method), path
			all = append(all, op)
		}
	}
	if len(all) < 10 {
		w.t.Fatalf("the document has %d operations", len(all))
	}
	slices.SortFunc(all, func(a, b operation) int { return cmp.Compare(a.String(), b.String()) })
	return all
}

// TestSecurityHeaders provokes refusals of every operation. Each call checks the headers that every answer must have.
func TestSecurityHeaders(t *testing.T) {
	w := newWorld(t)
	for _, op := range w.operations() {
		t.Run(op.String(), func(t *testing.T) {
			nobodys := op.at(newID().String())
			for _, method := range []string{op.method, http.MethodHead, http.MethodOptions, http.MethodDelete, http.MethodTrace, "BREW"} {
				w.call(method, nobodys, "")
				w.call(method, nobodys, "", "apiKey", "")
				w.call(method, nobodys+"?x=1", "{", "apiKey", "", "apiKey", readerSecret)
				w.call(method, nobodys+"/x", "", "apiKey", "", "apiKey", writerSecret)
			}
			if !op.guarded() {
				return
			}
			w.call(op.method, nobodys, "", "apiKey", "").want(t, http.StatusUnauthorized, "unauthorized")
			w.faults.keys.Store(databaseAway)
			defer w.faults.keys.Store(nil)
			w.call(op.method, nobodys, "", "apiKey", "", "apiKey", "unknown").want(t, http.StatusServiceUnavailable, "unavailable")
		})
	}
	t.Run("OPTIONS * of the server", func(t *testing.T) {
		c := w.dial()
		c.write("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
		if a := c.answer(); a.header.Get("Content-Security-Policy") == "" || a.header.Get("X-Request-Id") == "" {
			t.Errorf("%d %v", a.status, a.header)
		}
	})
}
