package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// event sends one event of a job.
func event(w http.ResponseWriter, name, data string) {
	_, _ = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, data)
	_ = http.NewResponseController(w).Flush()
}

// service answers streams and polls of a job apart; n counts each from 0.
func service(t *testing.T, stream, poll func(n int, w http.ResponseWriter, r *http.Request)) *script {
	t.Helper()
	var streams, polls atomic.Int64
	return newScript(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/events") {
			poll(int(polls.Add(1)-1), w, r)
			return
		}
		if r.Header.Get("Accept") != "text/event-stream" {
			t.Errorf("Accept: %v", r.Header)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		stream(int(streams.Add(1)-1), w, r)
	})
}

func (s *script) count(suffix string) (n int) {
	for _, r := range s.requests() {
		if strings.HasSuffix(r.path, suffix) {
			n++
		}
	}
	return n
}

func TestClient_Follow(t *testing.T) {
	unexpected := func(_ int, _ http.ResponseWriter, r *http.Request) { t.Errorf("unexpected: %s", r.URL.Path) }
	follow := func(t *testing.T, ctx context.Context, c *Client) (last Job, done []int, err error) {
		t.Helper()
		last, err = c.Follow(ctx, "j1", func(j Job) { done = append(done, j.Done()) })
		return last, done, err
	}

	t.Run("a stream is followed to its end", func(t *testing.T) {
		s := service(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, ": welcome\nretry: 1000\n\n")
			event(w, "progress", jobBody("QUEUED", 0))
			_, _ = fmt.Fprint(w, ": still here\n\nid: 7\nevent: progress\r\ndata: {\"id\":\"j1\",\"state\":\"RUNNING\",\r\ndata: \"total\":3,\"pending\":1}\r\n\r\n")
			event(w, "done", jobBody(JobCompleted, 3))
		}, unexpected)
		c, retries := newTestClient(t, s.URL, nil)
		last, done, err := follow(t, t.Context(), c)
		if err != nil || !last.Good() || string(last.Body) != jobBody(JobCompleted, 3) || len(*retries) > 0 {
			t.Errorf("%+v %v %v", last, err, *retries)
		}
		if diff := cmp.Diff([]int{0, 2, 3}, done); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a stream that breaks is opened again, after a poll", func(t *testing.T) {
		s := service(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			switch n {
			case 0: // the service ends its streams when it stops
				event(w, "progress", jobBody("RUNNING", 0))
			case 1: // in the middle of an event
				_, _ = fmt.Fprint(w, "event: progress\ndata: {\"id\"")
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			case 2:
				problem(w, http.StatusServiceUnavailable, "unavailable")
			default:
				event(w, "progress", jobBody("RUNNING", 2))
				event(w, "done", jobBody(JobCancelled, 2))
			}
		}, func(n int, w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Prefer") != "wait=5" {
				t.Errorf("%v", r.Header)
			}
			if n == 0 {
				problem(w, http.StatusServiceUnavailable, "unavailable")
				return
			}
			_, _ = fmt.Fprint(w, jobBody("RUNNING", 1))
		})
		c, retries := newTestClient(t, s.URL, nil)
		last, done, err := follow(t, t.Context(), c)
		if err != nil || !last.Ended() || last.Good() || len(*retries) != 1 {
			t.Errorf("%+v %v %v", last, err, *retries)
		}
		if diff := cmp.Diff([]int{0, 1, 1, 1, 2, 2}, done); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("where streams are blocked, the job is polled", func(t *testing.T) {
		s := service(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, func(n int, w http.ResponseWriter, _ *http.Request) {
			if n < 5 {
				_, _ = fmt.Fprint(w, jobBody("RUNNING", 1))
				return
			}
			_, _ = fmt.Fprint(w, jobBody(JobCompleted, 3))
		})
		c, _ := newTestClient(t, s.URL, func(g *timing) { g.silence = 20 * time.Millisecond })
		last, done, err := follow(t, t.Context(), c)
		if err != nil || !last.Good() || len(done) != 6 || s.count("/events") > maxEmptyStreams {
			t.Errorf("%+v %v %v, %d streams", last, done, err, s.count("/events"))
		}
	})
	t.Run("a job that is not there, or a key that opens nothing any more, ends it", func(t *testing.T) {
		for _, status := range []int{http.StatusNotFound, http.StatusUnauthorized} {
			s := service(t, func(_ int, w http.ResponseWriter, _ *http.Request) { problem(w, status, "gone") }, unexpected)
			c, _ := newTestClient(t, s.URL, nil)
			_, _, err := follow(t, t.Context(), c)
			if p, ok := errors.AsType[*Problem](err); !ok || p.Status != status {
				t.Errorf("%v", err)
			}
		}
	})
	t.Run("it fails when the service does not answer for too long", func(t *testing.T) {
		var s *script
		s = service(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			event(w, "progress", jobBody("RUNNING", 1))
			_ = s.Listener.Close()
			panic(http.ErrAbortHandler)
		}, func(_ int, _ http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
		c, retries := newTestClient(t, s.URL, func(g *timing) { g.maxPause = 20 * time.Millisecond })
		last, _, err := follow(t, t.Context(), c)
		if err == nil || last.Done() != 1 || len(*retries) == 0 {
			t.Errorf("%+v %v %v", last, err, *retries)
		}
	})
	t.Run("when ctx ends, it returns the last state", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := service(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			event(w, "progress", jobBody("RUNNING", 1))
			<-r.Context().Done()
		}, unexpected)
		c, _ := newTestClient(t, s.URL, nil)
		last, err := c.Follow(ctx, "j1", func(Job) { cancel() })
		if err == nil || last.Done() != 1 {
			t.Errorf("%+v %v", last, err)
		}
	})
}
