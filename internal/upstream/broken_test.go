package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rescind/internal/revocation"
)

// newWithShortTimeout returns a Client whose calls time out after a second.
func newWithShortTimeout(t *testing.T) *Client {
	t.Helper()
	return newTestClient(t, Options{Timeout: time.Second}, testDialer())
}

// afterRequest runs a server that reads a request and then calls then.
func afterRequest(t *testing.T, then func(conn *net.TCPConn, gone <-chan struct{})) (url string) {
	t.Helper()
	return listen(t, func(conn *net.TCPConn, gone <-chan struct{}) {
		readRequest(t, bufio.NewReader(conn))
		then(conn, gone)
	})
}

func write(t *testing.T, conn net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(conn, s); err != nil {
		t.Errorf("the server could not write: %v", err)
	}
}

func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0) // makes Close send a reset
	_ = conn.Close()
}

const headOf100 = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"

func TestClient_InDoubt(t *testing.T) {
	for name, c := range map[string]struct {
		then func(conn *net.TCPConn, gone <-chan struct{})
		want revocation.Reply
	}{
		"silence": {func(_ *net.TCPConn, gone <-chan struct{}) { <-gone }, inDoubt(tooSlow)},
		"silence after the header": {func(conn *net.TCPConn, gone <-chan struct{}) {
			write(t, conn, headOf100)
			<-gone
		}, inDoubt(tooSlow)},
		"silence within the body": {func(conn *net.TCPConn, gone <-chan struct{}) {
			write(t, conn, headOf100+`{"status": "REVOKED"`)
			<-gone
		}, inDoubt(tooSlow)},
		"a body that comes byte by byte": {func(conn *net.TCPConn, gone <-chan struct{}) {
			write(t, conn, headOf100)
			for {
				if _, err := io.WriteString(conn, " "); err != nil {
					return
				}
				select {
				case <-time.After(10 * time.Millisecond):
				case <-gone:
					return
				}
			}
		}, inDoubt(tooSlow)},
		"nothing but 100 Continue": {func(conn *net.TCPConn, gone <-chan struct{}) {
			write(t, conn, "HTTP/1.1 100 Continue\r\n\r\n")
			<-gone
		}, inDoubt(tooSlow)},
		"a closed connection":        {func(*net.TCPConn, <-chan struct{}) {}, inDoubt(brokenOff)},
		"a connection that is reset": {func(conn *net.TCPConn, _ <-chan struct{}) { reset(conn) }, inDoubt(brokenOff)},
		"a connection that is closed on one side": {func(conn *net.TCPConn, gone <-chan struct{}) {
			_ = conn.CloseWrite() // otherwise the client would wait
			<-gone
		}, inDoubt(brokenOff)},
		"half a header": {func(conn *net.TCPConn, _ <-chan struct{}) { write(t, conn, "HTTP/1.1 200 OK\r\nCont") }, inDoubt(brokenOff)},
		"half a body": {func(conn *net.TCPConn, _ <-chan struct{}) {
			write(t, conn, headOf100+`{"status": "REVOKED"}`)
		}, inDoubt(brokenOff)},
		"half a body and a reset": {func(conn *net.TCPConn, _ <-chan struct{}) {
			write(t, conn, headOf100+`{"status": "REVOKED"}`)
			reset(conn)
		}, inDoubt(brokenOff)},
		"half a body, closed on one side": {func(conn *net.TCPConn, gone <-chan struct{}) {
			write(t, conn, headOf100+`{"status": "REVOKED"}`)
			_ = conn.CloseWrite() // otherwise the client would wait
			<-gone
		}, inDoubt(brokenOff)},
		"half of a refusal": {func(conn *net.TCPConn, _ <-chan struct{}) {
			write(t, conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n{")
		}, inDoubt(brokenOff)},
		"chunks without an end": {func(conn *net.TCPConn, _ <-chan struct{}) {
			write(t, conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n{\"status\": \"REVOKED\"}\r\n")
		}, inDoubt(brokenOff)},
		"invalid chunks": {func(conn *net.TCPConn, gone <-chan struct{}) {
			write(t, conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n")
			<-gone
		}, inDoubt(brokenOff)},
		"what is not HTTP": {func(conn *net.TCPConn, gone <-chan struct{}) {
			write(t, conn, "220 mail.example.com ESMTP\r\n")
			<-gone
		}, inDoubt(brokenOff)},
		"two lengths": {func(conn *net.TCPConn, gone <-chan struct{}) {
			write(t, conn, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nContent-Length: 21\r\n\r\n{\"status\":\"REVOKED\"}\n")
			<-gone
		}, inDoubt(brokenOff)},
	} {
		t.Run("after "+name, func(t *testing.T) {
			t.Parallel()
			p := newDefault(t)
			if c.want.Failure.Detail == tooSlow {
				p = newWithShortTimeout(t)
			}
			want(t, p.Revoke(t.Context(), target(afterRequest(t, c.then)), 1, false), c.want)
		})
	}

	t.Run("when it is cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		url := afterRequest(t, func(_ *net.TCPConn, gone <-chan struct{}) {
			cancel()
			<-gone
		})
		want(t, newDefault(t).Revoke(ctx, target(url), 1, false), inDoubt(wasStopped))
	})
	t.Run("when a part of the request was sent", func(t *testing.T) {
		p, _ := newWithConns(t, &faultyConn{keep: 10})
		want(t, p.Revoke(t.Context(), target(answers(t, 200, asJSON, `{"status": "REVOKED"}`)), 1, false), inDoubt(brokenOff))
	})
}

func TestClient_NotInDoubt(t *testing.T) {
	t.Parallel()
	t.Run("when no server listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		url := "http://" + l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		want(t, newDefault(t).Revoke(t.Context(), target(url), 1, false), tried(revocation.CodeUpstreamUnavailable, unreached))
	})
	t.Run("when no server accepts", func(t *testing.T) {
		d := testDialer()
		d.dialTimeout = 100 * time.Millisecond
		p := newTestClient(t, Options{Timeout: time.Hour}, d)
		want(t, p.Revoke(t.Context(), target(fullBacklog(t)), 1, false), tried(revocation.CodeUpstreamUnavailable, unreached))
	})
	t.Run("when no server accepts within the timeout of a call", func(t *testing.T) {
		want(t, newWithShortTimeout(t).Revoke(t.Context(), target(fullBacklog(t)), 1, false), tried(revocation.CodeUpstreamUnavailable, unreached))
	})
	t.Run("when the host has no address", func(t *testing.T) {
		want(t, newDefault(t).Revoke(t.Context(), target("https://host.invalid"), 1, false), tried(revocation.CodeUpstreamUnavailable, unreached))
	})
	t.Run("when nothing of the request was sent", func(t *testing.T) {
		p, _ := newWithConns(t, &faultyConn{})
		want(t, p.Revoke(t.Context(), target(answers(t, 200, asJSON, `{"status": "REVOKED"}`)), 1, false), tried(revocation.CodeUpstreamUnavailable, unreached))
	})
	t.Run("when the call is cancelled before an idle connection takes a byte", func(t *testing.T) {
		url := answers(t, 200, asJSON, `{"status": "REVOKED"}`)
		conn := &faultyConn{keep: 1 << 20}
		p, _ := newWithConns(t, conn)
		want(t, p.Revoke(t.Context(), target(url), 1, false), revoked)
		ctx, cancel := context.WithCancel(t.Context())
		conn.hold(cancel)
		want(t, p.Revoke(ctx, target(url), 2, false), revocation.Reply{})
	})
	t.Run("when the connection breaks after a complete answer", func(t *testing.T) {
		url := afterRequest(t, func(conn *net.TCPConn, _ <-chan struct{}) {
			write(t, conn, revokedAnswer)
			reset(conn)
		})
		got := newDefault(t).Revoke(t.Context(), target(url), 1, false)
		// The reset may arrive before the answer.
		if got.Status != revoked.Status && !got.InDoubt {
			t.Errorf("%+v", got)
		}
	})
	t.Run("when one side is closed after a complete answer", func(t *testing.T) {
		url := afterRequest(t, func(conn *net.TCPConn, gone <-chan struct{}) {
			write(t, conn, revokedAnswer)
			_ = conn.CloseWrite() // otherwise the client would wait
			<-gone
		})
		want(t, newDefault(t).Revoke(t.Context(), target(url), 1, false), revoked)
	})
	t.Run("when the end of the connection ends the answer", func(t *testing.T) {
		url := afterRequest(t, func(conn *net.TCPConn, _ <-chan struct{}) {
			write(t, conn, "HTTP/1.0 200 OK\r\n\r\n{\"status\": \"REVOKED\"}")
		})
		want(t, newDefault(t).Revoke(t.Context(), target(url), 1, false), revoked)
	})
}

func TestClient_GivesUpOnEndlessAnswers(t *testing.T) {
	const declared = 10 << 30
	block := make([]byte, 64<<10)
	for i := range block {
		block[i] = ' '
	}
	for name, c := range map[string]struct {
		head string
		want revocation.Reply
	}{
		"a body of 10 GB":       {fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", declared), undocumented("200")},
		"a body without a size": {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", undocumented("200")},
		"a header":              {"HTTP/1.1 200 OK\r\nX-Endless: ", inDoubt(brokenOff)},
	} {
		t.Run(name, func(t *testing.T) {
			written := make(chan int64, 1)
			url := afterRequest(t, func(conn *net.TCPConn, _ <-chan struct{}) {
				write(t, conn, c.head)
				var total int64
				for total < declared {
					n, err := conn.Write(block)
					total += int64(n)
					if err != nil {
						break
					}
				}
				written <- total
			})
			p := newDefault(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			want(t, p.Revoke(t.Context(), target(url), 1, false), c.want)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
				t.Errorf("%d bytes of memory were used", n)
			}
			// Beyond the bound, the kernel's buffers take some more.
			if n := await(t, "the end of the connection", written); n > 64<<20 {
				t.Errorf("%d bytes were written", n)
			}
		})
	}
}

func TestClient_SendsAtMostOnce(t *testing.T) {
	t.Run("when idle connections are closed", func(t *testing.T) {
		const calls = 300
		var served [calls + 1]atomic.Int64
		url := afterRequestWithID(t, func(conn *net.TCPConn, id int) {
			served[id].Add(1)
			_, _ = io.WriteString(conn, revokedAnswer) // and closes, without having output so
		})
		p := newDefault(t)
		for id := 1; id <= calls; id++ {
			got := p.Revoke(t.Context(), target(url), int64(id), false)
			switch n := served[id].Load(); {
			case n > 1:
				t.Fatalf("call %d was served %d times", id, n)
			case got.Status == revoked.Status && n == 0, !got.InDoubt && got.Failure != nil && n != 0:
				t.Fatalf("call %d was served %d times, and the reply is %+v", id, n, got)
			case got.Status == "":
				t.Fatal("the breaker opened")
			}
		}
	})
	t.Run("when an idle connection takes nothing", func(t *testing.T) {
		var served atomic.Int64
		url := afterRequestWithID(t, func(conn *net.TCPConn, _ int) {
			for r := bufio.NewReader(conn); ; {
				served.Add(1)
				_, _ = io.WriteString(conn, revokedAnswer)
				if _, err := r.Peek(1); err != nil {
					return
				}
				readRequest(t, r)
			}
		})
		first := &faultyConn{keep: 1 << 20}
		p, dialled := newWithConns(t, first, &faultyConn{keep: 1 << 20})
		want(t, p.Revoke(t.Context(), target(url), 1, false), revoked)
		first.failNow.Store(true)
		want(t, p.Revoke(t.Context(), target(url), 2, false), revoked)
		if n := served.Load(); n != 2 || dialled.Load() != 2 {
			t.Errorf("%d requests on %d connections, want 2 on 2", n, dialled.Load())
		}
	})
	t.Run("when an idle connection breaks after a part of the request", func(t *testing.T) {
		url := answers(t, 200, asJSON, `{"status": "REVOKED"}`)
		first := &faultyConn{keep: 1 << 20}
		p, dialled := newWithConns(t, first)
		want(t, p.Revoke(t.Context(), target(url), 1, false), revoked)
		first.failAt(10)
		want(t, p.Revoke(t.Context(), target(url), 2, false), inDoubt(brokenOff))
		if n := dialled.Load(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	})
}

// afterRequestWithID runs a server that reads a request and then calls then with its report_id.
func afterRequestWithID(t *testing.T, then func(conn *net.TCPConn, id int)) (url string) {
	t.Helper()
	return listen(t, func(conn *net.TCPConn, _ <-chan struct{}) {
		var id int
		r := bufio.NewReader(conn)
		if _, err := r.Peek(1); err != nil {
			return // a connection without a request
		}
		if _, err := fmt.Sscanf(readRequest(t, r), `{"report_id":%d`, &id); err != nil {
			t.Error(err)
			return
		}
		then(conn, id)
	})
}

// faultyConn is a connection that breaks after keep bytes were written.
type faultyConn struct {
	net.Conn
	keep    int
	failNow atomic.Bool
	held    func()
	closed  chan struct{}
	closing sync.Once
}

var errFaulty = errors.New("the connection broke")

// failAt makes the connection break after n more bytes.
func (c *faultyConn) failAt(n int) { c.keep = n }

// hold makes the next Write call held and block until the connection is closed.
func (c *faultyConn) hold(held func()) { c.held = held }

func (c *faultyConn) Close() error {
	c.closing.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *faultyConn) Write(p []byte) (int, error) {
	if c.held != nil {
		c.held()
		<-c.closed
		return 0, errFaulty
	}
	if c.failNow.Load() {
		_ = c.Close()
		return 0, errFaulty
	}
	if len(p) <= c.keep {
		c.keep -= len(p)
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(p[:c.keep])
	_ = c.Close()
	return n, errors.Join(err, errFaulty)
}

// newWithConns returns a Client that uses conns for its connections, one after the other.
func newWithConns(t *testing.T, conns ...*faultyConn) (p *Client, dialled *atomic.Int64) {
	t.Helper()
	p, dialled = newDefault(t), new(atomic.Int64)
	dial := p.transport.DialContext
	p.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		faulty := conns[dialled.Add(1)-1]
		faulty.Conn, faulty.closed = conn.(*wire).Conn, make(chan struct{})
		return &wire{Conn: faulty}, nil
	}
	return p, dialled
}

// fullBacklog returns the URL of a listener that accepts no more connections.
func fullBacklog(t *testing.T) (url string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(
		syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0),
	); err != nil {
		t.Fatal(err)
	}
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	host := fmt.Sprintf("127.0.0.1:%d", addr.(*syscall.SockaddrInet4).Port)
	for range 100 {
		conn, err := net.DialTimeout("tcp", host, 100*time.Millisecond)
		if err != nil {
			return "http://" + host
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the backlog does not fill up")
	return ""
}
