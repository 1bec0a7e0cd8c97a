package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"rescind/internal/api"
	"rescind/internal/revocation"
)

func TestNewJob_idempotency(t *testing.T) {
	w := newWorld(t)
	send := func(t *testing.T, media, query, body string, headers ...string) answer {
		t.Helper()
		return w.upload(media, query, body, append([]string{"Idempotency-Key", "k"}, headers...)...)
	}
	body := manyRows(50)
	first := send(t, asCSV, "?label=a", body)
	first.want(t, http.StatusAccepted, "")
	same := func(t *testing.T, a answer) {
		t.Helper()
		a.want(t, http.StatusAccepted, "")
		if a.str(t, "id") != first.str(t, "id") || a.header.Get("Location") != first.header.Get("Location") || a.header.Get("Retry-After") != "1" {
			t.Errorf("another job: %v %s", a.header, a.body)
		}
	}
	t.Run("the same", func(t *testing.T) { same(t, send(t, asCSV, "?label=a", body)) })
	t.Run("the same, compressed", func(t *testing.T) {
		same(t, send(t, asCSV, "?label=a", gzipped(t, body), "Content-Encoding", "gzip"))
	})
	t.Run("the same, with defaults", func(t *testing.T) {
		same(t, send(t, asCSV+"; charset=utf-8", "?notify_candidate=false&label=%61", body))
	})
	t.Run("the same, in its present state", func(t *testing.T) {
		w.call(http.MethodGet, first.header.Get("Location"), "", "Prefer", "wait=30")
		again := send(t, asCSV, "?label=a", body)
		same(t, again)
		if again.str(t, "state") != "COMPLETED" {
			t.Error(again.body)
		}
	})
	for name, a := range map[string]answer{
		"other content":        send(t, asCSV, "?label=a", body+"\n"),
		"less":                 send(t, asCSV, "?label=a", body[:len(body)-1]),
		"another label":        send(t, asCSV, "?label=b", body),
		"no label":             send(t, asCSV, "", body),
		"another default":      send(t, asCSV, "?label=a&notify_candidate=true", body),
		"another type":         send(t, asNDJSON, "?label=a", body),
		"what is not readable": send(t, asJSON, "", body),
	} {
		t.Run(name, func(t *testing.T) { a.want(t, http.StatusUnprocessableEntity, "idempotency_mismatch") })
	}
	t.Run("faults come first", func(t *testing.T) {
		send(t, asCSV, "?x=1", body).want(t, http.StatusUnprocessableEntity, "invalid")
	})
	t.Run("a body that cannot be decompressed", func(t *testing.T) {
		send(t, asCSV, "?label=a", body, "Content-Encoding", "gzip").want(t, http.StatusBadRequest, "malformed_json")
	})
	t.Run("in another account", func(t *testing.T) {
		a := send(t, asCSV, "?label=a", body, "apiKey", "", "apiKey", otherSecret)
		a.want(t, http.StatusAccepted, "")
		if a.str(t, "id") == first.str(t, "id") {
			t.Error("it is the same job")
		}
	})
	t.Run("without a key", func(t *testing.T) {
		a := w.upload(asCSV, "?label=a", body)
		a.want(t, http.StatusAccepted, "")
		if a.str(t, "id") == first.str(t, "id") {
			t.Error("it is the same job")
		}
	})
}

func TestNewJob_whileAnUploadRuns(t *testing.T) {
	w := newWorld(t)
	running := w.notice(afterBegin)
	c := w.dial()
	c.begin(asCSV, "Idempotency-Key", "k")
	c.chunk(manyRows(6))
	<-running

	a := w.upload(asCSV, "", manyRows(1), "Idempotency-Key", "k")
	a.want(t, http.StatusConflict, "upload_in_progress")
	golden(t, "problem_upload_in_progress", a.body)
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("%v", a.header)
	}
	w.wantNothing(t)

	c.chunk("319\n")
	c.end()
	first := c.answer()
	first.want(t, http.StatusAccepted, "")
	if first.json(t)["total"] != 7.0 {
		t.Error(first.body)
	}
	again := w.upload(asCSV, "", manyRows(6)+"319\n", "Idempotency-Key", "k")
	again.want(t, http.StatusAccepted, "")
	if again.str(t, "id") != first.str(t, "id") {
		t.Error("it is another job")
	}
}

func TestNewJob_connectionBreaks(t *testing.T) {
	for media, c := range map[string]struct {
		text string
		at   uploadStep
	}{
		asCSV:    {manyRows(piece) + "1", beforeAddItems},
		asNDJSON: {"{\"report_id\":318}\n{\"report_id\":1", afterBegin},
		asJSON:   {`{"report_ids":[318,1`, afterBegin},
	} {
		t.Run(media, func(t *testing.T) {
			w := newWorld(t)
			running := w.notice(c.at)
			conn := w.dial()
			conn.begin(media, "Idempotency-Key", "k")
			conn.chunk(c.text)
			<-running
			w.must(conn.Close())

			eventually(t, "the key is free", func() bool {
				a := w.upload(asCSV, "?label=another", manyRows(1), "Idempotency-Key", "k")
				if a.status == http.StatusConflict {
					w.wantNothing(t)
					return false
				}
				a.want(t, http.StatusAccepted, "")
				return true
			})
			if jobs := w.call(http.MethodGet, "/jobs", "").json(t)["data"].([]any); len(jobs) != 1 {
				t.Errorf("%v", jobs)
			}
		})
	}
}

