package api_test

import (
	"net/http"
	"testing"
)

// TestScopes_everyOperation calls each operation of the document with a key of each scope: one of them alone opens it.
func TestScopes_everyOperation(t *testing.T) {
	w := newWorld(t)
	for _, op := range w.operations() {
		if !op.guarded() {
			continue
		}
		refused := 0
		for _, key := range []string{readerSecret, writerSecret} {
			switch a := w.call(op.method, op.at(newID().String()), "", "apiKey", "", "apiKey", key); a.status {
			case http.StatusForbidden:
				refused++
				a.want(t, http.StatusForbidden, "missing_scope")
			case http.StatusUnauthorized:
				t.Errorf("%s: %s", op, a.body)
			}
		}
		if refused != 1 {
			t.Errorf("%s: refused to %d of 2 scopes", op, refused)
		}
	}
}
