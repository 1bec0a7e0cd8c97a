package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rescind/internal/revocation"
)

var anySpeed = regexp.MustCompile(`"items_per_second":[0-9.]+`)

// goldenJob is golden without the speed, which differs between runs.
func goldenJob(t *testing.T, name, body string) {
	t.Helper()
	golden(t, name, anySpeed.ReplaceAllString(body, `"items_per_second":1.5`))
}

// mixed returns items that end with every outcome of the database platform.
func mixed() []revocation.Item {
	all := items(300, 1, 999, 300)
	all[0].Notify, all[0].ClientReference = new(true), new("=ticket, \"4711\"")
	return append(all, revocation.Item{Invalid: "report_id must be an integer.", ClientReference: new("odd")})
}

func TestJob(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	job := w.job(mixed()...)
	path := "/jobs/" + job.ID.String()
	queued := w.call(http.MethodGet, path, "")
	queued.want(t, http.StatusOK, "")
	tag := queued.header.Get("ETag")
	t.Run("queued", func(t *testing.T) {
		goldenJob(t, "job_queued", queued.body)
		if queued.header.Get("Content-Type") != "application/json" || queued.header.Get("Vary") != "Prefer" || queued.header.Get("Preference-Applied") != "" {
			t.Errorf("%v", queued.header)
		}
	})
	t.Run("nothing has changed", func(t *testing.T) {
		a := w.call(http.MethodGet, path, "", "If-None-Match", tag)
		if a.status != http.StatusNotModified || a.body != "" || a.header.Get("ETag") != tag || a.header.Get("Vary") != "Prefer" {
			t.Errorf("%d %q %v", a.status, a.body, a.header)
		}
	})
	t.Run("wait=0 does not wait", func(t *testing.T) {
		a := w.call(http.MethodGet, path, "", "Prefer", "respond-async, wait=0")
		if a.status != http.StatusOK || a.body != queued.body || a.header.Get("Preference-Applied") != "wait=0" {
			t.Errorf("%d %s %v", a.status, a.body, a.header)
		}
	})
	t.Run("wait=30 waits for the end", func(t *testing.T) {
		done := make(chan answer)
		go func() { done <- w.call(http.MethodGet, path, "", "Prefer", "wait=30", "If-None-Match", tag) }()
		select {
		case a := <-done:
			t.Fatalf("it did not wait: %s", a.body)
		case <-time.After(100 * time.Millisecond):
		}
		w.queue.release()
		a := <-done
		a.want(t, http.StatusOK, "")
		goldenJob(t, "job_completed", a.body)
		if a.header.Get("ETag") == tag || a.header.Get("Preference-Applied") != "wait=30" {
			t.Errorf("%v", a.header)
		}
		again := w.call(http.MethodGet, path, "", "Prefer", "wait=30")
		if again.body != a.body || again.header.Get("ETag") != a.header.Get("ETag") {
			t.Errorf("then %s", again.body)
		}
	})
	t.Run("upper-case id", func(t *testing.T) {
		if a := w.call(http.MethodGet, "/jobs/"+strings.ToUpper(job.ID.String()), ""); a.str(t, "id") != job.ID.String() {
			t.Error(a.body)
		}
	})
	t.Run("its items are revocations", func(t *testing.T) {
		for row, name := range map[int]string{1: "job_item", 5: "job_item_invalid"} {
			a := w.call(http.MethodGet, "/revocations/"+job.ID.Item(row).String(), "")
			a.want(t, http.StatusOK, "")
			golden(t, name, a.body)
			if a.str(t, "job_id") != job.ID.String() {
				t.Error(a.body)
			}
		}
		var rows []int
		list := w.call(http.MethodGet, "/revocations?job_id="+job.ID.String(), "")
		for _, one := range list.json(t)["data"].([]any) {
			id, _ := revocation.ParseID(one.(map[string]any)["id"].(string))
			rows = append(rows, id.Row())
		}
		if diff := cmp.Diff([]int{4, 3, 2, 1}, rows); diff != "" {
			t.Errorf("rows of the list:\n%s", diff)
		}
	})
	t.Run("while it runs", func(t *testing.T) {
		w.queue.hold()
		job := w.job(w.manyItems(revocation.ChunkSize + 500)...)
		w.carryOutChunk()
		a := w.call(http.MethodGet, "/jobs/"+job.ID.String(), "")
		got := a.json(t)
		counts := got["counts"].(map[string]any)
		if got["state"] != "RUNNING" || got["progress"] != 0.8333 || got["pending"] != 500.0 || counts["REVOKED"] != 250.0 ||
			counts["NOT_FOUND"] != 2250.0 || got["started_at"] == nil || got["finished_at"] != nil {
			t.Error(a.body)
		}
		w.queue.release()
		w.ended(job)
	})
	t.Run("HEAD", func(t *testing.T) {
		a, whole := w.call(http.MethodHead, path, ""), w.call(http.MethodGet, path, "")
		if a.status != http.StatusOK || a.body != "" || a.header.Get("ETag") != whole.header.Get("ETag") || a.header.Get("Content-Length") != fmt.Sprint(len(whole.body)) {
			t.Errorf("%d %q %v", a.status, a.body, a.header)
		}
	})
}

