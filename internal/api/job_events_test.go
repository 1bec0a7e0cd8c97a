package api_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"rescind/internal/api"
	"rescind/internal/revocation"
)

func TestJobEvents(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	job := w.job(w.manyItems(revocation.ChunkSize + 500)...)
	path := "/jobs/" + job.ID.String()
	opened := w.open(path + "/events")
	t.Run("headers", func(t *testing.T) {
		h := opened.header
		if opened.status != http.StatusOK || h.Get("Content-Type") != "text/event-stream" || h.Get("X-Accel-Buffering") != "no" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", opened.status, h)
		}
	})
	next := events(t, opened.body)
	progress := func(t *testing.T) map[string]any {
		t.Helper()
		e, ok := next()
		if !ok || e.name != "progress" {
			t.Fatalf("%v %+v", ok, e)
		}
		return e.json(t)
	}
	t.Run("one at once", func(t *testing.T) {
		e, _ := next()
		if body := w.call(http.MethodGet, path, "").body; e.name != "progress" || e.data != body {
			t.Errorf("%+v, want the body %s", e, body)
		}
	})
	t.Run("repeatedly while it runs", func(t *testing.T) {
		w.carryOutChunk()
		for seen := 0; seen < 3; {
			switch done := progress(t)["pending"]; {
			case done == 500.0:
				seen++
			case done != revocation.ChunkSize+500.0 || seen > 0:
				t.Fatalf("%v are pending", done)
			}
		}
	})
	t.Run("done, and the end", func(t *testing.T) {
		w.queue.release()
		e, ok := next()
		for ok && e.name == "progress" {
			e, ok = next()
		}
		if body := w.call(http.MethodGet, path, "").body; e.name != "done" || e.data != body || e.json(t)["state"] != "COMPLETED" {
			t.Errorf("%+v, want the body %s", e, body)
		}
		if e, ok := next(); ok {
			t.Errorf("then %+v", e)
		}
	})
	t.Run("of a job that has ended", func(t *testing.T) {
		body := w.call(http.MethodGet, path, "").body
		a := w.call(http.MethodGet, path+"/events", "")
		if want := "retry: 2000\n\nevent: progress\ndata: " + body + "\n\nevent: done\ndata: " + body + "\n\n"; a.body != want {
			t.Errorf("got %q, want %q", a.body, want)
		}
	})
	t.Run("of a job that is cancelled", func(t *testing.T) {
		w.queue.hold()
		job := w.job(items(300)...)
		next := events(t, w.open("/jobs/"+job.ID.String()+"/events").body)
		w.call(http.MethodPost, "/jobs/"+job.ID.String()+"/cancel", "").want(t, http.StatusAccepted, "")
		w.queue.release()
		var last event
		for e, ok := next(); ok; e, ok = next() {
			last = e
		}
		if last.name != "done" || last.json(t)["state"] != "CANCELLED" {
			t.Errorf("%+v", last)
		}
	})
	t.Run("of a job that waits", func(t *testing.T) {
		path := "/jobs/" + w.scheduledJob(300)
		body := w.call(http.MethodGet, path, "").body
		a := w.call(http.MethodGet, path+"/events", "")
		if want := "retry: 2000\n\nevent: progress\ndata: " + body + "\n\nevent: done\ndata: " + body + "\n\n"; a.body != want {
			t.Errorf("got %q, want %q", a.body, want)
		}
	})
	t.Run("of a job that begins to wait", func(t *testing.T) {
		w.queue.hold()
		id := w.previewingJob(300)
		next := events(t, w.open("/jobs/"+id+"/events").body)
		if first, _ := next(); first.json(t)["state"] != "PREVIEWING" {
			t.Errorf("%+v", first)
		}
		w.queue.release()
		e, ok := next()
		for ok && e.name == "progress" {
			e, ok = next()
		}
		if e.name != "done" || e.json(t)["state"] != "PREVIEWED" {
			t.Errorf("%v %+v", ok, e)
		}
		if e, ok := next(); ok {
			t.Errorf("then %+v", e)
		}
	})
	t.Run("HEAD does not stream", func(t *testing.T) {
		w.queue.hold()
		defer w.queue.release()
		job := w.job(items(300)...)
		a := w.call(http.MethodHead, "/jobs/"+job.ID.String()+"/events", "")
		if a.status != http.StatusOK || a.body != "" || a.header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%d %q %v", a.status, a.body, a.header)
		}
		if a := w.call(http.MethodHead, "/jobs/x/events", ""); a.status != http.StatusNotFound {
			t.Error(a.status)
		}
	})
}