func TestNewJob_silence(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 2 s")
	}
	w := newWorld(t, readTimeoutOf(time.Second))
	for name, encoding := range map[string]string{"as it is": "identity", "packed": "gzip"} {
		t.Run(name, func(t *testing.T) {
			c := w.dial()
			c.begin(asCSV, "Content-Encoding", encoding, "Idempotency-Key", "k")
			text := manyRows(3)
			if encoding == "gzip" {
				// The service may decompress and write received items after the connection has failed.
				text = gzipped(t, manyRows(piece))
			}
			c.chunk(text[:len(text)-9])
			a := c.answer()
			a.want(t, http.StatusRequestTimeout, "request_timeout")
			golden(t, "problem_request_timeout", a.body)
			if a.header.Get("Connection") != "close" {
				t.Errorf("%v", a.header)
			}
			w.wantNothing(t)
		})
	}
	w.upload(asCSV, "", manyRows(1), "Idempotency-Key", "k").want(t, http.StatusAccepted, "")
}

// TestNewJob_slowUpload takes longer than the server's timeouts, with much shorter pauses.
func TestNewJob_slowUpload(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 4 s")
	}
	const limit = 2 * time.Second
	w := newWorld(t, func(_ *api.Options, s *httptest.Server) { s.Config.ReadTimeout, s.Config.WriteTimeout = limit, limit })
	c := w.dial()
	c.begin(asCSV)
	c.chunk("report_id\n")
	rows := 0
	for began := time.Now(); time.Since(began) < 2*limit; rows++ {
		time.Sleep(limit / 40)
		c.chunk("777\n")
	}
	c.end()
	a := c.answer()
	a.want(t, http.StatusAccepted, "")
	if a.json(t)["total"] != float64(rows) {
		t.Errorf("%d rows: %s", rows, a.body)
	}
}

// TestNewJob_slowDatabase makes writing the items slower than the server's write timeout.
func TestNewJob_slowDatabase(t *testing.T) {
	const limit = 200 * time.Millisecond
	for name, c := range map[string]struct {
		status int
		err    error
	}{"accepted": {http.StatusAccepted, nil}, "refused": {http.StatusServiceUnavailable, &revocation.Error{Code: revocation.CodeUnavailable}}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(_ *api.Options, s *httptest.Server) { s.Config.WriteTimeout = limit })
			w.onStep(beforeFinalize, func(revocation.NewJob) error {
				time.Sleep(2 * limit) // longer than the timeout
				return c.err
			})
			w.upload(asCSV, "", manyRows(1)).want(t, c.status, "")
		})
	}
}

func TestNewJob_expectContinue(t *testing.T) {
	w := newWorld(t)
	c := w.dial()
	c.begin(asCSV, "Expect", "100-continue")
	var b [25]byte
	if _, err := io.ReadFull(c, b[:]); err != nil || string(b[:]) != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("%q %v", b, err)
	}
	c.chunk(manyRows(3))
	c.end()
	c.answer().want(t, http.StatusAccepted, "")
}

// longTable generates a CSV of n rows and measures the heap in use. Each row has a reference of 200 bytes, and an ignored
// column of more bytes.
type longTable struct {
	n, more, row int
	rest         string
	most         uint64 // the largest measurement
}

func (s *longTable) Read(p []byte) (int, error) {
	const readings = 20
	if s.rest == "" {
		switch {
		case s.row == 0:
			s.rest = "report_id,client_reference,more\n"
		case s.row > s.n:
			return 0, io.EOF
		default:
			s.rest = fmt.Sprintf("%d,%0200d,%0*d\n", 1_000_000+s.row, s.row, s.more, s.row)
		}
		if s.row%(s.n/readings) == 0 {
			s.most = max(s.most, heapInUse())
		}
		s.row++
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// TestNewJob_memory does not write the items, because most memory for that is not in the program's heap, and because it
// would take minutes with the race detector.
func TestNewJob_memory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	const most = 32 << 20
	for name, body := range map[string]*longTable{
		"many rows": {n: 200_000},                // the references alone are 40 MB
		"long rows": {n: 4_900, more: 12 * 1024}, // 60 MB, in what is written at once
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, jobMaxItems(300_000))
			w.queue.hold()
			w.faults.dropItems.Store(true)
			before := heapInUse()
			response, err := w.uploadFrom(t.Context(), asCSV, body)
			w.must(err)
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			w.must(err)
			if response.StatusCode != http.StatusAccepted || !strings.Contains(string(text), fmt.Sprintf(`"total":%d,`, body.n)) {
				t.Fatalf("%s %s", response.Status, text)
			}
			if grown := int64(body.most) - int64(before); grown > most {
				t.Errorf("%d MiB", grown>>20)
			}
		})
	}
}
