package api_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/api"
	"rescind/internal/revocation"
)

func TestAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addKey("acme", "rescind_expired", time.Now().Add(-time.Second), revocation.Scopes...)
	revoked := w.addKey("acme", "rescind_revoked", time.Time{}, revocation.Scopes...)
	w.must(w.store.RevokeKey(t.Context(), "acme", revoked))

	for name, c := range map[string]struct {
		path    string
		headers []string
		status  int
	}{
		"apiKey":                        {"/revocations", []string{"apiKey", "", "apiKey", secret}, 200},
		"bearer":                        {"/revocations", []string{"apiKey", "", "Authorization", "bearer " + secret}, 200},
		"apiKey counts, good":           {"/revocations", []string{"Authorization", "Bearer wrong"}, 200},
		"apiKey counts, bad":            {"/revocations", []string{"apiKey", "", "apiKey", "wrong", "Authorization", "Bearer " + secret}, 401},
		"none":                          {"/revocations", []string{"apiKey", ""}, 401},
		"unknown":                       {"/revocations", []string{"apiKey", "", "apiKey", "rescind_unknown"}, 401},
		"revoked":                       {"/revocations", []string{"apiKey", "", "apiKey", "rescind_revoked"}, 401},
		"expired":                       {"/revocations", []string{"apiKey", "", "apiKey", "rescind_expired"}, 401},
		"two":                           {"/revocations", []string{"apiKey", secret}, 401},
		"two, and a bearer":             {"/revocations", []string{"apiKey", secret, "Authorization", "Bearer " + secret}, 401},
		"two bearers":                   {"/revocations", []string{"apiKey", "", "Authorization", "Bearer " + secret, "Authorization", "Bearer " + secret}, 401},
		"two in one header":             {"/revocations", []string{"apiKey", "", "apiKey", secret + ", " + secret}, 401},
		"as a cookie":                   {"/revocations", []string{"apiKey", "", "Cookie", "apiKey=" + secret}, 401},
		"in the query string":           {"/revocations?apiKey=" + secret, []string{"apiKey", ""}, 401},
		"as Basic":                      {"/revocations", []string{"apiKey", "", "Authorization", "Basic " + secret}, 401},
		"as a bare token":               {"/revocations", []string{"apiKey", "", "Authorization", secret}, 401},
		"an empty bearer":               {"/revocations", []string{"apiKey", "", "Authorization", "Bearer "}, 401},
		"very long":                     {"/revocations", []string{"apiKey", "", "apiKey", strings.Repeat("x", 10_000)}, 401},
		"none, for what does not exist": {"/revocations/x", []string{"apiKey", ""}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.call(http.MethodGet, c.path, "", c.headers...)
			a.want(t, c.status, "")
			if c.status == 401 {
				golden(t, "problem_unauthorized", a.body)
				if got := a.header.Get("WWW-Authenticate"); got != `ApiKey realm="rescind", Bearer realm="rescind"` {
					t.Errorf("WWW-Authenticate is %q", got)
				}
			}
		})
	}
	t.Run("before the body is read", func(t *testing.T) {
		w.submit("{", "apiKey", "").want(t, http.StatusUnauthorized, "unauthorized")
	})
	t.Run("a key that is revoked while it is in use", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes 3 s")
		}
		id := w.addKey("acme", "rescind_short-lived", time.Time{}, revocation.Scopes...)
		use := func() int {
			return w.call(http.MethodGet, "/revocations", "", "apiKey", "", "apiKey", "rescind_short-lived").status
		}
		if got := use(); got != http.StatusOK {
			t.Fatal(got)
		}
		w.must(w.store.RevokeKey(t.Context(), "acme", id))
		eventually(t, "refused", func() bool { return use() == http.StatusUnauthorized })
	})
	t.Run("the database is away", func(t *testing.T) {
		w := newWorld(t)
		w.faults.keys.Store(&revocation.Error{Code: revocation.CodeConnectionLost})
		a := w.submit(`{"report_id":318}`)
		a.want(t, http.StatusServiceUnavailable, "unavailable")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	})
}

