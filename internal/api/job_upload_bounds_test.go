package api_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rescind/internal/api"
	"rescind/internal/revocation"
)

// newKey adds a key of acme and returns a function that revokes it.
func (w *world) newKey(secret string) (revoke func()) {
	w.t.Helper()
	id := w.addKey("acme", secret, time.Time{}, revocation.Scopes...)
	return func() { w.must(w.store.RevokeKey(w.t.Context(), "acme", id)) }
}

func TestNewJob_revokedKey(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 3 s")
	}
	t.Run("while the body arrives", func(t *testing.T) {
		t.Parallel()
		const secret = "rescind_a-key-that-uploads"
		w := newWorld(t, readTimeoutOf(time.Hour))
		revoke := w.newKey(secret)
		running := w.notice(afterBegin)
		c := w.dial()
		c.beginAs(secret, asCSV, "Idempotency-Key", "k")
		c.chunk(manyRows(3))
		<-running
		revoke()
		a := c.answer() // nothing more is sent
		a.want(t, http.StatusUnauthorized, "unauthorized")
		if a.header.Get("Connection") != "close" || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%v", a.header)
		}
		w.wantNothing(t)
		w.upload(asCSV, "", manyRows(1), "Idempotency-Key", "k").want(t, http.StatusAccepted, "")
	})
	// unknown waits until the API has noticed that a key was revoked.
	unknown := func(t *testing.T, w *world, secret string) {
		t.Helper()
		eventually(t, "the key is unknown", func() bool {
			return w.call(http.MethodGet, "/jobs", "", "apiKey", "", "apiKey", secret).status == http.StatusUnauthorized
		})
	}
	t.Run("before the job is created", func(t *testing.T) {
		t.Parallel()
		const secret = "rescind_a-key-that-has-uploaded"
		w := newWorld(t)
		revoke := w.newKey(secret)
		w.onStep(beforeAddItems, func(revocation.NewJob) error {
			revoke()
			unknown(t, w, secret)
			return nil
		})
		w.upload(asCSV, "", manyRows(3), "apiKey", "", "apiKey", secret).want(t, http.StatusUnauthorized, "unauthorized")
		w.wantNothing(t)
	})
	t.Run("before an existing job is returned", func(t *testing.T) {
		t.Parallel()
		const secret = "rescind_a-key-that-repeats"
		w := newWorld(t)
		revoke := w.newKey(secret)
		w.upload(asCSV, "", manyRows(3), "Idempotency-Key", "k").want(t, http.StatusAccepted, "")
		c := w.dial()
		c.beginAs(secret, asCSV, "Idempotency-Key", "k")
		c.chunk(manyRows(3)[:10])
		revoke()
		unknown(t, w, secret)
		rest := manyRows(3)[10:]
		// On a slow machine the API has ended the upload by now, and may have closed the connection.
		_, _ = fmt.Fprintf(c, "%x\r\n%s\r\n0\r\n\r\n", len(rest), rest)
		c.answer().want(t, http.StatusUnauthorized, "unauthorized")
	})
	t.Run("before a retry is created", func(t *testing.T) {
		t.Parallel()
		const secret = "rescind_a-key-that-tries-again"
		w := newWorld(t)
		failed := w.failedJob(300)
		revoke := w.newKey(secret)
		w.onStep(beforeAddItems, func(revocation.NewJob) error {
			revoke()
			unknown(t, w, secret)
			return nil
		})
		w.call(http.MethodPost, "/jobs/"+failed.ID.String()+"/retry", "", "apiKey", "", "apiKey", secret).
			want(t, http.StatusUnauthorized, "unauthorized")
		w.faults.beforeUploadStep.Store(nil)
		w.call(http.MethodPost, "/jobs/"+failed.ID.String()+"/retry", "").want(t, http.StatusAccepted, "")
	})
}

// TestNewJob_lease checks that an upload that pauses for longer than a lease renews it, and ends when the lease is lost.
func TestNewJob_lease(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	w := newWorld(t, readTimeoutOf(time.Hour))
	var renewals, lose sync.WaitGroup
	renewals.Add(2)
	lose.Add(1)
	n := 0
	w.onStep(beforeRenew, func(job revocation.NewJob) error {
		if n++; n <= 2 {
			renewals.Done()
			return &revocation.Error{Code: revocation.CodeLockTimeout} // a temporary fault
		}
		lose.Wait()
		return w.store.DropJob(t.Context(), job.Account, job.ID)
	})
	c := w.dial()
	c.begin(asCSV)
	c.chunk(manyRows(3))
	renewals.Wait()
	c.chunk("319\n")
	lose.Done()
	a := c.answer() // nothing more is sent
	a.want(t, http.StatusRequestTimeout, "request_timeout")
	golden(t, "problem_upload_lost", a.body)
	w.wantNothing(t)
}

