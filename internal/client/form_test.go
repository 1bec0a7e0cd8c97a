package client

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClient_NewJob_form(t *testing.T) {
	const content = "report_id\n1\n2\n"
	notBefore := time.Date(2026, 12, 31, 18, 0, 0, 0, time.FixedZone("", 3600))
	for name, zip := range map[string]bool{"plain": false, "compressed": true} {
		t.Run(name, func(t *testing.T) {
			var got map[string]string
			s := newScript(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if n == 0 {
					_, _ = io.CopyN(io.Discard, r.Body, 10)
					panic(http.ErrAbortHandler)
				}
				got = readForm(t, r)
				w.WriteHeader(http.StatusAccepted)
				_, _ = io.WriteString(w, jobBody("PREVIEWING", 0))
			})
			c, _ := newTestClient(t, s.URL, nil)
			upload := uploadOf(content)
			if zip {
				b, err := zipped([]byte(content))
				if err != nil {
					t.Fatal(err)
				}
				upload.Content, upload.Size, upload.Gzip = bytes.NewReader(b), int64(len(b)), true
			}
			upload.Options = JobOptions{Notify: true, Preview: true, Sheet: "Liste", Wishes: Wishes{
				NotBefore: &notBefore, Reason: "The role is closed.", Message: "Sorry.\nBye.",
			}}
			var sent, all atomic.Int64
			upload.Sent = func(n, of int64) {
				sent.Store(n)
				all.Store(of)
			}
			if _, err := c.NewJob(t.Context(), upload); err != nil {
				t.Fatal(err)
			}
			if sent.Load() != all.Load() || all.Load() <= upload.Size {
				t.Errorf("Sent %d of %d for a list of %d bytes", sent.Load(), all.Load(), upload.Size)
			}
			want := map[string]string{
				"notify_candidate": "true", "preview": "true", "sheet": "Liste", "not_before": "2026-12-31T17:00:00Z",
				"reason": "The role is closed.", "candidate_message": "Sorry.\nBye.", "file": "text/csv " + content,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, r := range s.requests() {
				if r.query != "" {
					t.Errorf("the URL has %q", r.query)
				}
			}
		})
	}
	t.Run("not without a text", func(t *testing.T) {
		s := newScript(t, func(_ int, w http.ResponseWriter, r *http.Request) { accept(w, r) })
		c, _ := newTestClient(t, s.URL, nil)
		upload := uploadOf(content)
		upload.Options = JobOptions{Preview: true, Wishes: Wishes{NotBefore: &notBefore}}
		if _, err := c.NewJob(t.Context(), upload); err != nil {
			t.Fatal(err)
		}
		if r := s.requests()[0]; r.query != "not_before=2026-12-31T17%3A00%3A00Z&preview=true" || r.header.Get("Content-Type") != "text/csv" {
			t.Errorf("%+v", r)
		}
	})
}

// readForm returns the fields of a form, and its file after the file's type.
func readForm(t *testing.T, r *http.Request) map[string]string {
	t.Helper()
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return nil
		}
		body = unpacked
	}
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		t.Error(err)
		return nil
	}
	fields := make(map[string]string)
	for parts := multipart.NewReader(body, params["boundary"]); ; {
		part, err := parts.NextPart()
		if err == io.EOF { //nolint:errorlint // wrapped, it means that the form has no end
			return fields
		}
		if err != nil {
			t.Error(err)
			return nil
		}
		value, err := io.ReadAll(part)
		if err != nil {
			t.Error(err)
		}
		fields[part.FormName()] = strings.TrimSpace(part.Header.Get("Content-Type") + " " + string(value))
		if part.FileName() != "" {
			fields[part.FormName()] = part.Header.Get("Content-Type") + " " + string(value)
		}
	}
}

func TestJoined(t *testing.T) {
	all := make([]byte, 1000)
	for i := range all {
		all[i] = byte(rand.IntN(256))
	}
	j := &joined{
		parts: []io.ReaderAt{bytes.NewReader(all[:10]), bytes.NewReader(nil), bytes.NewReader(all[10:990]), bytes.NewReader(all[990:])},
		sizes: []int64{10, 0, 980, 10},
	}
	if err := iotest.TestReader(io.NewSectionReader(j, 0, 1000), all); err != nil {
		t.Error(err)
	}
	j.sizes[2] = 981 // the file has become shorter
	if _, err := io.ReadAll(io.NewSectionReader(j, 0, 1001)); err != nil {
		t.Error(err)
	}
	if n, err := j.ReadAt(make([]byte, 1001), 0); n != 990 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
