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
	// Content is read in pieces, and from its beginning again when an upload broke.
	Content io.ReaderAt
	Size    int64
	// MediaType is text/csv, .xlsx's, application/x-ndjson or application/json, and Gzip tells that it is compressed.
	MediaType string
	Gzip      bool
	// Notify is the default for rows that say nothing about an email. A content of application/json says it
	// itself.
	Notify bool
	// Sheet is the sheet of a workbook; empty for the first that suits.
	Sheet string
	// Sent is told from other goroutines how many bytes of the present attempt have been handed over; nil for
	// nobody.
	Sent func(n int64)
}

// errStalled ends an attempt whose connection takes nothing any more.
var errStalled = errors.New("the connection stood still")

// NewJob uploads a job. All attempts have one idempotency key, so that the job is made once whatever breaks.
func (c *Client) NewJob(ctx context.Context, u Upload) (Job, error) {
	key := rand.Text()
	var body []byte
	err := c.persist(ctx, c.timing.patience, func() (err error) {
		body, err = c.upload(ctx, u, key)
		return err
	})
	if err != nil {
		return Job{}, err
	}
	j, err := decode[Job](body)
	j.Body = body
	return j, err
}

func (c *Client) upload(ctx context.Context, u Upload, key string) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	content := &content{
		SectionReader: io.NewSectionReader(u.Content, 0, u.Size), sent: u.Sent,
		stall: c.timing.stall, watch: time.AfterFunc(c.timing.stall, func() { cancel(errStalled) }),
	}
	content.watch.Stop() // until the first byte is wanted
	r := request{
		method: http.MethodPost, path: "/jobs", idempotencyKey: key, stream: content, size: u.Size,
		// A service that will not take it says so before it is sent.
		header: http.Header{"Content-Type": {u.MediaType}, "Expect": {"100-continue"}},
	}
	if u.Gzip {
		r.header.Set("Content-Encoding", "gzip")
	}
	r.query = url.Values{}
	if u.Notify {
		r.query.Set("notify_candidate", "true")
	}
	if u.Sheet != "" {
		r.query.Set("sheet", u.Sheet)
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

// content is what one attempt reads. The transport may go on reading for a moment after the attempt has ended.
type content struct {
	*io.SectionReader
	sent  func(int64)
	stall time.Duration
	watch *time.Timer

	mu     sync.Mutex
	n      int64
	failed error
	closed bool
}

// Read tells apart the end that was announced and one before it, which is a failure of this side.
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
		c.sent(c.n)
	}
	return n, err
}

// Close ends what the attempt tells.
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