func TestJobEvents_followersShareOneReader(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	job := w.job(items(300)...)
	var all []func() (event, bool)
	for range 5 {
		all = append(all, events(t, w.open("/jobs/"+job.ID.String()+"/events").body))
	}
	for _, next := range all {
		next()
		if e, ok := next(); !ok || e.name != "progress" {
			t.Errorf("%+v", e)
		}
	}
	if n := strings.Count(goroutines(t), "(*Service).poll("); n != 1 {
		t.Errorf("%d read the job", n)
	}
	w.queue.release()
	for i, next := range all {
		e, ok := next()
		for ok && e.name == "progress" {
			e, ok = next()
		}
		if e.name != "done" {
			t.Errorf("%d: %+v", i, e)
		}
	}
}

func TestJobEvents_drainEndsThemWithoutDone(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	job := w.job(items(300)...)
	next := events(t, w.open("/jobs/"+job.ID.String()+"/events").body)
	next()
	w.service.Drain()
	for e, ok := next(); ok; e, ok = next() {
		if e.name != "progress" {
			t.Errorf("%+v", e)
		}
	}
}

func TestJobEvents_goOnWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 3 s")
	}
	w := newWorld(t)
	w.queue.hold()
	job := w.job(items(300)...)
	next := events(t, w.open("/jobs/"+job.ID.String()+"/events").body)
	first, _ := next()
	w.faults.jobs.Store(&revocation.Error{Code: revocation.CodeUnavailable})
	for range 4 { // at most two of them were sent before the fault
		if e, ok := next(); !ok || e != first {
			t.Fatalf("%v %+v, want %+v", ok, e, first)
		}
	}
	w.faults.jobs.Store(nil)
	w.queue.release()
	e, ok := next()
	for ok && e.name == "progress" {
		e, ok = next()
	}
	if e.name != "done" {
		t.Errorf("%v %+v", ok, e)
	}
}

func TestJobEvents_jobIsDropped(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	job := w.job(items(300)...)
	next := events(t, w.open("/jobs/"+job.ID.String()+"/events").body)
	next()
	w.faults.jobs.Store(&revocation.Error{Code: revocation.CodeNotFound})
	for e, ok := next(); ok; e, ok = next() {
		if e.name != "progress" {
			t.Errorf("%+v", e)
		}
	}
}

func TestJobEvents_outlastTheTimeouts(t *testing.T) {
	const timeout = 500 * time.Millisecond
	w := newWorld(t, func(_ *api.Options, s *httptest.Server) {
		s.Config.WriteTimeout, s.Config.ReadTimeout = timeout, timeout
	})
	w.queue.hold()
	job := w.job(items(300)...)
	began := time.Now()
	next := events(t, w.open("/jobs/"+job.ID.String()+"/events").body)
	for time.Since(began) < 3*timeout {
		if e, ok := next(); !ok || e.name != "progress" {
			t.Fatalf("%v %+v", ok, e)
		}
	}
	w.queue.release()
	e, ok := next()
	for ok && e.name == "progress" {
		e, ok = next()
	}
	if e.name != "done" {
		t.Errorf("%+v", e)
	}
}

func TestJobEvents_callerLeaves(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	job := w.job(items(300)...)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+"/jobs/"+job.ID.String()+"/events", nil)
	w.must(err)
	r.Header.Set("apiKey", secret)
	r.Header.Set("X-Request-Id", "left")
	response, err := w.server.Client().Do(r)
	w.must(err)
	defer response.Body.Close()
	if e, ok := events(t, response.Body)(); !ok || e.name != "progress" {
		t.Fatalf("%+v", e)
	}
	eventually(t, "polled", func() bool { return strings.Contains(goroutines(t), "(*Service).poll(") })
	leave()
	if _, err := io.Copy(io.Discard, response.Body); err == nil {
		t.Error("the stream came to an end")
	}
	if line := w.logLine("left"); line["status"] != 499.0 {
		t.Errorf("%v", line)
	}
	eventually(t, "no poller is left", func() bool { return !strings.Contains(goroutines(t), "(*Service).poll(") })
}

// goroutines returns the stacks of all goroutines.
func goroutines(t *testing.T) string {
	t.Helper()
	var stacks strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
		t.Fatal(err)
	}
	return stacks.String()
}
