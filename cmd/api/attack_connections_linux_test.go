package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rescind/internal/testservers"
)

const (
	idleConnections = 10_000
	// mostMemory is the memory limit of a process in deploy/kubernetes.
	mostMemory = 512 << 20
)

// besieged is an API under several attacks at once.
type besieged struct {
	*production
	address string
	api     *running
}

// dial opens a connection that the end of the test closes.
func (b *besieged) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// send writes a request unchanged, and returns the status of the response, or 0 if the connection was closed without one.
func (b *besieged) send(t *testing.T, request string) int {
	t.Helper()
	conn := b.dial(t)
	go func() { _, _ = io.WriteString(conn, request) }() // the server may not read all of it
	if err := conn.SetReadDeadline(time.Now().Add(eventually)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("no answer")
		}
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// closed waits until the server has closed a connection.
func closed(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(eventually)); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

// answers fails the test unless the API answers requests.
func (b *besieged) answers(t *testing.T, report int) {
	t.Helper()
	c := client{t, b.url, b.key}
	if a := c.revoke(report, false, "wait=30"); a.code != http.StatusOK || a.body["final"] != true {
		t.Errorf("while it is attacked: %d %v", a.code, a.body)
	}
}

// memory returns the largest memory of the API so far, in bytes.
func (b *besieged) memory(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.api.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(text), "VmHWM:")
	peak, _, _ = strings.Cut(peak, " kB")
	kilobytes, err := strconv.Atoi(strings.TrimSpace(peak))
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// allowConnections raises the limit of open files of this process and its children to what the test needs.
func allowConnections(t *testing.T) {
	t.Helper()
	const need = idleConnections + 2000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= need {
		return
	}
	limit.Cur, limit.Max = need, max(limit.Max, need)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatalf("this test needs %d open files: %v; raise the limit with ulimit -Hn", need, err)
	}
}

// asShipped builds the API without the race detector, which needs several times the memory.
func asShipped(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "api")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "rescind/cmd/api").CombinedOutput(); err != nil {
		t.Fatalf("build the API: %v\n%s", err, out)
	}
	return program
}

// TestAttacks runs all attacks on one API at once, and checks that the API still answers other callers.
func TestAttacks(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	allowConnections(t)
	p := startProduction(t)
	p.startWorker()
	b := &besieged{production: p, address: fmt.Sprintf("127.0.0.1:%d", testservers.FreePort(t))}
	b.url = "http://" + b.address
	b.api = start(t, append(p.env, "GOMEMLIMIT=448MiB", "HTTP_ADDR="+b.address, "ADMIN_ADDR=127.0.0.1:0"), asShipped(t), "serve")
	until(t, "the API is alive", func() bool { return status(t, b.url+"/healthz") == 200 })
	job := p.upload(40_000, "")
	p.ended(job)

	t.Run("attacks", func(t *testing.T) {
		t.Run("idle connections", func(t *testing.T) { t.Parallel(); b.idle(t) })
		t.Run("headers that never end", func(t *testing.T) { t.Parallel(); b.slowHeaders(t) })
		t.Run("a body that never ends", func(t *testing.T) {
			t.Parallel()
			status := b.send(t, "POST /assessments/invite/revoke HTTP/1.1\r\nHost: localhost\r\napiKey: "+b.key+
				"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
			if status != http.StatusRequestTimeout {
				t.Errorf("status %d", status)
			}
		})
		t.Run("a stream that nobody reads", func(t *testing.T) { t.Parallel(); b.unread(t, job) })
		t.Run("floods of headers", func(t *testing.T) { t.Parallel(); b.headerFloods(t) })
		t.Run("bombs", func(t *testing.T) { t.Parallel(); b.bombs(t) })
	})
	b.answers(t, 900)
	most := b.memory(t)
	if most > mostMemory {
		t.Errorf("it took %d MiB", most>>20)
	} else {
		t.Logf("it took %d MiB", most>>20)
	}
}

// idle holds connections of which every second one was used once. The server closes the others, because no request comes.
func (b *besieged) idle(t *testing.T) {
	conns := make([]net.Conn, idleConnections)
	var dialing sync.WaitGroup
	for part := range 20 {
		dialing.Go(func() {
			for i := part; i < len(conns); i += 20 {
				conn, err := b.connect(i%2 == 0)
				// On a slow machine, the server may close a connection as idle before it is used.
				for deadline := time.Now().Add(eventually); err != nil && time.Now().Before(deadline); {
					conn, err = b.connect(i%2 == 0)
				}
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				conns[i] = conn
			}
		})
	}
	dialing.Wait()
	defer func() {
		for _, conn := range conns {
			if conn != nil {
				_ = conn.Close()
			}
		}
	}()
	if t.Failed() {
		return
	}
	b.answers(t, 901)
	for i := 1; i < len(conns); i += 2 {
		closed(t, conns[i])
	}
}

// connect opens a connection, and sends a request on it if it is one to be used.
func (b *besieged) connect(used bool) (net.Conn, error) {
	conn, err := net.Dial("tcp", b.address)
	if err != nil || !used {
		return conn, err
	}
	if _, err = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err == nil {
		var res *http.Response
		if res, err = http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			return conn, res.Body.Close()
		}
	}
	_ = conn.Close()
	return nil, err
}