func TestScopes(t *testing.T) {
	w := newWorld(t)
	t.Run("read does not revoke", func(t *testing.T) {
		a := w.submit("{", "apiKey", "", "apiKey", readerSecret)
		a.want(t, http.StatusForbidden, "missing_scope")
		golden(t, "problem_missing_scope", a.body)
	})
	t.Run("read reads", func(t *testing.T) {
		w.call(http.MethodGet, "/revocations", "", "apiKey", "", "apiKey", readerSecret).want(t, http.StatusOK, "")
	})
	t.Run("revoke revokes", func(t *testing.T) {
		w.submit(`{"report_id":318}`, "apiKey", "", "apiKey", writerSecret).want(t, http.StatusOK, "")
	})
	for _, path := range []string{"/revocations", "/revocations?limit=x", "/revocations/" + newID().String()} {
		t.Run("revoke does not read "+path, func(t *testing.T) {
			w.call(http.MethodGet, path, "", "apiKey", "", "apiKey", writerSecret).want(t, http.StatusForbidden, "missing_scope")
		})
	}
}

func TestTenants(t *testing.T) {
	w := newWorld(t)
	mine := w.submit(`{"report_id":318}`).str(t, "id")
	t.Run("another account's revocation", func(t *testing.T) {
		theirs := w.call(http.MethodGet, "/revocations/"+mine, "", "apiKey", "", "apiKey", otherSecret)
		theirs.want(t, http.StatusNotFound, "not_found")
		golden(t, "problem_not_found", theirs.body)
		for _, id := range []string{newID().String(), "x", "318", strings.ToUpper(mine) + "0", mine + "/", "%00", "a%2Fb"} {
			a := w.call(http.MethodGet, "/revocations/"+id, "", "apiKey", "", "apiKey", otherSecret)
			if a.status != theirs.status || a.body != theirs.body {
				t.Errorf("%s: %d %s", id, a.status, a.body)
			}
		}
	})
	t.Run("another account's invite", func(t *testing.T) {
		theirs := w.submit(`{"report_id":9000}`)
		theirs.want(t, http.StatusNotFound, "not_found")
		golden(t, "problem_no_such_invite", theirs.body)
		if unknown := w.submit(`{"report_id":9001}`); unknown.body != theirs.body {
			t.Error(cmp.Diff(theirs.body, unknown.body))
		}
	})
	t.Run("lists", func(t *testing.T) {
		if got := w.call(http.MethodGet, "/revocations", "", "apiKey", "", "apiKey", otherSecret).body; got != `{"data":[],"next_cursor":null}` {
			t.Error(got)
		}
	})
}

func TestRateLimit(t *testing.T) {
	w := newWorld(t, func(o *api.Options, _ *httptest.Server) { o.RateLimit = 3 })
	first := w.call(http.MethodGet, "/revocations", "")
	if got := first.header.Get("RateLimit-Policy") + first.header.Get("RateLimit"); got != `"default";q=3;w=1"default";r=2;t=1` {
		t.Errorf("fields of the first answer: %s", got)
	}
	var limited answer
	eventually(t, "limited", func() bool {
		limited = w.submit("{")
		return limited.status == http.StatusTooManyRequests
	})
	limited.want(t, http.StatusTooManyRequests, "rate_limited")
	golden(t, "problem_rate_limited", limited.body)
	got := map[string]string{}
	for _, name := range []string{"Retry-After", "RateLimit-Policy", "RateLimit", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} {
		got[name] = limited.header.Get(name)
	}
	want := map[string]string{
		"Retry-After": "1", "RateLimit-Policy": `"default";q=3;w=1`, "RateLimit": `"default";r=0;t=1`,
		"RateLimit-Limit": "3", "RateLimit-Remaining": "0", "RateLimit-Reset": "1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	t.Run("other keys are not limited by it", func(t *testing.T) {
		w.call(http.MethodGet, "/revocations", "", "apiKey", "", "apiKey", otherSecret).want(t, http.StatusOK, "")
	})
	t.Run("there are more after a while", func(t *testing.T) {
		eventually(t, "admitted", func() bool { return w.call(http.MethodGet, "/revocations", "").status == http.StatusOK })
	})
	t.Run("open addresses are not limited", func(t *testing.T) {
		for i := range 20 {
			if got := w.call(http.MethodGet, "/healthz", "").status; got != http.StatusOK {
				t.Fatal(strconv.Itoa(i), got)
			}
		}
	})
}