// TestNewJob_blanks sends white space until the service refuses the upload.
func TestNewJob_blanks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 30 s")
	}
	w := newWorld(t)
	var all sync.WaitGroup
	for name, c := range map[string]struct {
		media, begin, blank string
		pack                bool
	}{
		"CSV":       {asCSV, manyRows(3), "\n", false},
		"NDJSON":    {asNDJSON, "{\"report_id\":318}\n", " ", false},
		"JSON":      {asJSON, `{"report_ids":[318`, "\t", false},
		"packed":    {asCSV, manyRows(3), "\n", true},
		"no blanks": {asCSV, manyRows(3), "", true}, // gzip members without content
	} {
		all.Go(func() {
			conn := w.dial()
			parts := func(text string) { conn.chunk(text) }
			if c.pack {
				conn.begin(c.media, "Content-Encoding", "gzip")
				parts = func(text string) { conn.chunk(gzipped(t, text)) }
			} else {
				conn.begin(c.media)
			}
			parts(c.begin)
			began, answered := time.Now(), make(chan answer, 1)
			go func() { answered <- conn.answer() }()
			for tick := time.NewTicker(time.Second); ; {
				select {
				case a := <-answered:
					if a.status != http.StatusRequestTimeout || time.Since(began) < 25*time.Second {
						t.Errorf("%s, after %v: %d %s", name, time.Since(began), a.status, a.body)
					}
					return
				case <-tick.C:
					parts(c.blank)
				}
			}
		})
	}
	all.Wait()
	w.wantNothing(t)
}

func TestNewJob_bombs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 5 s")
	}
	w := newWorld(t, jobMaxItems(1_000_000))
	row := "318" + strings.Repeat(" ", 60_000) + "\n"
	for name, c := range map[string]struct{ media, begin, rest string }{
		"blank lines":      {asNDJSON, "{\"report_id\":318}\n", strings.Repeat("\n", 1<<20)},
		"white space":      {asJSON, `{"report_ids":[318`, strings.Repeat(" ", 1<<20)},
		"one value":        {asCSV, "report_id\n", strings.Repeat("x", 1<<20)},
		"rows of blanks":   {asCSV, "report_id\n", strings.Repeat(row, 16)},
		"an ignored value": {asNDJSON, `{"report_id":318,"x":"`, strings.Repeat("x", 1<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			bomb := newBomb(t, c.begin, c.rest, 1900) // it decompresses to 2 GB, which is less than a job can have
			a := w.upload(c.media, "", bomb, "Content-Encoding", "gzip", "Idempotency-Key", "k")
			a.want(t, http.StatusRequestEntityTooLarge, "too_large")
			w.wantNothing(t)
		})
	}
	t.Run("sent again under a key that is bound", func(t *testing.T) {
		w.upload(asCSV, "", manyRows(3), "Idempotency-Key", "bound").want(t, http.StatusAccepted, "")
		w.upload(asCSV, "", newBomb(t, "report_id\n318\n", strings.Repeat("\n", 1<<20), 1900), "Content-Encoding", "gzip", "Idempotency-Key", "bound").
			want(t, http.StatusRequestEntityTooLarge, "too_large")
	})
}

// TestNewJob_drain stops the service during uploads that go on or wait. Each must end before the server closes its connections.
func TestNewJob_drain(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	const stopping = 20 * time.Second // the time after a SIGTERM
	w := newWorld(t, jobMaxItems(1_000_000))
	w.faults.dropItems.Store(true)
	ended := make(chan string, 4)
	for name, c := range map[string]struct{ begin, part string }{
		"gzip members without content": {gzipped(t, manyRows(3)), strings.Repeat(gzipped(t, ""), 2000)},
		"blank lines":                  {gzipped(t, manyRows(3)), gzipped(t, strings.Repeat("\n", 1000))},
		"rows":                         {gzipped(t, manyRows(3)), gzipped(t, "318\n")},
		"nothing more":                 {gzipped(t, manyRows(3)), ""},
	} {
		conn := w.dial()
		conn.begin(asCSV, "Content-Encoding", "gzip")
		conn.chunk(c.begin)
		answered := make(chan answer, 1)
		go func() { answered <- conn.answer() }()
		go func() {
			part := ""
			if c.part != "" {
				part = fmt.Sprintf("%x\r\n%s\r\n", len(c.part), c.part)
			}
			for tick := time.NewTicker(20 * time.Millisecond); ; {
				select {
				case a := <-answered:
					if a.status != http.StatusServiceUnavailable {
						t.Errorf("%s: %d %s", name, a.status, a.body)
					}
					ended <- name
					return
				case <-tick.C:
					_, _ = io.WriteString(conn, part) // it fails when the connection is closed after the response
				}
			}
		}()
	}
	w.service.Drain()
	timeUp := time.After(stopping)
	for range cap(ended) {
		select {
		case <-ended:
		case <-timeUp:
			t.Fatal("an upload goes on after the service has stopped")
		}
	}
	w.wantNothing(t)
}

