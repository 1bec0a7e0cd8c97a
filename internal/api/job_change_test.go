package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
)

func TestCancelJob(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	all := items(300, 301, 302)
	job := w.job(append(all, w.manyItems(revocation.ChunkSize)...)...)
	path := "/jobs/" + job.ID.String()
	w.carryOutChunk()
	cancelled := w.call(http.MethodPost, path+"/cancel", "{")
	t.Run("cancelling", func(t *testing.T) {
		cancelled.want(t, http.StatusAccepted, "")
		if got := cancelled.json(t); got["state"] != "CANCELLING" || got["pending"] != 3.0 || got["id"] != job.ID.String() {
			t.Error(cancelled.body)
		}
	})
	t.Run("again", func(t *testing.T) {
		again := w.call(http.MethodPost, path+"/cancel", "", "apiKey", "", "apiKey", writerSecret)
		again.want(t, http.StatusAccepted, "")
		if again.str(t, "state") != "CANCELLING" {
			t.Error(again.body)
		}
	})
	t.Run("refuses a retry before its end", func(t *testing.T) {
		a := w.call(http.MethodPost, path+"/retry", "")
		a.want(t, http.StatusConflict, "job_running")
		golden(t, "problem_job_running", a.body)
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("%v", a.header)
		}
	})
	w.queue.release()
	t.Run("cancelled", func(t *testing.T) {
		goldenJob(t, "job_cancelled", w.ended(job).body)
		results := w.call(http.MethodGet, path+"/results?status=CANCELLED", "").json(t)["data"].([]any)
		if len(results) != 3 {
			t.Fatalf("%d items are cancelled", len(results))
		}
		if first := results[0].(map[string]any); first["message"] != "The job was cancelled first." || first["row"] != 2501.0 {
			t.Error(first)
		}
	})
	t.Run("again after its end", func(t *testing.T) {
		again := w.call(http.MethodPost, path+"/cancel", "")
		again.want(t, http.StatusAccepted, "")
		if now := w.call(http.MethodGet, path, ""); again.body != now.body || again.str(t, "state") != "CANCELLED" {
			t.Errorf("%s\nis not the job as it is:\n%s", again.body, now.body)
		}
	})
	t.Run("a completed job", func(t *testing.T) {
		completed := w.job(items(303)...)
		w.ended(completed)
		a := w.call(http.MethodPost, "/jobs/"+completed.ID.String()+"/cancel", "")
		a.want(t, http.StatusConflict, "job_ended")
		golden(t, "problem_job_ended", a.body)
		if a.header.Get("Retry-After") != "" {
			t.Errorf("%v", a.header)
		}
	})
}

