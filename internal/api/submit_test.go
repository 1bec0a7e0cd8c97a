package api_test

import (
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/api"
	"rescind/internal/revocation"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	anyID   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	anyTime = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`)
)

// golden compares a body with a file in testdata/golden. Ids and times may differ.
func golden(t *testing.T, name, body string) {
	t.Helper()
	body = anyTime.ReplaceAllString(anyID.ReplaceAllString(body, "ID"), `"TIME"`) + "\n"
	path := filepath.Join("testdata", "golden", name+".json")
	if *update {
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), body); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

func TestSubmit_outcomes(t *testing.T) {
	t.Run("revoked", func(t *testing.T) {
		w := newWorld(t)
		a := w.submit(`{"report_id": 318, "notify_candidate": true, "client_reference": "a \"quoted\" <b>&\u2028\ttab \u0001 é 😀"}`)
		a.want(t, http.StatusOK, "")
		golden(t, "revoked", a.body)
		if a.header.Get("Content-Type") != "application/json" || a.header.Get("Location") != "" || a.header.Get("Retry-After") != "" || a.header.Get("Vary") != "Prefer" {
			t.Errorf("headers: %v", a.header)
		}
		if got, want := a.json(t)["client_reference"], "a \"quoted\" <b>&\u2028\ttab \u0001 é 😀"; got != want {
			t.Errorf("client_reference is %q", got)
		}
	})
	t.Run("not allowed", func(t *testing.T) {
		w := newWorld(t)
		a := w.submit(`{"report_id":1,"notify_candidate":true}`)
		a.want(t, http.StatusOK, "")
		golden(t, "not_allowed", a.body)
	})
	t.Run("already revoked", func(t *testing.T) {
		w := newWorld(t)
		w.submit(`{"report_id":9223372036854775807}`).want(t, http.StatusOK, "")
		a := w.submit(`{"report_id":9223372036854775807}`)
		a.want(t, http.StatusOK, "")
		golden(t, "already_revoked", a.body)
	})
	t.Run("behind a byte order mark", func(t *testing.T) {
		w := newWorld(t)
		w.submit("\ufeff"+`{"report_id":318}`).want(t, http.StatusOK, "")
	})
	t.Run("pending", func(t *testing.T) {
		w := newWorld(t)
		w.queue.hold()
		a := w.submit(`{"report_id":318}`, "Prefer", "respond-async")
		a.want(t, http.StatusAccepted, "")
		golden(t, "pending", a.body)
		if got, want := a.header.Get("Location"), "/revocations/"+a.str(t, "id"); got != want {
			t.Errorf("Location is %q, want %q", got, want)
		}
		if got := a.header.Get("Retry-After"); got != "1" {
			t.Errorf("Retry-After is %q", got)
		}
		if polled := w.call(http.MethodGet, a.header.Get("Location"), ""); polled.body != a.body {
			t.Errorf("a poll returns another body:\n%s\n%s", a.body, polled.body)
		}
	})
	t.Run("failing, then failed", func(t *testing.T) {
		w := newWorld(t)
		w.faults.carryOut.Store(&revocation.Error{Code: revocation.CodeLockTimeout})
		a := w.submit(`{"report_id":318,"notify_candidate":true}`)
		a.want(t, http.StatusAccepted, "")
		golden(t, "failing", a.body)
		next, err := time.Parse(time.RFC3339, a.str(t, "next_attempt_at"))
		w.must(err)
		after, err := strconv.Atoi(a.header.Get("Retry-After"))
		w.must(err)
		// The delay is random, from 2 to 4 minutes. Some of it has passed before the response.
		if latest := time.Now().Add(time.Duration(after) * time.Second); after < 1 || latest.Before(next) || after > 240 {
			t.Errorf("Retry-After %d does not lead to %v", after, next)
		}
		id, ok := revocation.ParseID(a.str(t, "id"))
		if !ok {
			t.Fatal("no id")
		}
		w.must(w.queue.executor.CarryOut(t.Context(), []revocation.Ref{{Account: "acme", ID: id, Attempt: 1}}))
		last := w.call(http.MethodGet, "/revocations/"+id.String(), "")
		last.want(t, http.StatusOK, "")
		golden(t, "failed", last.body)
	})
}

func TestSubmit_joinsPendingRevocation(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	first := w.submit(`{"report_id":318}`, "Prefer", "wait=0")
	second := w.submit(`{"report_id":318,"notify_candidate":true}`, "Prefer", "wait=0")
	second.want(t, http.StatusAccepted, "")
	if first.str(t, "id") != second.str(t, "id") || second.json(t)["notify_candidate"] != true {
		t.Errorf("not joined: %s %s", first.body, second.body)
	}
}

func TestSubmit_idempotency(t *testing.T) {
	w := newWorld(t)
	first := w.submit(`{"report_id":318}`, "Idempotency-Key", "één 1")
	first.want(t, http.StatusOK, "")
	t.Run("the same again", func(t *testing.T) {
		again := w.submit(`{"notify_candidate":false, "report_id":318}`, "Idempotency-Key", "één 1")
		if diff := cmp.Diff(first.body, again.body); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("other values", func(t *testing.T) {
		a := w.submit(`{"report_id":319}`, "Idempotency-Key", "één 1")
		a.want(t, http.StatusUnprocessableEntity, "idempotency_mismatch")
		golden(t, "problem_idempotency_mismatch", a.body)
	})
	t.Run("a refused request binds no key", func(t *testing.T) {
		w.submit(`{"report_id":777777}`, "Idempotency-Key", "k2").want(t, http.StatusNotFound, "not_found")
		w.submit(`{"report_id":320}`, "Idempotency-Key", "k2").want(t, http.StatusOK, "")
	})
	t.Run("the longest key", func(t *testing.T) {
		w.submit(`{"report_id":321}`, "Idempotency-Key", strings.Repeat("é", 255)).want(t, http.StatusOK, "")
	})
}

func TestSubmit_prefer(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	for name, c := range map[string]struct {
		prefer  []string
		applied string
	}{
		"respond-async":         {[]string{"respond-async"}, "respond-async"},
		"wait":                  {[]string{"wait=0"}, "wait=0"},
		"both":                  {[]string{"respond-async, wait=0"}, "respond-async, wait=0"},
		"both in several lines": {[]string{"wait=0", "Respond-Async"}, "respond-async, wait=0"},
		"quoted value":          {[]string{`WAIT="0"`}, "wait=0"},
		"parameters and others": {[]string{`handling=lenient; x="a,wait=9", wait = 0; y=1,,return=minimal`}, "wait=0"},
		"the first counts":      {[]string{"wait=0, wait=20"}, "wait=0"},
		"invalid ones ignored":  {[]string{"wait=-1, wait=1.5, wait, wait=x, wait=0"}, "wait=0"},
	} {
		t.Run(name, func(t *testing.T) {
			headers := []string{}
			for _, p := range c.prefer {
				headers = append(headers, "Prefer", p)
			}
			a := w.submit(`{"report_id":318}`, headers...)
			a.want(t, http.StatusAccepted, "")
			if got := a.header.Get("Preference-Applied"); got != c.applied {
				t.Errorf("applied %q, want %q", got, c.applied)
			}
		})
	}
	t.Run("wait is capped and waits for the outcome", func(t *testing.T) {
		done := make(chan answer)
		go func() { done <- w.submit(`{"report_id":330}`, "Prefer", "respond-async, wait=99999999999999999999") }()
		eventually(t, "enqueued", func() bool { return w.queue.count() > 0 })
		w.queue.release()
		a := <-done
		a.want(t, http.StatusOK, "")
		if got := a.header.Get("Preference-Applied"); got != "respond-async, wait=30" {
			t.Errorf("applied %q", got)
		}
	})
	t.Run("none waits by the setting", func(t *testing.T) {
		a := w.submit(`{"report_id":331}`)
		a.want(t, http.StatusOK, "")
		if got, ok := a.header["Preference-Applied"]; ok {
			t.Errorf("applied %q", got)
		}
	})
	t.Run("a setting of 0 does not wait", func(t *testing.T) {
		w := newWorld(t, func(o *api.Options, _ *httptest.Server) { o.SubmitWait = 0 })
		w.queue.hold()
		w.submit(`{"report_id":318}`).want(t, http.StatusAccepted, "")
	})
}

// readTimeoutOf sets a read timeout that is short enough for a test.
func readTimeoutOf(d time.Duration) worldOption {
	return func(_ *api.Options, s *httptest.Server) { s.Config.ReadTimeout = d }
}

func TestWaits_outlastTheReadTimeout(t *testing.T) {
	const readTimeout = 150 * time.Millisecond
	for name, ask := range map[string]func(*world, string) answer{
		"submission": func(w *world, _ string) answer { return w.submit(`{"report_id":340}`) },
		"poll": func(w *world, id string) answer {
			return w.call(http.MethodGet, "/revocations/"+id, "", "Prefer", "wait=30")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, readTimeoutOf(readTimeout))
			w.queue.hold()
			a := w.submit(`{"report_id":341}`, "Prefer", "wait=0")
			timer := time.AfterFunc(4*readTimeout, w.queue.release)
			defer timer.Stop()
			got := ask(w, a.str(t, "id"))
			got.want(t, http.StatusOK, "")
			if got.str(t, "status") != "REVOKED" {
				t.Errorf("it did not wait: %s", got.body)
			}
		})
	}
}

func TestDrain_endsWaits(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	submitted, polled := make(chan answer), make(chan answer)
	go func() { submitted <- w.submit(`{"report_id":350}`, "Prefer", "wait=30") }()
	a := w.submit(`{"report_id":351}`, "Prefer", "wait=0")
	go func() { polled <- w.call(http.MethodGet, "/revocations/"+a.str(t, "id"), "", "Prefer", "wait=30") }()
	eventually(t, "both enqueued", func() bool { return w.queue.count() == 2 })
	began := time.Now()
	w.service.Drain()
	(<-submitted).want(t, http.StatusAccepted, "")
	(<-polled).want(t, http.StatusOK, "")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the waits lasted %v", took)
	}
}

func TestSubmit_database(t *testing.T) {
	t.Parallel()
	for code, want := range map[revocation.Code]string{
		revocation.CodeUnavailable: "unavailable", revocation.CodeConnectionLost: "unavailable",
		revocation.CodeDeadlock: "unavailable", revocation.CodeSerialization: "unavailable",
		revocation.CodeLockTimeout: "unavailable", revocation.CodeOutcomeUnknown: "outcome_unknown",
	} {
		t.Run(string(code), func(t *testing.T) {
			if testing.Short() && code == revocation.CodeLockTimeout {
				t.Skip("takes 5 s, for which a locked row is tried again")
			}
			w := newWorld(t)
			w.faults.submit.Store(&revocation.Error{Code: code, Detail: "canary", Err: context.DeadlineExceeded})
			a := w.submit(`{"report_id":318}`)
			a.want(t, http.StatusServiceUnavailable, want)
			if a.header.Get("Retry-After") != "1" || strings.Contains(a.body, "canary") {
				t.Errorf("%v %s", a.header, a.body)
			}
			golden(t, "problem_"+want, a.body)
			if !strings.Contains(w.log.String(), `"error":"`+string(code)) {
				t.Errorf("the cause is not in the log: %s", w.log)
			}
		})
	}
	t.Run("an unforeseen fault", func(t *testing.T) {
		w := newWorld(t)
		w.faults.submit.Store(&revocation.Error{Code: "surprise"})
		a := w.submit(`{"report_id":318}`)
		a.want(t, http.StatusInternalServerError, "internal")
		golden(t, "problem_internal", a.body)
	})
	t.Run("a closed database", func(t *testing.T) {
		w := newWorld(t)
		w.submit(`{"report_id":318}`).want(t, http.StatusOK, "") // the key is known now
		w.must(w.store.Close())
		w.submit(`{"report_id":319}`).want(t, http.StatusServiceUnavailable, "unavailable")
		w.call(http.MethodGet, "/revocations", "").want(t, http.StatusServiceUnavailable, "unavailable")
	})
}
