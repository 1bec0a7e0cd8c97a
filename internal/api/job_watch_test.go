package api_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"rescind/internal/revocation"
)

// staleRead begins to watch a job while it is PREVIEWING, reads for that watch that it is PREVIEWED, keeps this reading back,
// and confirms the job. The queue is held then. deliver delivers the reading to the watch that it was made for.
func (w *world) staleRead() (id string, deliver func()) {
	w.t.Helper()
	w.queue.hold()
	id = w.previewingJob(300)
	first := make(chan answer, 1)
	go func() { first <- w.call(http.MethodGet, "/jobs/"+id, "", "Prefer", "wait=30") }()
	eventually(w.t, "the first caller waits", func() bool { return selecting(w.t, "submission.(*Service).Job(") == 1 })
	var once sync.Once
	read, deliverable := make(chan struct{}), make(chan struct{})
	w.faults.afterJob.Store(new(func(job *revocation.Job) {
		if job.State == revocation.JobPreviewed {
			once.Do(func() {
				close(read)
				<-deliverable
			})
		}
	}))
	w.queue.release()
	<-read
	w.queue.hold()
	w.faults.afterJob.Store(nil)
	w.change(id, "confirm", w.countBody(id)).want(w.t, http.StatusAccepted, "")
	return id, func() {
		w.t.Helper()
		close(deliverable)
		if a := <-first; a.str(w.t, "state") != "PREVIEWED" {
			w.t.Errorf("the first caller gets %s", a.body)
		}
	}
}

// selecting counts the goroutines that wait in a select statement of a function.
func selecting(t *testing.T, function string) (n int) {
	t.Helper()
	for stack := range strings.SplitSeq(goroutines(t), "\n\n") {
		state, frames, _ := strings.Cut(stack, "\n")
		top, _, _ := strings.Cut(frames, "\n")
		if strings.Contains(state, "[select") && strings.Contains(top, function) {
			n++
		}
	}
	return n
}

// A caller that has seen that a job is confirmed is not told afterwards that it waits for a confirmation.

func TestJob_waitIgnoresOlderReads(t *testing.T) {
	w := newWorld(t)
	id, deliver := w.staleRead()
	done := make(chan answer)
	go func() { done <- w.call(http.MethodGet, "/jobs/"+id, "", "Prefer", "wait=30") }()
	eventually(t, "the second caller waits", func() bool { return selecting(t, "submission.(*Service).Job(") == 2 })
	deliver()
	w.queue.release()
	if a := <-done; a.str(t, "state") != "COMPLETED" {
		t.Error(a.body)
	}
}

func TestJobEvents_ignoreOlderReads(t *testing.T) {
	w := newWorld(t)
	id, deliver := w.staleRead()
	next := events(t, w.open("/jobs/"+id+"/events").body)
	if first, _ := next(); first.json(t)["state"] != "QUEUED" {
		t.Fatalf("%+v", first)
	}
	eventually(t, "the stream waits", func() bool { return selecting(t, "api.(*API).followJob(") == 1 })
	deliver()
	w.queue.release()
	e, ok := next()
	for ok && e.name == "progress" {
		if state := e.json(t)["state"]; state == "PREVIEWED" {
			t.Errorf("%+v", e)
		}
		e, ok = next()
	}
	if e.name != "done" || e.json(t)["state"] != "COMPLETED" {
		t.Errorf("%v %+v", ok, e)
	}
}
