package api_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"rescind/internal/revocation"
)

const (
	asCSV    = "text/csv"
	asNDJSON = "application/x-ndjson"
	asJSON   = "application/json"
)

// uploadStep is a step of an upload at which a test can make the store fail.
type uploadStep int

const (
	beforeBegin uploadStep = iota
	afterBegin
	beforeAddItems
	beforeRenew
	beforeFinalize
	afterFinalize // an error here means that the result of the commit is lost
)

func (s *faultyStore) step(step uploadStep, job revocation.NewJob) error {
	if before := s.beforeUploadStep.Load(); before != nil {
		return (*before)(step, job)
	}
	return nil
}

func (s *faultyStore) BeginJob(ctx context.Context, job revocation.NewJob, lease time.Duration) (*revocation.Binding, error) {
	if err := s.step(beforeBegin, job); err != nil {
		return nil, err
	}
	bound, err := s.Store.BeginJob(ctx, job, lease)
	if err == nil && bound == nil {
		err = s.step(afterBegin, job)
	}
	return bound, err
}

func (s *faultyStore) AddItems(ctx context.Context, job revocation.NewJob, items []revocation.Item, lease time.Duration) error {
	if err := s.step(beforeAddItems, job); err != nil || s.dropItems.Load() {
		return err
	}
	return s.Store.AddItems(ctx, job, items, lease)
}

func (s *faultyStore) RenewUpload(ctx context.Context, job revocation.NewJob, lease time.Duration) error {
	if err := s.step(beforeRenew, job); err != nil {
		return err
	}
	return s.Store.RenewUpload(ctx, job, lease)
}

func (s *faultyStore) FinalizeJob(ctx context.Context, final revocation.FinalJob) (revocation.Job, error) {
	if err := s.step(beforeFinalize, final.NewJob); err != nil {
		return revocation.Job{}, err
	}
	job, err := s.Store.FinalizeJob(ctx, final)
	if err == nil {
		err = s.step(afterFinalize, final.NewJob)
	}
	return job, err
}

// onStep calls do at this step of every upload from now on.
func (w *world) onStep(at uploadStep, do func(revocation.NewJob) error) {
	before := func(step uploadStep, job revocation.NewJob) error {
		if step == at {
			return do(job)
		}
		return nil
	}
	w.faults.beforeUploadStep.Store(&before)
}

// notice returns a channel that receives a value when an upload reaches the step. The upload does not wait for the
// receiver.
func (w *world) notice(at uploadStep) <-chan struct{} {
	reached := make(chan struct{}, 1)
	w.onStep(at, func(revocation.NewJob) error {
		select {
		case reached <- struct{}{}:
		default:
		}
		return nil
	})
	return reached
}

// upload submits a job with this media type and body. query is empty or begins with a question mark.
func (w *world) upload(media, query, body string, headers ...string) answer {
	w.t.Helper()
	return w.call(http.MethodPost, "/jobs"+query, body, append([]string{"Content-Type", "", "Content-Type", media}, headers...)...)
}

// uploadFrom submits a job without a Content-Length.
func (w *world) uploadFrom(ctx context.Context, media string, body io.Reader, headers ...string) (*http.Response, error) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.server.URL+"/jobs", io.MultiReader(body))
	w.must(err)
	r.Header.Set("Content-Type", media)
	r.Header.Set("apiKey", secret)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return w.server.Client().Do(r)
}

// results returns a job's items as "row report_id status message", in their order.
func (w *world) results(a answer) (rows []string) {
	w.t.Helper()
	page := w.call(http.MethodGet, a.header.Get("Location")+"/results?limit=1000", "")
	page.want(w.t, http.StatusOK, "")
	var body struct {
		Data []struct {
			Row             int
			ReportID        *int64 `json:"report_id"`
			Status          string
			Message         string
			ClientReference *string `json:"client_reference"`
			Notification    string
		}
	}
	w.must(json.Unmarshal([]byte(page.body), &body))
	for _, r := range body.Data {
		row := fmt.Sprintf("%d", r.Row)
		if r.ReportID != nil {
			row += fmt.Sprintf(" %d", *r.ReportID)
		}
		row += " " + r.Status
		if r.Status == "INVALID" {
			row += " " + r.Message
		} else if r.Notification != "NOT_REQUESTED" {
			row += " mail"
		}
		if r.ClientReference != nil {
			row += " [" + *r.ClientReference + "]"
		}
		rows = append(rows, row)
	}
	return rows
}

// wantNothing fails the test if the account can see a job or an item.
func (w *world) wantNothing(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/jobs", "/revocations"} {
		if got := w.call(http.MethodGet, path, "").body; got != `{"data":[],"next_cursor":null}` {
			t.Errorf("%s: %.300s", path, got)
		}
	}
}

// wire is a connection on which a test writes the bytes of a request.
type wire struct {
	net.Conn
	t *testing.T
}

func (w *world) dial() wire {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	w.must(err)
	w.t.Cleanup(func() { _ = conn.Close() })
	w.must(conn.SetDeadline(time.Now().Add(time.Minute)))
	return wire{conn, w.t}
}

// begin sends the header of an upload with chunked encoding.
func (c wire) begin(media string, headers ...string) {
	c.t.Helper()
	c.beginAs(secret, media, headers...)
}

func (c wire) beginAs(secret, media string, headers ...string) {
	c.t.Helper()
	head := "POST /jobs HTTP/1.1\r\nHost: x\r\napiKey: " + secret + "\r\nTransfer-Encoding: chunked\r\nContent-Type: " + media + "\r\n"
	for i := 0; i < len(headers); i += 2 {
		head += headers[i] + ": " + headers[i+1] + "\r\n"
	}
	c.write(head + "\r\n")
}

func (c wire) chunk(text string) {
	c.t.Helper()
	c.write(fmt.Sprintf("%x\r\n%s\r\n", len(text), text))
}

func (c wire) end() {
	c.t.Helper()
	c.write("0\r\n\r\n")
}

func (c wire) write(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c wire) answer() answer {
	c.t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if response.Close { // ReadResponse removes the header
		response.Header.Set("Connection", "close")
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.String()
}

// piece is more items than the service writes at once, so that it writes some before the body ends.
const piece = 5001

// manyRows returns a CSV with n rows.
func manyRows(n int) string {
	return "report_id\n" + strings.Repeat("318\n", n)
}
