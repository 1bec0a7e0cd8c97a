package api_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"rescind/internal/api"
	"rescind/internal/revocation"
)

// narrow is a listener whose connections have small buffers.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetWriteBuffer(4096)
	}
	return conn, err
}

// TestStreams_memory requests 500 streams of the longest results for four accounts, and does not read them.
func TestStreams_memory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 8 s")
	}
	w := newWorld(t, func(_ *api.Options, s *httptest.Server) { s.Listener = narrow{s.Listener} })
	w.queue.hold()
	var requests []string
	for _, account := range []string{"a", "b", "c", "d"} {
		w.must(w.store.SetAccount(t.Context(), revocation.AccountChange{ID: account}))
		key := "rescind_the-key-of-" + account
		w.addKey(account, key, time.Time{}, revocation.Scopes...)
		body := strings.Repeat(fmt.Sprintf("{\"report_id\":1,\"client_reference\":%q}\n", strings.Repeat("\U0001f600", 255)), 3000)
		job := w.call(http.MethodPost, "/jobs", body, "apiKey", "", "apiKey", key, "Content-Type", "", "Content-Type", "application/x-ndjson")
		job.want(t, http.StatusAccepted, "")
		requests = append(requests, "GET /jobs/"+job.str(t, "id")+"/results HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\napiKey: "+key+"\r\n\r\n")
	}
	memory := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	before := memory()
	for i := range 500 {
		conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
		w.must(err)
		t.Cleanup(func() { _ = conn.Close() })
		w.must(conn.(*net.TCPConn).SetReadBuffer(4096))
		_, err = conn.Write([]byte(requests[i%len(requests)]))
		w.must(err)
	}
	blocked := 0
	eventually(t, "all of them are answered", func() bool {
		blocked = strings.Count(goroutines(t), "(*requestContext).send(")
		return blocked+strings.Count(w.log.String(), `"route":"/jobs/:id/results"`) >= 500
	})
	const most = 64 << 20
	if grown := memory() - before; grown > most || blocked == 0 || blocked > 64 {
		t.Errorf("%d streams take %d KiB, want 1 to 64, and at most %d", blocked, grown>>10, most>>10)
	} else {
		t.Logf("%d streams take %d KiB", blocked, grown>>10)
	}
}
