package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func uploadOf(content string) Upload {
	return Upload{Content: strings.NewReader(content), Size: int64(len(content)), MediaType: "text/csv"}
}

// accept reads an upload whole and takes it.
func accept(w http.ResponseWriter, r *http.Request) string {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // it broke again, on a machine that is busy
	}
	w.WriteHeader(http.StatusAccepted)
	_, _ = fmt.Fprint(w, jobBody("QUEUED", 0))
	return string(body)
}

func TestClient_NewJob(t *testing.T) {
	// Far more than the buffers between the two sides hold.
	content := "report_id\n" + strings.Repeat("1234567890\n", 3_000_000)

	t.Run("a broken upload begins again, with its own key", func(t *testing.T) {
		var got string
		s := newScript(t, func(n int, w http.ResponseWriter, r *http.Request) {
			switch n {
			case 0: // in the middle
				_, _ = io.CopyN(io.Discard, r.Body, int64(len(content)/2))
				panic(http.ErrAbortHandler)
			case 1: // at the end, with the answer
				_, _ = io.Copy(io.Discard, r.Body)
				panic(http.ErrAbortHandler)
			case 2:
				problem(w, http.StatusConflict, "upload_in_progress")
			case 3:
				_, _ = io.Copy(io.Discard, r.Body)
				problem(w, http.StatusServiceUnavailable, "outcome_unknown")
			case 4:
				problem(w, http.StatusRequestTimeout, "request_timeout")
			case 5:
				w.WriteHeader(http.StatusBadGateway)
			default:
				got = accept(w, r)
			}
		})
		c, retries := newTestClient(t, s.URL, nil)
		upload := uploadOf(content)
		upload.Options.Notify = true
		job, err := c.NewJob(t.Context(), upload)
		if err != nil || job.ID != "j1" {
			t.Fatalf("%+v %v", job, err)
		}
		if got != content {
			t.Errorf("%d bytes came, want %d", len(got), len(content))
		}
		requests := s.requests()
		if len(requests) != 7 || len(*retries) != 6 {
			t.Errorf("%d requests, retries: %v", len(requests), *retries)
		}
		for _, r := range requests {
			if r.query != "notify_candidate=true" || r.header.Get("Content-Type") != "text/csv" || r.header.Get("Content-Encoding") != "" {
				t.Errorf("%+v", r)
			}
			if key := r.header.Get("Idempotency-Key"); key == "" || key != requests[0].header.Get("Idempotency-Key") {
				t.Errorf("another key: %q", key)
			}
		}
		if _, err := c.NewJob(t.Context(), uploadOf("report_id\n1\n")); err != nil {
			t.Fatal(err)
		}
		if last := s.requests()[7]; last.header.Get("Idempotency-Key") == requests[0].header.Get("Idempotency-Key") || last.query != "" {
			t.Errorf("%+v", last)
		}
	})
	t.Run("a refused upload is not retried", func(t *testing.T) {
		s := newScript(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, 1000)
			problem(w, http.StatusRequestEntityTooLarge, "too_large")
		})
		c, retries := newTestClient(t, s.URL, nil)
		_, err := c.NewJob(t.Context(), uploadOf("report_id\n"+strings.Repeat("1\n", 1000)))
		if p, ok := errors.AsType[*Problem](err); !ok || p.Code != "too_large" || len(*retries) > 0 {
			t.Errorf("%v %v", err, *retries)
		}
	})
	t.Run("a refusal before the body is sent saves sending it", func(t *testing.T) {
		s := newScript(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			problem(w, http.StatusUnauthorized, "unauthorized")
		})
		c, _ := newTestClient(t, s.URL, nil)
		c.http.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
		var sent atomic.Int64
		upload := uploadOf(content)
		upload.Sent = func(n, _ int64) { sent.Store(n) }
		_, err := c.NewJob(t.Context(), upload)
		if p, ok := errors.AsType[*Problem](err); !ok || p.Code != "unauthorized" || sent.Load() > 0 {
			t.Errorf("%v after %d bytes", err, sent.Load())
		}
	})
	t.Run("a stalled connection is closed", func(t *testing.T) {
		ended := make(chan struct{})
		s := newScript(t, func(n int, w http.ResponseWriter, r *http.Request) {
			if n > 0 {
				accept(w, r)
				return
			}
			_, _ = r.Body.Read(make([]byte, 1))
			<-ended
		})
		defer close(ended)
		c, retries := newTestClient(t, s.URL, func(g *timing) { g.stall = 500 * time.Millisecond })
		if _, err := c.NewJob(t.Context(), uploadOf(content)); err != nil {
			t.Fatal(err)
		}
		if len(*retries) == 0 || !errors.Is((*retries)[0], errStalled) {
			t.Errorf("%v", *retries)
		}
	})
	t.Run("Sent reports the bytes of each attempt from 0", func(t *testing.T) {
		s := newScript(t, func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 0 {
				_, _ = io.Copy(io.Discard, r.Body)
				panic(http.ErrAbortHandler)
			}
			accept(w, r)
		})
		c, _ := newTestClient(t, s.URL, nil)
		var mu sync.Mutex
		var retries []int64
		upload := uploadOf(content)
		upload.Sent = func(n, _ int64) {
			mu.Lock()
			defer mu.Unlock()
			retries = append(retries, n)
		}
		if _, err := c.NewJob(t.Context(), upload); err != nil {
			t.Fatal(err)
		}
		attempts, before := 1, int64(0)
		for _, n := range retries {
			if n <= before {
				attempts++
			}
			before = n
		}
		if attempts != 2 || before != upload.Size {
			t.Errorf("%d attempts, %d of %d in the last", attempts, before, upload.Size)
		}
	})
	t.Run("a compressed content is sent unchanged", func(t *testing.T) {
		var got string
		s := newScript(t, func(_ int, w http.ResponseWriter, r *http.Request) { got = accept(w, r) })
		c, _ := newTestClient(t, s.URL, nil)
		upload := uploadOf("\x1f\x8b not really")
		upload.Gzip, upload.MediaType = true, "application/x-ndjson"
		if _, err := c.NewJob(t.Context(), upload); err != nil {
			t.Fatal(err)
		}
		header := s.requests()[0].header
		if diff := cmp.Diff([]string{"\x1f\x8b not really", "gzip", "application/x-ndjson"}, []string{got, header.Get("Content-Encoding"), header.Get("Content-Type")}); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a content that cannot be read is not retried", func(t *testing.T) {
		s := newScript(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
		})
		c, retries := newTestClient(t, s.URL, nil)
		upload := uploadOf(content)
		upload.Content = bytes.NewReader([]byte(content)[:len(content)/2])
		if _, err := c.NewJob(t.Context(), upload); !errors.Is(err, io.ErrUnexpectedEOF) || len(*retries) > 0 {
			t.Errorf("%v %v", err, *retries)
		}
	})
	t.Run("it ends with ctx", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newScript(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
			_, _ = r.Body.Read(make([]byte, 1))
			cancel()
			_, _ = io.Copy(io.Discard, r.Body)
		})
		c, retries := newTestClient(t, s.URL, nil)
		if _, err := c.NewJob(ctx, uploadOf(content)); err == nil || len(*retries) > 0 {
			t.Errorf("%v %v", err, *retries)
		}
	})
}