// TestNewJob_compressesWell uploads files that compress better than most files of users.
func TestNewJob_compressesWell(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 5 s")
	}
	w := newWorld(t, jobMaxItems(200_000))
	w.queue.hold()
	w.faults.dropItems.Store(true)
	for name, text := range map[string]string{
		"the same row": "report_id,client_reference\n" + strings.Repeat("318,"+strings.Repeat("é", 255)+"\n", 40_000),
		"blank rows":   "report_id\n318\n" + strings.Repeat(" \n", 3_000_000),
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second repeats the first
				a := w.upload(asCSV, "", gzipped(t, text), "Content-Encoding", "gzip", "Idempotency-Key", name)
				a.want(t, http.StatusAccepted, "")
			}
		})
	}
}

// newBomb returns a gzip stream of begin and many repetitions of rest.
func newBomb(t *testing.T, begin, rest string, times int) string {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.WriteString(z, begin); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	packed.WriteString(strings.Repeat(gzipped(t, rest), times)) // members of one stream
	return packed.String()
}

// TestNewJob_atOnce opens the largest number of concurrent uploads.
func TestNewJob_atOnce(t *testing.T) {
	const account, process = 16, 48
	w := newWorld(t, readTimeoutOf(time.Hour))
	secrets := []string{secret}
	for i := range 3 {
		name := fmt.Sprintf("account-%d", i)
		w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{ID: name}))
		secrets = append(secrets, "rescind_the-key-of-"+name)
		w.addKey(name, secrets[i+1], time.Time{}, revocation.Scopes...)
	}
	var started sync.WaitGroup
	w.onStep(afterBegin, func(revocation.NewJob) error {
		started.Done()
		return nil
	})
	open := func(secret string) wire {
		started.Add(1)
		c := w.dial()
		c.beginAs(secret, asCSV)
		c.chunk("report_id\n")
		return c
	}
	var mine []wire
	for range account {
		mine = append(mine, open(secret))
	}
	started.Wait()
	t.Run("of one account", func(t *testing.T) {
		a := w.upload(asCSV, "", manyRows(1))
		a.want(t, http.StatusTooManyRequests, "rate_limited")
		if a.header.Get("Retry-After") == "" || a.header.Get("RateLimit") == "" {
			t.Errorf("%v", a.header)
		}
		w.call(http.MethodPost, "/jobs/"+newID().String()+"/retry", "").want(t, http.StatusTooManyRequests, "rate_limited")
		w.submit(`{"report_id":318}`).want(t, http.StatusOK, "")
	})
	for i := account; i < process; i++ {
		open(secrets[i/account])
	}
	started.Wait()
	t.Run("of all", func(t *testing.T) {
		a := w.upload(asCSV, "", manyRows(1), "apiKey", "", "apiKey", secrets[3])
		a.want(t, http.StatusServiceUnavailable, "unavailable")
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%v", a.header)
		}
		w.submit(`{"report_id":319}`).want(t, http.StatusOK, "")
	})
	t.Run("when one has ended", func(t *testing.T) {
		mine[0].chunk("318\n")
		mine[0].end()
		mine[0].answer().want(t, http.StatusAccepted, "")
		w.faults.beforeUploadStep.Store(nil)
		eventually(t, "there is room", func() bool { return w.upload(asCSV, "", manyRows(1)).status == http.StatusAccepted })
	})
}

// TestNewJob_memoryOfMany checks that the largest number of concurrent uploads fits into the memory of a pod, while each
// has almost a full batch of the longest items.
func TestNewJob_memoryOfMany(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 5 s")
	}
	const uploads, limit = 101, 448 << 20
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit))
	w := newWorld(t, readTimeoutOf(time.Hour), func(o *api.Options, _ *httptest.Server) { o.RateLimit = 1_000_000 })
	secrets := make([]string, uploads/16+1)
	for i := range secrets {
		name := fmt.Sprintf("account-%d", i)
		w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{ID: name}))
		secrets[i] = "rescind_the-key-of-" + name
		w.addKey(name, secrets[i], time.Time{}, revocation.Scopes...)
	}
	w.queue.hold()
	w.faults.dropItems.Store(true)
	reference := strings.Repeat("\U0001F600", 255)
	packed := gzipped(t, "report_id,client_reference\n"+strings.Repeat("318,"+reference+"\n", 4_999))
	before := heapInUse()
	var refused atomic.Int32
	for i := range uploads {
		c := w.dial()
		c.beginAs(secrets[i/16], asCSV, "Content-Encoding", "gzip")
		c.chunk(packed)
		go func() {
			response, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return // admitted uploads get no answer
			}
			defer response.Body.Close()
			if response.StatusCode == http.StatusServiceUnavailable {
				refused.Add(1)
			}
		}()
	}
	eventually(t, "what is too much is refused", func() bool { return refused.Load() == uploads-48 })
	eventually(t, "all that came is read", func() bool { return strings.Count(goroutines(t), "(*wire).Read(") >= 48 })
	if grown := int64(heapInUse()) - int64(before); grown > 128<<20 {
		t.Errorf("%d MiB for %d uploads", grown>>20, uploads)
	}
}
