package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"rescind/internal/api"
	"rescind/internal/revocation"
)

func TestRoutes_unmatched(t *testing.T) {
	w := newWorld(t)
	t.Run("path", func(t *testing.T) {
		a := w.call(http.MethodGet, "/nothing/here", "", "apiKey", "")
		a.want(t, http.StatusNotFound, "not_found")
		golden(t, "problem_not_found", a.body)
		for _, path := range []string{"/", "/revocations/", "/assessments/invite/revoke/", "//revocations", "/metrics", "/debug/pprof/", "/openapi.yaml"} {
			w.call(http.MethodGet, path, "").want(t, http.StatusNotFound, "not_found")
		}
	})
	for _, c := range []struct{ method, path, allow string }{
		{http.MethodGet, "/assessments/invite/revoke", "OPTIONS, POST"},
		{http.MethodDelete, "/revocations", "OPTIONS, GET, HEAD"},
		{http.MethodPost, "/revocations/1", "OPTIONS, GET, HEAD"},
		{"BREW", "/revocations", "OPTIONS, GET, HEAD"},
		{http.MethodPut, "/healthz", "OPTIONS, GET, HEAD"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			a := w.call(c.method, c.path, "", "apiKey", "")
			a.want(t, http.StatusMethodNotAllowed, "method_not_allowed")
			if got := a.header.Get("Allow"); got != c.allow {
				t.Errorf("Allow is %q, want %q", got, c.allow)
			}
			golden(t, "problem_method_not_allowed", a.body)
		})
	}
	t.Run("OPTIONS", func(t *testing.T) {
		a := w.call(http.MethodOptions, "/revocations", "", "apiKey", "")
		if a.status != http.StatusNoContent || a.header.Get("Allow") != "OPTIONS, GET, HEAD" {
			t.Errorf("%d %v", a.status, a.header)
		}
	})
	t.Run("HEAD of what is not there", func(t *testing.T) {
		a := w.call(http.MethodHead, "/revocations/x", "")
		if a.status != http.StatusNotFound || a.body != "" || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%d %q %v", a.status, a.body, a.header)
		}
	})
}

func TestRequestID(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		sent []string
		kept bool
	}{
		"plain": {[]string{"Req-1.a_B"}, true}, "longest": {[]string{strings.Repeat("x", 64)}, true},
		"too long": {[]string{strings.Repeat("x", 65)}, false}, "not plain": {[]string{"a b"}, false},
		"quotes": {[]string{`a"b`}, false}, "two": {[]string{"a", "b"}, false}, "none": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			for _, id := range c.sent {
				headers = append(headers, "X-Request-Id", id)
			}
			got := w.call(http.MethodGet, "/revocations", "", headers...).header.Get("X-Request-Id")
			if kept := c.sent != nil && got == c.sent[0]; kept != c.kept || got == "" {
				t.Errorf("sent %q, got %q", c.sent, got)
			}
			eventually(t, "in the log", func() bool { return strings.Contains(w.log.String(), `"request_id":"`+got+`"`) })
		})
	}
	if a, b := w.call(http.MethodGet, "/", ""), w.call(http.MethodGet, "/", ""); a.header.Get("X-Request-Id") == b.header.Get("X-Request-Id") {
		t.Error("two requests have one id")
	}
}

// logLine is the line of the request with the id.
func (w *world) logLine(id string) (line map[string]any) {
	w.t.Helper()
	eventually(w.t, "a log line of "+id, func() bool {
		for text := range strings.Lines(w.log.String()) {
			if strings.Contains(text, `"msg":"request"`) && strings.Contains(text, `"request_id":"`+id+`"`) {
				w.must(json.Unmarshal([]byte(text), &line))
				return true
			}
		}
		return false
	})
	return line
}

