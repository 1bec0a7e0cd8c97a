package api_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"rescind/internal/revocation"
)

// TestSlots_ofAnAccount starts requests of one account and one kind that do not end, until one is refused. The service
// must still serve another account, and must serve the account again when the requests have ended.
func TestSlots_ofAnAccount(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 6 s")
	}
	w := newWorld(t)
	w.queue.hold()
	job := w.job(w.manyItems(30)...)
	path := "/jobs/" + job.ID.String()
	for _, kind := range []struct {
		name, path string
		header     []string
		// blocks reports whether the test must block the store to keep the request running.
		blocks bool
	}{
		{name: "reads", path: path + "/results", blocks: true},
		{name: "streams", path: path + "/results", header: []string{"Accept", "text/csv"}, blocks: true},
		{name: "events", path: path + "/events"},
		{name: "waits", path: path, header: []string{"Prefer", "wait=30"}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if kind.blocks {
				w.faults.beforeResults.Store(new(func(revocation.ResultFilter) { <-ctx.Done() }))
				defer w.faults.beforeResults.Store(nil)
			}
			refused := make(chan *http.Response, 1)
			var requests sync.WaitGroup
			started := 0
			start := func() {
				started++
				requests.Go(func() {
					r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+kind.path, nil)
					if err != nil {
						t.Error(err)
						return
					}
					r.Header.Set("apiKey", secret)
					for i := 0; i < len(kind.header); i += 2 {
						r.Header.Set(kind.header[i], kind.header[i+1])
					}
					response, err := w.server.Client().Do(r)
					if err != nil {
						return // the context was cancelled
					}
					if response.StatusCode == http.StatusTooManyRequests {
						select {
						case refused <- response:
						default:
						}
					}
					<-ctx.Done()
					_ = response.Body.Close()
				})
			}
			var refusal *http.Response
			for refusal == nil && started < 1000 {
				start()
				select {
				case refusal = <-refused:
				default:
				}
			}
			if refusal == nil {
				select {
				case refusal = <-refused:
				case <-time.After(time.Minute):
					t.Fatalf("all %d requests were admitted", started)
				}
			}
			h := refusal.Header
			if h.Get("Retry-After") != "1" || h.Get("RateLimit-Remaining") != "0" || h.Get("RateLimit-Policy") != `"`+kind.name+`";q=`+h.Get("RateLimit-Limit")+`;qu="concurrent-requests"` {
				t.Errorf("%v", h)
			}
			w.call(http.MethodGet, "/revocations", "", "apiKey", "", "apiKey", otherSecret).want(t, http.StatusOK, "")
			w.submit(`{"report_id":318}`, "Prefer", "wait=1").want(t, http.StatusAccepted, "")
			cancel()
			requests.Wait()
			eventually(t, "a request is admitted again", func() bool {
				header := kind.header
				if kind.name == "waits" {
					header = []string{"Prefer", "wait=1"} // the job does not end
				}
				a := w.call(http.MethodHead, kind.path, "", header...)
				return a.status == http.StatusOK
			})
		})
	}
}

// TestPages_ofAnAccount has the database read a page of one account for long.
func TestPages_ofAnAccount(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 2 s")
	}
	w := newWorld(t)
	job := w.job(items(300)...)
	w.ended(job)
	path := "/jobs/" + job.ID.String() + "/results"
	reading, end := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(end) })
	defer release() // otherwise the server waits for the request forever
	w.faults.beforeResults.Store(new(func(revocation.ResultFilter) {
		close(reading)
		<-end
	}))
	first := make(chan answer, 1)
	go func() { first <- w.call(http.MethodGet, path, "") }()
	<-reading
	w.faults.beforeResults.Store(nil)
	answers := make(chan answer, 4)
	for _, waits := range []string{path, "/revocations", "/jobs", "/invites"} {
		go func() { answers <- w.call(http.MethodGet, waits, "") }()
	}
	for _, path := range []string{"/revocations", "/jobs", "/invites"} {
		w.call(http.MethodGet, path, "", "apiKey", "", "apiKey", otherSecret).want(t, http.StatusOK, "")
	}
	w.submit(`{"report_id":318}`).want(t, http.StatusOK, "")
	for range cap(answers) {
		a := <-answers
		a.want(t, http.StatusServiceUnavailable, "unavailable")
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("%v", a.header)
		}
	}
	release()
	a := <-first
	a.want(t, http.StatusOK, "")
	w.call(http.MethodGet, path, "").want(t, http.StatusOK, "")
}
