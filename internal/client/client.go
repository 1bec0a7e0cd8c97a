// Package client speaks the service's HTTP API: typed, for one service and one API key. It knows of the API
// what the program rescind needs, in the names of the service's OpenAPI document.
//
// What is safe to send twice is sent again while it fails for a reason that passes; every request that begins
// something has an idempotency key of its own, so that it begins it once.
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
	// headerTimeout is from the end of a request to the beginning of its answer. It is far beyond the longest
	// wait, and leaves an upload's last rows time to become durable.
	headerTimeout = 2 * time.Minute
	// maxBody bounds every answer but a stream. The largest page of results is a fraction of it.
	maxBody = 16 << 20
	// maxWait is the longest that the service waits on request.
	maxWait = 30 * time.Second
)

// Options are what a Client is made of.
type Options struct {
	// URL is the service's address, http or https; a path is kept as a prefix.
	URL *url.URL
	// Key is the API key.
	Key string
	// OnRetry is told why a request failed that is sent again after the delay; nil for nobody.
	OnRetry func(err error, in time.Duration)
}

// Client talks to one service. Make it with New. Its methods may be called at the same time.
type Client struct {
	base    string
	key     string
	http    *http.Client
	onRetry func(err error, in time.Duration)
	timing  timing
	// connected is set once there was a connection: before that, nothing shows that the address is right.
	connected atomic.Bool
}

// New makes a client. Redirects are not followed: they could carry the key elsewhere.
func New(o Options) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() // for the proxy of the environment, and HTTP/2
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext
	transport.ResponseHeaderTimeout = headerTimeout
	c := &Client{
		base:    strings.TrimRight(o.URL.Scheme+"://"+o.URL.Host+o.URL.EscapedPath(), "/"),
		key:     o.Key,
		onRetry: o.OnRetry,
		timing:  usualTiming,
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

// request is one request, without what is the same for all.
type request struct {
	method, path   string
	query          url.Values
	header         http.Header
	idempotencyKey string
	prefer         string
	// content is a body of JSON; stream is one of another kind, of a size that is known.
	content []byte
	stream  io.ReadCloser
	size    int64
}

// connectionError is every failure without a whole answer.
type connectionError struct{ err error }

func (e *connectionError) Error() string { return e.err.Error() }
func (e *connectionError) Unwrap() error { return e.err }

// open sends a request once and gives the answer of a success, whose body the caller closes. Any other answer
// is a *Problem.
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

// send is open for an answer that is read whole.
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

// ask sends a request until it is answered, or for as long as patience, and reads the answer.
func ask[T any](ctx context.Context, c *Client, patience time.Duration, r request) (answer T, body []byte, err error) {
	err = c.persist(ctx, patience, func() (err error) {
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

// preferWait asks the service to wait, in whole seconds.
func preferWait(d time.Duration) string {
	d = min(max(d, 0), maxWait)
	return "wait=" + strconv.Itoa(int((d+time.Second-1)/time.Second))
}
