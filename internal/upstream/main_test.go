package upstream

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"rescind/internal/revocation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKey = "canary-of-the-key"

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// fakeClock is a clock that a test advances.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *fakeClock { return &fakeClock{now: time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC)} }

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func testDialer() *dialer { return &dialer{dialTimeout: dialTimeout, tlsTimeout: tlsTimeout} }

// newTestClient returns a Client whose connections are closed at the end of the test.
func newTestClient(t *testing.T, o Options, d *dialer) *Client {
	t.Helper()
	if o.Log == nil {
		o.Log = discard()
	}
	p := newClient(o, d)
	t.Cleanup(p.transport.CloseIdleConnections)
	return p
}

func newDefault(t *testing.T) *Client {
	t.Helper()
	return newTestClient(t, Options{}, testDialer())
}

func target(url string) revocation.Target {
	return revocation.Target{Account: "acme", URL: url, Key: testKey}
}

// serve runs a real HTTP server.
func serve(t *testing.T, handler http.HandlerFunc) (url string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// answers runs a server that gives every request the same answer.
func answers(t *testing.T, code int, contentType, body string) (url string) {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	})
}

// listen runs a server that calls conversation for each connection. The connection is closed after conversation has
// returned, or when the test ends, which also closes gone.
func listen(t *testing.T, conversation func(conn *net.TCPConn, gone <-chan struct{})) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			stop := make(chan struct{})
			all.Go(func() {
				defer close(stop)
				conversation(conn.(*net.TCPConn), gone)
				conn.Close()
			})
			all.Go(func() {
				select {
				case <-gone:
					conn.Close()
				case <-stop:
				}
			})
		}
	})
	t.Cleanup(func() {
		close(gone)
		_ = l.Close()
		all.Wait()
	})
	return "http://" + l.Addr().String()
}

// readRequest reads a request with its body.
func readRequest(t *testing.T, r *bufio.Reader) (body string) {
	t.Helper()
	req, err := http.ReadRequest(r)
	if err != nil {
		t.Errorf("the request was not read: %v", err)
		return ""
	}
	content, err := io.ReadAll(req.Body)
	if err != nil {
		t.Errorf("the request's body was not read: %v", err)
	}
	return string(content)
}

const revokedAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"status\":\"REVOKED\"}"

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !condition() {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// tried returns the reply of a failed attempt that is retried.
func tried(code revocation.Code, detail string) revocation.Reply {
	return revocation.Reply{Status: revocation.StatusErrorRevoking, Failure: &revocation.Failure{Code: code, Detail: detail}}
}

func inDoubt(detail string) revocation.Reply {
	r := tried(revocation.CodeUpstreamUnavailable, detail)
	r.InDoubt = true
	return r
}

const (
	unreached  = "The upstream could not be reached."
	tooSlow    = "The upstream did not answer in time."
	brokenOff  = "The connection to the upstream broke before a complete answer had come."
	badCert    = "The upstream's certificate is not valid for its address."
	unusable   = "The account's upstream cannot be called: its URL or its key is not valid."
	cannotNow  = "The upstream could not revoke the invite now."
	tooMany    = "The upstream takes no more requests now (HTTP status 429)."
	wasStopped = "The service stopped before the upstream had answered."
)

func failedWith(status string) revocation.Reply {
	return tried(revocation.CodeUpstreamUnavailable, "The upstream failed with HTTP status "+status+".")
}

func undocumented(status string) revocation.Reply {
	return tried(revocation.CodeUpstreamInvalidAnswer, "The upstream gave an answer that is not documented, with HTTP status "+status+".")
}

func want(t *testing.T, got, want revocation.Reply) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

var revoked = revocation.Reply{Status: revocation.StatusRevoked}

// await receives from ch, and fails the test if nothing comes.
func await[T any](t *testing.T, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(time.Minute):
		t.Fatalf("%s did not come", what)
	}
	return v
}

// logged is a log that a test can read.
type logged struct {
	mu  sync.Mutex
	out strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}
