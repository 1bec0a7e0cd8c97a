// Package client is a typed client of the service's HTTP API, for one service and one API key. It covers the part of the
// API that the program rescind uses, with the names of the OpenAPI document.
//
// The client retries requests that are safe to send twice while they fail for a temporary reason. Every request that
// creates something has its own idempotency key, so that a retry does not create it twice.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	// headerTimeout bounds the time from the end of a request to the start of its response. It is much longer than maxWait,
	// so that the last rows of an upload can become durable.
	headerTimeout = 2 * time.Minute
	// maxBody bounds every response except streams. The largest page of results is much smaller.
	maxBody = 16 << 20
	// maxWait is the longest wait that the service accepts in a Prefer header.
	maxWait = 30 * time.Second
)

// Options are the settings of a Client.
type Options struct {
	// URL is the service's address, with the scheme http or https. Its path is a prefix of all paths.
	URL *url.URL
	// Key is the API key.
	Key string
	// OnRetry is called with the error of a request that will be sent again after the delay. It may be nil.
	OnRetry func(err error, in time.Duration)
}

// Client sends requests to one service. Use New to create one. It is safe for concurrent use.
type Client struct {
	base    string
	key     string
	http    *http.Client
	onRetry func(err error, in time.Duration)
	timing  timing
	// connected is set by the first connection. Until then the address may be wrong.
	connected atomic.Bool
}

// New returns a Client. It does not follow redirects, because they could send the key to another server.
func New(o Options) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() // for the proxy of the environment, and HTTP/2
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext
	transport.ResponseHeaderTimeout = headerTimeout
	c := &Client{
		base:    strings.TrimRight(o.URL.Scheme+"://"+o.URL.Host+o.URL.EscapedPath(), "/"),
		key:     o.Key,
		onRetry: o.OnRetry,
		timing:  defaultTiming,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if c.onRetry == nil {
		c.onRetry = func(error, time.Duration) {}
	}
	return c
}

// request is the part of a request that differs between requests.
type request struct {
	method, path   string
	query          url.Values
	header         http.Header
	idempotencyKey string
	prefer         string
	// content is a JSON body; stream is another body, of size bytes. At most one is set.
	content []byte
	stream  io.ReadCloser
	size    int64
}

// connectionError is the error of a request without a complete response.
type connectionError struct{ err error }

func (e *connectionError) Error() string { return e.err.Error() }
func (e *connectionError) Unwrap() error { return e.err }

// open sends a request once. It returns a response with a 2xx status, whose body the caller must close. For any other
// status it returns a *Problem.
func (c *Client) open(ctx context.Context, r request) (*http.Response, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { c.connected.Store(true) },
	})
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.content))
	if err != nil {
		return nil, err
	}
	if r.stream != nil {
		req.Body, req.GetBody, req.ContentLength = r.stream, nil, r.size
	}
	maps.Copy(req.Header, r.header)
	req.Header.Set("apiKey", c.key)
	req.Header.Set("User-Agent", "rescind")
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	if r.idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", r.idempotencyKey)
	}
	if r.prefer != "" {
		req.Header.Set("Prefer", r.prefer)
	}
	if r.content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, &connectionError{err}
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, problemOf(res)
	}
	return res, nil
}

// send sends a request once and returns the whole body of the response.
func (c *Client) send(ctx context.Context, r request) ([]byte, error) {
	res, err := c.open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, &connectionError{fmt.Errorf("the answer broke off: %w", err)}
	}
	if len(body) > maxBody {
		return nil, errors.New("the answer is too large")
	}
	return body, nil
}

// do sends a request, retries it for up to maxPause of pauses, and decodes the response.
func do[T any](ctx context.Context, c *Client, maxPause time.Duration, r request) (answer T, body []byte, err error) {
	err = c.retry(ctx, maxPause, func() (err error) {
		body, err = c.send(ctx, r)
		return err
	})
	if err == nil {
		answer, err = decode[T](body)
	}
	return answer, body, err
}

func decode[T any](body []byte) (answer T, err error) {
	if err = json.Unmarshal(body, &answer); err != nil {
		err = fmt.Errorf("the answer is not one of rescind's: %w", err)
	}
	return answer, err
}

// preferWait returns the value of a Prefer header for a wait of d, rounded up to whole seconds, of at most maxWait.
func preferWait(d time.Duration) string {
	d = min(max(d, 0), maxWait)
	return "wait=" + strconv.Itoa(int((d+time.Second-1)/time.Second))
}
