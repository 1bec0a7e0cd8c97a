package api_test

import (
	"net/http"
	"testing"
	"time"

	"rescind/internal/revocation"
)

// TestScopes_everyOperation calls each operation of the document with a key of each scope: the ones that the operation
// names open it, and no other.
func TestScopes_everyOperation(t *testing.T) {
	w := newWorld(t)
	for _, scope := range revocation.Scopes {
		w.addKey("acme", onlySecret(scope), time.Time{}, scope)
	}
	for _, op := range w.operations() {
		if !op.guarded() {
			continue
		}
		for _, scope := range revocation.Scopes {
			a := w.call(op.method, op.at(newID().String()), "", "apiKey", "", "apiKey", onlySecret(scope))
			switch {
			case a.status == http.StatusUnauthorized:
				t.Errorf("%s: %s", op, a.body)
			case op.accepts(scope) && a.status == http.StatusForbidden:
				t.Errorf("%s refuses %s: %s", op, scope, a.body)
			case !op.accepts(scope):
				a.want(t, http.StatusForbidden, "missing_scope")
			}
		}
	}
}

// TestScopes_approve names the operations that a person who approves jobs can use.
func TestScopes_approve(t *testing.T) {
	w := newWorld(t)
	want := map[string]bool{"GET /jobs": true, "GET /jobs/{id}": true, "GET /jobs/{id}/results": true, "GET /jobs/{id}/events": true, "GET /jobs/{id}/email": true}
	for _, op := range w.operations() {
		if want[op.String()] && (!op.accepts(revocation.ScopeApprove) || !op.accepts(revocation.ScopeRead)) {
			t.Errorf("%s accepts %v", op, op.Security)
		}
	}
}

// onlySecret is the secret of a key with one scope.
func onlySecret(scope revocation.Scope) string {
	return "rescind_a-key-of-acme-with-the-scope-" + string(scope)
}