func TestLog(t *testing.T) {
	w := newWorld(t)
	w.faults.carryOut.Store(&revocation.Error{Code: revocation.CodeDeadlock})
	for id, c := range map[string]struct {
		do   func()
		want map[string]any
	}{
		"ok": {
			func() { w.call(http.MethodGet, "/revocations?limit=7", "", "X-Request-Id", "ok") },
			map[string]any{"level": "INFO", "method": "GET", "route": "/revocations", "status": 200.0, "account_id": "acme"},
		},
		"fault": {
			func() {
				w.call(http.MethodGet, "/revocations/secret-path", "", "X-Request-Id", "fault", "apiKey", "", "apiKey", otherSecret)
			},
			map[string]any{"level": "WARN", "method": "GET", "route": "/revocations/:id", "status": 404.0, "account_id": "other", "error": "not_found"},
		},
		"refused": {
			func() { w.call(http.MethodGet, "/revocations", "", "X-Request-Id", "refused", "apiKey", "") },
			map[string]any{"level": "INFO", "method": "GET", "route": "/revocations", "status": 401.0, "error": "unauthorized"},
		},
		"unmatched": {
			func() { w.call("BREW", "/secret-path", "", "X-Request-Id", "unmatched") },
			map[string]any{"level": "INFO", "method": "other", "route": "unmatched", "status": 404.0, "error": "code=404, message=Not Found"},
		},
	} {
		t.Run(id, func(t *testing.T) {
			c.do()
			line := w.logLine(id)
			if _, ok := line["duration"].(float64); !ok {
				t.Errorf("no duration: %v", line)
			}
			for _, key := range []string{"time", "msg", "duration", "request_id"} {
				delete(line, key)
			}
			if diff := cmp.Diff(c.want, line); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("has no probes, keys, paths or parameters", func(t *testing.T) {
		w.call(http.MethodGet, "/healthz", "", "X-Request-Id", "probe")
		w.call(http.MethodGet, "/", "", "X-Request-Id", "after")
		w.logLine("after")
		for _, s := range []string{"probe", secret, otherSecret, "secret-path", "limit=7"} {
			if strings.Contains(w.log.String(), s) {
				t.Errorf("the log holds %q", s)
			}
		}
	})
}

func TestPanic(t *testing.T) {
	w := newWorld(t, func(o *api.Options, _ *httptest.Server) { o.Health = nil })
	a := w.call(http.MethodGet, "/readyz", "", "X-Request-Id", "panicked")
	a.want(t, http.StatusInternalServerError, "internal")
	golden(t, "problem_internal", a.body)
	if line := w.logLine("panicked"); line["level"] != "ERROR" || line["status"] != 500.0 {
		t.Errorf("%v", line)
	}
	if log := w.log.String(); !strings.Contains(log, `"msg":"panic","request_id":"panicked"`) || !strings.Contains(log, "health.go") {
		t.Errorf("the stack is not in the log: %s", log)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	w := newWorld(t, func(o *api.Options, _ *httptest.Server) { o.Metrics = registry })
	w.submit(`{"report_id":318}`).want(t, http.StatusOK, "")
	w.submit(`{`).want(t, http.StatusBadRequest, "")
	for range 3 {
		w.call(http.MethodGet, "/revocations/"+newID().String(), "")
	}
	w.call("BREW", "/x", "")
	w.call(http.MethodGet, "/y", "")

	got := map[string]float64{}
	count := func() map[string]float64 {
		families, err := registry.Gather()
		w.must(err)
		for _, family := range families {
			for _, m := range family.GetMetric() {
				key := family.GetName()
				for _, label := range m.GetLabel() {
					key += " " + label.GetValue()
				}
				if c := m.GetCounter(); c != nil {
					got[key] = c.GetValue()
				} else {
					got[key] = float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
		return got
	}
	want := map[string]float64{
		"rescind_http_requests_total POST /assessments/invite/revoke 200": 1,
		"rescind_http_requests_total POST /assessments/invite/revoke 400": 1,
		"rescind_http_requests_total GET /revocations/:id 404":            3,
		"rescind_http_requests_total other unmatched 404":                 1,
		"rescind_http_requests_total GET unmatched 404":                   1,

		"rescind_http_request_duration_seconds /assessments/invite/revoke": 2,
		"rescind_http_request_duration_seconds /revocations/:id":           3,
		"rescind_http_request_duration_seconds unmatched":                  2,
	}
	// A request is counted just after its answer is written.
	eventually(t, "all counted", func() bool { return cmp.Equal(want, count()) || len(got) > len(want) })
	if diff := cmp.Diff(want, count()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCanary sends a word in every part of a request. The answers and the log must not have it.
func TestCanary(t *testing.T) {
	const canary = "Canary bird!"
	w := newWorld(t)
	escaped := strings.ReplaceAll(canary, " ", "%20")
	answers := []answer{
		w.submit(`{"report_id":"` + canary + `","` + canary + `":1,"client_reference":["` + canary + `"],"notify_candidate":"` + canary + `"}`),
		w.submit(`"` + canary + `"`),
		w.submit(`{"report_id":"` + canary),
		w.submit(`{"report_id":318,"client_reference":"` + canary + strings.Repeat("x", 255) + `"}`),
		w.submit(`{"report_id":777,"client_reference":"` + canary + `"}`),
		w.submit(`{}`, "Content-Type", canary),
		w.submit(`{}`, "Content-Encoding", canary),
		w.submit(`{}`, "Idempotency-Key", canary, "Idempotency-Key", canary),
		w.submit(`{}`, "apiKey", canary),
		w.submit(`{}`, "apiKey", "", "apiKey", canary, "X-Request-Id", canary),
		w.submit(`{}`, "Prefer", canary, "X-Request-Id", canary),
		w.call(http.MethodGet, "/revocations/"+escaped, ""),
		w.call(http.MethodGet, "/"+escaped, ""),
		w.call(http.MethodDelete, "/revocations/"+escaped, ""),
	}
	for _, name := range []string{"report_id", "status", "job_id", "created_after", "created_before", "limit", "cursor", escaped} {
		answers = append(answers, w.call(http.MethodGet, "/revocations?"+name+"="+escaped, ""))
	}
	for i, a := range answers {
		if a.status < 400 {
			t.Errorf("%d: %d %s", i, a.status, a.body)
		}
		if strings.Contains(a.body, "Canary") || strings.Contains(strings.Join(a.header.Values("X-Request-Id"), ""), "Canary") {
			t.Errorf("%d: %s", i, a.body)
		}
	}
	if strings.Contains(w.log.String(), "Canary") {
		t.Error("it is in the log")
	}
}
