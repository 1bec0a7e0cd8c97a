package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Upload is the content of a new job.
type Upload struct {
	// Content has Size bytes. Each attempt reads it from its beginning.
	Content io.ReaderAt
	Size    int64
	// MediaType is text/csv, the type of .xlsx, application/x-ndjson or application/json. Gzip means that Content is
	// compressed.
	MediaType string
	Gzip      bool
	// Options are the job's options. They must be zero for application/json, whose body contains them.
	Options JobOptions
	// Sent is called from other goroutines with the number of bytes that the current attempt has sent, and the number that it
	// sends in all, which is more than Size if the options need a form. It may be nil.
	Sent func(n, all int64)
}

// JobOptions are the options of a job.
type JobOptions struct {
	// Notify is the default of notify_candidate.
	Notify bool
	// Preview has the job wait for a confirmation.
	Preview bool
	// Sheet is the name of a sheet of a workbook; empty means the first sheet with the required columns.
	Sheet string
	Wishes
}

// values returns the options as parameters of a query or fields of a form.
func (o *JobOptions) values() url.Values {
	v := url.Values{}
	set := func(name, value string, wanted bool) {
		if wanted {
			v.Set(name, value)
		}
	}
	set("notify_candidate", "true", o.Notify)
	set("preview", "true", o.Preview)
	set("sheet", o.Sheet, o.Sheet != "")
	if o.NotBefore != nil {
		v.Set("not_before", o.NotBefore.UTC().Format(time.RFC3339Nano))
	}
	set("reason", o.Reason, o.Reason != "")
	set("candidate_message", o.Message, o.Message != "")
	return v
}

// errStalled is the cause of the cancellation of an attempt that made no progress.
var errStalled = errors.New("the connection stood still")

// NewJob uploads a job. All attempts have the same idempotency key, so that the service creates one job.
func (c *Client) NewJob(ctx context.Context, u Upload) (Job, error) {
	key := rand.Text()
	var body []byte
	values := u.Options.values()
	if u.Options.Reason != "" || u.Options.Message != "" {
		// These texts must not stand in a URL, which logs contain.
		form, err := inForm(u, values)
		if err != nil {
			return Job{}, err
		}
		u, values = form, nil
	}
	err := c.retry(ctx, c.timing.maxPause, func() (err error) {
		body, err = c.upload(ctx, u, values, key)
		return err
	})
	if err != nil {
		return Job{}, err
	}
	j, err := decode[Job](body)
	j.Body = body
	return j, err
}

func (c *Client) upload(ctx context.Context, u Upload, query url.Values, key string) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	content := &content{
		SectionReader: io.NewSectionReader(u.Content, 0, u.Size), sent: u.Sent,
		stall: c.timing.stall, watch: time.AfterFunc(c.timing.stall, func() { cancel(errStalled) }),
	}
	content.watch.Stop() // the first Read starts it
	r := request{
		method: http.MethodPost, path: "/jobs", query: query, idempotencyKey: key, stream: content, size: u.Size,
		// The service can refuse the request before the body is sent.
		header: http.Header{"Content-Type": {u.MediaType}, "Expect": {"100-continue"}},
	}
	if u.Gzip {
		r.header.Set("Content-Encoding", "gzip")
	}
	body, err := c.send(ctx, r)
	switch {
	case err == nil:
		return body, nil
	case content.failure() != nil:
		return nil, fmt.Errorf("read what is uploaded: %w", content.failure())
	case errors.Is(context.Cause(ctx), errStalled):
		return nil, &connectionError{errStalled}
	default:
		return nil, err
	}
}

// content is the body of one attempt. The transport may still read it shortly after the attempt has ended.
type content struct {
	*io.SectionReader
	sent  func(n, all int64)
	stall time.Duration
	watch *time.Timer

	mu     sync.Mutex
	n      int64
	failed error
	closed bool
}

// Read returns io.ErrUnexpectedEOF if the content ends before the size that was announced.
func (c *content) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, io.ErrClosedPipe
	}
	n, err := c.SectionReader.Read(p)
	c.n += int64(n)
	whole := c.n == c.Size()
	if errors.Is(err, io.EOF) && !whole {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.failed = err
	}
	if whole {
		c.watch.Stop()
	} else {
		c.watch.Reset(c.stall)
	}
	if n > 0 && c.sent != nil {
		c.sent(c.n, c.Size())
	}
	return n, err
}

// Close stops the calls of sent and the watch for stalls.
func (c *content) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.watch.Stop()
	return nil
}

func (c *content) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}