func TestRetryJob(t *testing.T) {
	w := newWorld(t)
	failed := w.failedJob(300, 301, 999)
	path := "/jobs/" + failed.ID.String() + "/retry"
	retried := w.call(http.MethodPost, path, "not JSON", "Content-Type", "text/plain", "apiKey", "", "apiKey", writerSecret)
	retried.want(t, http.StatusAccepted, "")
	id, _ := revocation.ParseID(retried.str(t, "id"))

	t.Run("is a new job", func(t *testing.T) {
		if id == failed.ID || retried.header.Get("Location") != "/jobs/"+id.String() || retried.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v", retried.body, retried.header)
		}
		if got := retried.json(t); got["retry_of"] != failed.ID.String() || got["total"] != 3.0 || got["label"] != "closed positions" {
			t.Error(retried.body)
		}
		goldenJob(t, "job_retried", w.ended(revocation.Job{ID: id}).body)
	})
	t.Run("of the items that failed", func(t *testing.T) {
		var got []string
		for _, one := range w.call(http.MethodGet, "/jobs/"+id.String()+"/results", "").json(t)["data"].([]any) {
			r := one.(map[string]any)
			got = append(got, fmt.Sprintf("%v %v %v %v", r["report_id"], r["status"], r["client_reference"], r["notification"]))
		}
		want := []string{"300 REVOKED reference PENDING", "301 REVOKED reference NOT_REQUESTED", "999 NOT_FOUND reference SKIPPED"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("there are none", func(t *testing.T) {
		a := w.call(http.MethodPost, "/jobs/"+id.String()+"/retry", "")
		a.want(t, http.StatusUnprocessableEntity, "invalid")
		golden(t, "problem_nothing_to_retry", a.body)
	})
	t.Run("while it runs", func(t *testing.T) {
		w.queue.hold()
		running := w.job(items(302)...)
		w.call(http.MethodPost, "/jobs/"+running.ID.String()+"/retry", "").want(t, http.StatusConflict, "job_running")
		w.queue.release()
		w.ended(running)
	})
	t.Run("an idempotency key", func(t *testing.T) {
		first := w.call(http.MethodPost, path, "", "Idempotency-Key", "k1")
		first.want(t, http.StatusAccepted, "")
		key, _ := revocation.ParseID(first.str(t, "id"))
		present := w.ended(revocation.Job{ID: key})
		again := w.call(http.MethodPost, path, "", "Idempotency-Key", "k1")
		again.want(t, http.StatusAccepted, "")
		if again.body != present.body || again.header.Get("Location") != first.header.Get("Location") {
			t.Errorf("(-present +again):\n%s", cmp.Diff(present.body, again.body))
		}
	})
	t.Run("while another retry of it has not ended", func(t *testing.T) {
		w.queue.hold()
		live := w.call(http.MethodPost, path, "", "Idempotency-Key", "live")
		live.want(t, http.StatusAccepted, "")
		for _, headers := range [][]string{nil, {"Idempotency-Key", "another"}} {
			a := w.call(http.MethodPost, path, "", headers...)
			a.want(t, http.StatusConflict, "retry_running")
			golden(t, "problem_retry_running", a.body)
			if a.str(t, "job_id") != live.str(t, "id") || a.header.Get("Retry-After") != "1" {
				t.Errorf("%v %s, want job %s", a.header, a.body, live.str(t, "id"))
			}
		}
		again := w.call(http.MethodPost, path, "", "Idempotency-Key", "live")
		again.want(t, http.StatusAccepted, "")
		if again.str(t, "id") != live.str(t, "id") {
			t.Error(again.body)
		}
		w.queue.release()
		id, _ := revocation.ParseID(live.str(t, "id"))
		w.ended(revocation.Job{ID: id})
		next := w.call(http.MethodPost, path, "", "Idempotency-Key", "another") // it was not bound
		next.want(t, http.StatusAccepted, "")
		id, _ = revocation.ParseID(next.str(t, "id"))
		w.ended(revocation.Job{ID: id})
	})
	t.Run("concurrent requests create one retry", func(t *testing.T) {
		failed := w.failedJob(304)
		w.queue.hold()
		answers := make([]answer, 8)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = w.call(http.MethodPost, "/jobs/"+failed.ID.String()+"/retry", "") })
		}
		all.Wait()
		w.queue.release()
		made, named := map[string]bool{}, map[string]bool{}
		for _, a := range answers {
			if a.status == http.StatusAccepted {
				made[a.str(t, "id")] = true
				continue
			}
			a.want(t, http.StatusConflict, "retry_running")
			named[a.str(t, "job_id")] = true
		}
		if len(made) != 1 || !maps.Equal(made, named) {
			t.Errorf("created %v, and the other responses name %v", made, named)
		}
		for id := range made {
			retry, _ := revocation.ParseID(id)
			w.ended(revocation.Job{ID: retry})
		}
	})
	t.Run("a key returns its retry before other checks", func(t *testing.T) {
		failed := w.failedJob(305)
		path := "/jobs/" + failed.ID.String() + "/retry"
		first := w.call(http.MethodPost, path, "", "Idempotency-Key", "k3")
		first.want(t, http.StatusAccepted, "")
		id, _ := revocation.ParseID(first.str(t, "id"))
		w.ended(revocation.Job{ID: id})
		gone := func(job *revocation.Job) {
			if job.ID == failed.ID {
				job.State = revocation.JobRunning // so that the check of the state would fail
			}
		}
		w.faults.afterJob.Store(&gone)
		defer w.faults.afterJob.Store(nil)
		again := w.call(http.MethodPost, path, "", "Idempotency-Key", "k3")
		again.want(t, http.StatusAccepted, "")
		if again.str(t, "id") != first.str(t, "id") {
			t.Error(again.body)
		}
	})
	t.Run("a key that another retry has", func(t *testing.T) {
		other := w.failedJob(303)
		a := w.call(http.MethodPost, "/jobs/"+other.ID.String()+"/retry", "", "Idempotency-Key", "k1")
		a.want(t, http.StatusUnprocessableEntity, "idempotency_mismatch")
	})
	t.Run("an invalid key", func(t *testing.T) {
		a := w.call(http.MethodPost, path, "", "Idempotency-Key", "a", "Idempotency-Key", "b")
		a.want(t, http.StatusUnprocessableEntity, "invalid")
		if got := faultsOf(t, a); !slices.Equal(got, []string{"Idempotency-Key duplicate_field"}) {
			t.Error(got)
		}
	})
	t.Run("a key whose request is running", func(t *testing.T) {
		in, _, err := w.service.BeginJob(t.Context(), revocation.NewJob{
			Account: "acme", RequestedBy: newID(), Route: revocation.RouteRetry, IdempotencyKey: "k2",
		}, allowed)
		w.must(err)
		a := w.call(http.MethodPost, path, "", "Idempotency-Key", "k2")
		a.want(t, http.StatusConflict, "upload_in_progress")
		golden(t, "problem_upload_in_progress", a.body)
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("%v", a.header)
		}
		in.Abandon(t.Context())
		w.call(http.MethodPost, path, "", "Idempotency-Key", "k2").want(t, http.StatusAccepted, "")
	})
	t.Run("the same key in another account", func(t *testing.T) {
		a := w.call(http.MethodPost, path, "", "Idempotency-Key", "k1", "apiKey", "", "apiKey", otherSecret)
		a.want(t, http.StatusNotFound, "not_found")
	})
}