func (b *besieged) slowHeaders(t *testing.T) {
	var slow sync.WaitGroup
	defer slow.Wait()
	for range 100 {
		conn := b.dial(t)
		slow.Go(func() {
			_, err := io.WriteString(conn, "GET /jobs HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
			for ; err == nil; time.Sleep(200 * time.Millisecond) { // a byte now and then, until the server closes the connection
				_, err = io.WriteString(conn, "x")
			}
		})
		slow.Go(func() {
			closed(t, conn)
			_ = conn.Close()
		})
	}
	b.answers(t, 902)
}

// unread requests far more data than the buffers of connections hold, and does not read it.
func (b *besieged) unread(t *testing.T, job string) {
	conn := b.dial(t)
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	_, err := io.WriteString(conn, "GET /jobs/"+job+"/results HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: unread\r\nAccept: application/x-ndjson\r\napiKey: "+b.key+"\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the stream is given up", func() bool {
		for line := range strings.Lines(b.api.log()) {
			if strings.Contains(line, `"request_id":"unread"`) {
				return strings.Contains(line, "timeout")
			}
		}
		return false
	})
}

func (b *besieged) headerFloods(t *testing.T) {
	refused := 0
	const begin = "GET /revocations HTTP/1.1\r\nHost: localhost\r\n"
	for name, flood := range map[string]string{
		"a large one":    begin + "X-Large: " + strings.Repeat("x", 4<<20) + "\r\n\r\n",
		"many":           begin + strings.Repeat("x: y\r\n", 1<<20) + "\r\n",
		"many keys":      begin + strings.Repeat("apiKey: "+b.key+"\r\n", 10_000) + "\r\n",
		"a long address": "GET /" + strings.Repeat("x", 4<<20) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		for range 20 {
			// If the server closes the connection with unread data, it can be reset before the response arrives.
			switch status := b.send(t, flood); status {
			case http.StatusRequestHeaderFieldsTooLarge:
				refused++
			case 0:
			default:
				t.Errorf("%s: status %d", name, status)
			}
		}
	}
	if refused == 0 {
		t.Error("no flood was told why it is refused")
	}
	b.answers(t, 903)
}

// bombs uploads bodies that are small when compressed and large when decompressed, or deeply nested.
func (b *besieged) bombs(t *testing.T) {
	const size = 32 // in MiB
	packed := func(begin, one string) string {
		var bomb bytes.Buffer
		w := gzip.NewWriter(&bomb)
		many := []byte(strings.Repeat(one, 1<<20/len(one)))
		_, err := io.WriteString(w, begin)
		for range size {
			if err == nil {
				_, err = w.Write(many)
			}
		}
		if err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		return bomb.String()
	}
	for name, bomb := range map[string]struct{ media, content string }{
		"a row without end":    {"text/csv", packed("report_id\n", "0")},
		"a cell without end":   {"text/csv", packed("report_id\n\"", "0")},
		"a line without end":   {"application/x-ndjson", packed("", " ")},
		"a string without end": {"application/json", packed(`{"label":"`, "0")},
		"an item without end":  {"application/json", packed(`{"report_ids":["`, "0")},
		"a deep document":      {"application/json", packed("", "[")},
		"a deep item":          {"application/json", packed(`{"items":[`, "[")},
		"a deep object":        {"application/json", packed(`{"items":[`, `{"x":`)},
		"zeros":                {"application/json", packed("", "\x00")},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/jobs", strings.NewReader(bomb.content))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("apiKey", b.key)
		req.Header.Set("Content-Type", bomb.media)
		req.Header.Set("Content-Encoding", "gzip")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode >= 500 {
			t.Errorf("%s: status %d", name, res.StatusCode)
		}
	}
	b.answers(t, 904)
}