func TestJob_invalidRowsAlone(t *testing.T) {
	w := newWorld(t)
	job := w.job(revocation.Item{Invalid: "report_id is needed."})
	a := w.call(http.MethodGet, "/jobs/"+job.ID.String(), "")
	if got := a.json(t); got["state"] != "COMPLETED" || got["progress"] != 1.0 || got["items_per_second"] != 0.0 || got["eta"] != nil {
		t.Error(a.body)
	}
}

func TestJob_drainEndsWaits(t *testing.T) {
	w := newWorld(t)
	w.queue.hold()
	job := w.job(items(300)...)
	done := make(chan answer)
	go func() { done <- w.call(http.MethodGet, "/jobs/"+job.ID.String(), "", "Prefer", "wait=30") }()
	select {
	case a := <-done:
		t.Fatalf("it did not wait: %s", a.body)
	case <-time.After(100 * time.Millisecond):
	}
	w.service.Drain()
	a := <-done
	a.want(t, http.StatusOK, "")
	if a.str(t, "state") != "QUEUED" {
		t.Error(a.body)
	}
}

func TestJobs(t *testing.T) {
	w := newWorld(t)
	w.jobOf("other", items(9000)...)
	if got := w.call(http.MethodGet, "/jobs", "").body; got != `{"data":[],"next_cursor":null}` {
		t.Fatal(got)
	}
	var ids []string // newest first
	add := func() {
		job := w.job(items(300)...)
		w.ended(job)
		ids = slices.Insert(ids, 0, job.ID.String())
		nextMillisecond(t)
	}
	for range 5 {
		add()
	}
	list := func(t *testing.T, query string) (got []string, next string) {
		t.Helper()
		a := w.call(http.MethodGet, "/jobs?"+query, "")
		a.want(t, http.StatusOK, "")
		body := a.json(t)
		for _, one := range body["data"].([]any) {
			got = append(got, one.(map[string]any)["id"].(string))
		}
		next, _ = body["next_cursor"].(string)
		if _, given := body["next_cursor"]; !given || next != url.QueryEscape(next) {
			t.Errorf("%v", body)
		}
		return got, next
	}
	for limit := 1; limit <= 6; limit++ {
		t.Run(fmt.Sprintf("pages of %d", limit), func(t *testing.T) {
			var all []string
			next := ""
			for more := true; more; more = next != "" {
				var page []string
				page, next = list(t, fmt.Sprintf("limit=%d&cursor=%s", limit, next))
				if len(page) > limit || len(page) == 0 {
					t.Fatalf("a page of %d", len(page))
				}
				all = append(all, page...)
			}
			if diff := cmp.Diff(ids, all); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a new job does not move a cursor", func(t *testing.T) {
		_, next := list(t, "limit=2")
		add()
		got, _ := list(t, "cursor="+next)
		if diff := cmp.Diff(ids[3:], got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("golden", func(t *testing.T) {
		var a answer
		eventually(t, "the other account's job ends", func() bool {
			a = w.call(http.MethodGet, "/jobs", "", "apiKey", "", "apiKey", otherSecret)
			return strings.Contains(a.body, "COMPLETED")
		})
		goldenJob(t, "jobs", a.body)
	})
	t.Run("an upload is not listed before its end", func(t *testing.T) {
		in, ctx, err := w.service.BeginJob(t.Context(), revocation.NewJob{Account: "acme", RequestedBy: newID(), Route: revocation.RouteJobs}, allowed)
		w.must(err)
		defer in.Abandon(t.Context())
		_, err = in.Add(revocation.Item{ReportID: 300})
		w.must(err)
		w.must(in.Flush(ctx))
		if got, _ := list(t, ""); len(got) != len(ids) {
			t.Errorf("%d jobs, want %d", len(got), len(ids))
		}
	})
	for query, want := range map[string][]string{
		"limit=0":                       {"limit out_of_range"},
		"limit=1001&cursor=x":           {"limit out_of_range", "cursor invalid_format"},
		"limit=1&limit=1":               {"limit duplicate_field"},
		"cursor=AZejwo9OexqcPV5vcIGSA_": {"cursor invalid_format"},
		"status=QUEUED":                 {"status unknown_field"},
	} {
		t.Run(query, func(t *testing.T) {
			a := w.call(http.MethodGet, "/jobs?"+query, "")
			a.want(t, http.StatusUnprocessableEntity, "invalid")
			if diff := cmp.Diff(want, faultsOf(t, a)); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

// TestJobs_tenants requests a job of another account with every route.
func TestJobs_tenants(t *testing.T) {
	w := newWorld(t)
	job := w.job(mixed()...)
	w.ended(job)
	upload, _, err := w.service.BeginJob(t.Context(), revocation.NewJob{Account: "other", RequestedBy: newID(), Route: revocation.RouteJobs}, allowed)
	w.must(err)
	defer upload.Abandon(t.Context())
	for _, route := range []struct{ method, after string }{
		{http.MethodGet, ""},
		{http.MethodGet, "/results"},
		{http.MethodGet, "/results?status=REVOKED"},
		{http.MethodGet, "/events"},
		{http.MethodPost, "/cancel"},
		{http.MethodPost, "/retry"},
	} {
		t.Run(route.method+" "+route.after, func(t *testing.T) {
			ask := func(id string, headers ...string) answer {
				a := w.call(route.method, "/jobs/"+id+route.after, "", append(headers, "apiKey", "", "apiKey", otherSecret)...)
				a.want(t, http.StatusNotFound, "not_found")
				return a
			}
			theirs := ask(job.ID.String())
			golden(t, "problem_not_found", theirs.body)
			for _, id := range []string{revocation.JobID(newID()).String(), newID().String(), job.ID.Item(1).String(), "x", "318", "%00", "a%2Fb", strings.Repeat("0", 36)} {
				if a := ask(id); a.body != theirs.body {
					t.Errorf("%s: %s", id, a.body)
				}
			}
			for _, accept := range []string{"text/csv", "application/x-ndjson"} {
				if a := ask(job.ID.String(), "Accept", accept, "If-None-Match", "*", "Prefer", "wait=30"); a.body != theirs.body {
					t.Errorf("%s: %s", accept, a.body)
				}
			}
		})
	}
	t.Run("lists", func(t *testing.T) {
		for _, path := range []string{"/jobs", "/revocations?job_id=" + job.ID.String()} {
			if got := w.call(http.MethodGet, path, "", "apiKey", "", "apiKey", otherSecret).body; got != `{"data":[],"next_cursor":null}` {
				t.Errorf("%s: %s", path, got)
			}
		}
	})
	t.Run("changes nothing", func(t *testing.T) {
		goldenJob(t, "job_completed", w.ended(job).body)
	})
}

func TestJobs_scopes(t *testing.T) {
	w := newWorld(t)
	job := "/jobs/" + w.job(items(300)...).ID.String()
	for path, method := range map[string]string{
		"/jobs": http.MethodGet, job: http.MethodGet, job + "/results?x=1": http.MethodGet, job + "/events": http.MethodGet,
		job + "/cancel": http.MethodPost, job + "/retry": http.MethodPost, "/jobs/x/cancel": http.MethodPost,
	} {
		t.Run(method+" "+path, func(t *testing.T) {
			lacking := writerSecret
			if method == http.MethodPost {
				lacking = readerSecret
			}
			w.call(method, path, "", "apiKey", "", "apiKey", lacking).want(t, http.StatusForbidden, "missing_scope")
			w.call(method, path, "", "apiKey", "").want(t, http.StatusUnauthorized, "unauthorized")
		})
	}
}

func TestJobs_methods(t *testing.T) {
	w := newWorld(t)
	for path, allow := range map[string]string{
		"/jobs/x": "OPTIONS, GET, HEAD", "/jobs/x/results": "OPTIONS, GET, HEAD", "/jobs/x/events": "OPTIONS, GET, HEAD",
		"/jobs/x/cancel": "OPTIONS, POST", "/jobs/x/retry": "OPTIONS, POST",
	} {
		a := w.call(http.MethodDelete, path, "")
		a.want(t, http.StatusMethodNotAllowed, "method_not_allowed")
		if got := a.header.Get("Allow"); got != allow {
			t.Errorf("%s allows %q", path, got)
		}
	}
	w.call(http.MethodGet, "/jobs/x/cancel", "").want(t, http.StatusMethodNotAllowed, "method_not_allowed")
	w.call(http.MethodGet, "/jobs/x/else", "").want(t, http.StatusNotFound, "not_found")
}

// TestJobs_canary sends a word in every part of these requests. The answers and the log must not have it.
func TestJobs_canary(t *testing.T) {
	const canary = "Canary bird!"
	w := newWorld(t)
	escaped := url.PathEscape(canary)
	job := "/jobs/" + w.job(items(300)...).ID.String()
	answers := []answer{
		w.call(http.MethodGet, "/jobs?limit="+escaped+"&cursor="+escaped+"&"+escaped+"=1", ""),
		w.call(http.MethodGet, "/jobs/"+escaped, ""),
		w.call(http.MethodGet, "/jobs/"+escaped+"/events", "", "Last-Event-Id", canary),
		w.call(http.MethodGet, job+"/results?status="+escaped+"&limit="+escaped+"&cursor="+escaped, ""),
		w.call(http.MethodGet, job+"/results?"+escaped+"="+escaped, "", "Accept", "text/csv, "+canary),
		w.call(http.MethodPost, job+"/retry", canary, "Idempotency-Key", canary, "Idempotency-Key", canary),
		w.call(http.MethodPost, "/jobs/"+escaped+"/cancel", canary),
	}
	for i, a := range answers {
		if a.status < 400 || strings.Contains(a.body, "Canary") {
			t.Errorf("%d: %d %s", i, a.status, a.body)
		}
	}
	if strings.Contains(w.log.String(), "Canary") {
		t.Error("it is in the log")
	}
}
