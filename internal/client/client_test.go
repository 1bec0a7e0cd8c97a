package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// script is a service that answers each request as its test says, and records the requests.
type script struct {
	*httptest.Server
	mu       sync.Mutex
	received []received
}

type received struct {
	method, path, query string
	header              http.Header
}

func (s *script) requests() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.received...)
}

// newScript starts a service that answers the n-th request, from 0, by answer.
func newScript(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *script {
	t.Helper()
	s := &script{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		n := len(s.received)
		s.received = append(s.received, received{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Clone()})
		s.mu.Unlock()
		answer(n, w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// shortTiming is short except for timeouts, which a slow machine must not reach.
var shortTiming = timing{
	firstDelay: time.Millisecond, maxDelay: 4 * time.Millisecond, maxPause: time.Minute,
	stall: time.Minute, silence: time.Minute, scheduled: time.Millisecond,
}

// newTestClient returns a client of a service whose address has a path, and the errors that the client retried.
func newTestClient(t *testing.T, address string, change func(*timing)) (*Client, *[]error) {
	t.Helper()
	u, err := url.Parse(address + "/prefix/")
	if err != nil {
		t.Fatal(err)
	}
	var retries []error
	c := New(Options{URL: u, Key: "the-key", OnRetry: func(err error, _ time.Duration) { retries = append(retries, err) }})
	c.timing = shortTiming
	if change != nil {
		change(&c.timing)
	}
	return c, &retries
}

// jobBody returns the body of a job with the members that the tests need.
func jobBody(state JobState, revoked int) string {
	return fmt.Sprintf(`{"id":"j1","state":%q,"total":3,"pending":%d,"counts":{"REVOKED":%d}}`, state, 3-revoked, revoked)
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("X-Request-Id", "req-1")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"type":"about:blank","status":%d,"code":%q,"detail":"It is so.","errors":[{"field":"f","code":"c","detail":"d"}]}`, status, code)
}

func TestClient(t *testing.T) {
	t.Run("every request has the key, under the address's path", func(t *testing.T) {
		s := newScript(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, jobBody("RUNNING", 1))
		})
		c, _ := newTestClient(t, s.URL, nil)
		job, err := c.Job(t.Context(), "a/b", 1200*time.Millisecond)
		if err != nil || job.Done() != 1 || string(job.Body) != jobBody("RUNNING", 1) {
			t.Errorf("%+v %v", job, err)
		}
		got := s.requests()[0]
		if got.path != "/prefix/jobs/a/b" || got.header.Get("apiKey") != "the-key" || got.header.Get("Prefer") != "wait=2" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a redirect is an error and not followed", func(t *testing.T) {
		elsewhere := newScript(t, func(_ int, _ http.ResponseWriter, _ *http.Request) {})
		s := newScript(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		})
		c, _ := newTestClient(t, s.URL, nil)
		_, err := c.Job(t.Context(), "j1", 0)
		if err == nil || !strings.Contains(err.Error(), elsewhere.URL) || len(elsewhere.requests()) > 0 {
			t.Errorf("%v, %d requests elsewhere", err, len(elsewhere.requests()))
		}
	})
	t.Run("an endless response is not read to its end", func(t *testing.T) {
		s := newScript(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 1<<20))
			}
		})
		c, _ := newTestClient(t, s.URL, nil)
		if _, err := c.Job(t.Context(), "j1", 0); err == nil || !strings.Contains(err.Error(), "too large") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a response that is not from the API is described as such", func(t *testing.T) {
		s := newScript(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 0 {
				w.WriteHeader(http.StatusForbidden)
			}
			_, _ = fmt.Fprint(w, "<html>Log in first</html>")
		})
		c, _ := newTestClient(t, s.URL, nil)
		_, err := c.Job(t.Context(), "j1", 0)
		if p, ok := errors.AsType[*Problem](err); !ok || p.Status != http.StatusForbidden || p.Body != nil {
			t.Errorf("%v", err)
		}
		if _, err := c.Job(t.Context(), "j1", 0); err == nil || !strings.Contains(err.Error(), "not one of rescind's") {
			t.Errorf("%v", err)
		}
	})
}

func TestClient_retries(t *testing.T) {
	t.Run("a temporary failure is retried after the pause that the service asks for", func(t *testing.T) {
		s := newScript(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			switch n {
			case 0:
				w.Header().Set("Retry-After", "1")
				problem(w, http.StatusTooManyRequests, "rate_limited")
			case 1:
				problem(w, http.StatusServiceUnavailable, "unavailable")
			case 2:
				panic(http.ErrAbortHandler)
			default:
				_, _ = fmt.Fprint(w, jobBody("RUNNING", 1))
			}
		})
		c, retries := newTestClient(t, s.URL, nil)
		began := time.Now()
		if _, err := c.Retry(t.Context(), "j1"); err != nil {
			t.Fatal(err)
		}
		if len(*retries) < 2 || time.Since(began) < time.Second {
			t.Errorf("after %s: %v", time.Since(began), *retries)
		}
		keys := make(map[string]bool)
		for _, r := range s.requests() {
			keys[r.header.Get("Idempotency-Key")] = true
		}
		if len(keys) != 1 || keys[""] {
			t.Errorf("keys: %v", keys)
		}
	})
	t.Run("a permanent failure is returned at once", func(t *testing.T) {
		for _, status := range []int{400, 401, 403, 404, 409, 413, 422} {
			s := newScript(t, func(_ int, w http.ResponseWriter, _ *http.Request) { problem(w, status, "some_code") })
			c, _ := newTestClient(t, s.URL, nil)
			_, err := c.Job(t.Context(), "j1", 0)
			p, ok := errors.AsType[*Problem](err)
			if !ok || p.Status != status || p.Code != "some_code" || p.RequestID != "req-1" || p.Errors[0] != (Fault{"f", "c", "d"}) || p.Body == nil {
				t.Errorf("%d: %+v %v", status, p, err)
			}
			if n := len(s.requests()); n != 1 {
				t.Errorf("%d: %d requests", status, n)
			}
		}
	})
	t.Run("the pauses exceed their limit", func(t *testing.T) {
		s := newScript(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			problem(w, http.StatusServiceUnavailable, "unavailable")
		})
		c, retries := newTestClient(t, s.URL, func(g *timing) { g.maxPause = 20 * time.Millisecond })
		_, err := c.Job(t.Context(), "j1", 0)
		if p, ok := errors.AsType[*Problem](err); !ok || p.Code != "unavailable" || len(*retries) < 4 {
			t.Errorf("%v after %d", err, len(*retries))
		}
	})
	t.Run("a pause that would exceed the limit is not begun", func(t *testing.T) {
		s := newScript(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			problem(w, http.StatusServiceUnavailable, "unavailable")
		})
		c, retries := newTestClient(t, s.URL, nil)
		if _, err := c.Job(t.Context(), "j1", 0); err == nil || len(*retries) > 0 {
			t.Errorf("%v after %d", err, len(*retries))
		}
	})
	t.Run("an address that was never reached is not retried", func(t *testing.T) {
		s := newScript(t, func(_ int, _ http.ResponseWriter, _ *http.Request) {})
		s.Close()
		c, retries := newTestClient(t, s.URL, nil)
		if _, err := c.Job(t.Context(), "j1", 0); err == nil || len(*retries) > 0 {
			t.Errorf("%v after %d", err, len(*retries))
		}
	})
	t.Run("an address that was reached before is retried", func(t *testing.T) {
		s := newScript(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, jobBody("RUNNING", 1))
		})
		c, retries := newTestClient(t, s.URL, func(g *timing) { g.maxPause = 20 * time.Millisecond })
		if _, err := c.Job(t.Context(), "j1", 0); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if _, err := c.Job(t.Context(), "j1", 0); err == nil || len(*retries) == 0 {
			t.Errorf("%v after %d", err, len(*retries))
		}
	})
	t.Run("a start is sent once", func(t *testing.T) {
		s := newScript(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			problem(w, http.StatusServiceUnavailable, "unavailable")
		})
		c, _ := newTestClient(t, s.URL, nil)
		if _, err := c.Start(t.Context(), "j1"); err == nil || len(s.requests()) != 1 {
			t.Errorf("%v after %d", err, len(s.requests()))
		}
	})
	t.Run("it ends with ctx", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newScript(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 2 {
				cancel()
			}
			problem(w, http.StatusServiceUnavailable, "unavailable")
		})
		c, _ := newTestClient(t, s.URL, nil)
		if _, err := c.Job(ctx, "j1", 0); err == nil || len(s.requests()) > 4 {
			t.Errorf("%v after %d", err, len(s.requests()))
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "-1": 0, "soon": 0, "99999999999": maxRetryAfter,
		"Thu, 01 Jan 2026 00:00:30 GMT": 30 * time.Second, "Thu, 01 Jan 2025 00:00:30 GMT": 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q is %s, want %s", header, got, want)
		}
	}
}

func TestClient_Revoke(t *testing.T) {
	s := newScript(t, func(n int, w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 100)
		k, _ := r.Body.Read(body)
		if n == 0 {
			problem(w, http.StatusServiceUnavailable, "outcome_unknown")
			return
		}
		if got := string(body[:k]); got != `{"report_id":318,"notify_candidate":true}` || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%q %v", got, r.Header)
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = fmt.Fprint(w, `{"status":"PENDING","id":"r1","report_id":318,"final":false}`)
	})
	c, _ := newTestClient(t, s.URL, nil)
	for wait, prefer := range map[time.Duration]string{0: "respond-async", 5 * time.Second: "wait=5", time.Hour: "wait=30"} {
		r, err := c.Revoke(t.Context(), Submission{ReportID: 318, Notify: true}, max(wait, 0))
		if wait == 0 && len(s.requests()) == 1 {
			if err == nil {
				t.Error("with no time for pauses, it was sent again")
			}
			continue
		}
		if err != nil || r.ID != "r1" || r.Final {
			t.Errorf("%+v %v", r, err)
		}
		if got := s.requests()[len(s.requests())-1].header; got.Get("Prefer") != prefer || got.Get("Idempotency-Key") == "" {
			t.Errorf("%s: %v", wait, got)
		}
	}
}
