package api_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"rescind/internal/revocation"
)

// TestJobResults_drainBreaksThem stops the service during a stream.
func TestJobResults_drainBreaksThem(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 2 s")
	}
	for _, accept := range []string{"text/csv", "application/x-ndjson"} {
		t.Run(accept+" between two pages", func(t *testing.T) {
			w := newWorld(t)
			w.queue.hold()
			job := w.job(w.manyItems(2 * revocation.ChunkSize)...) // three pages
			w.faults.beforeResults.Store(new(func(f revocation.ResultFilter) {
				if f.After > 0 {
					w.service.Drain()
				}
			}))
			body, err := io.ReadAll(w.open("/jobs/"+job.ID.String()+"/results", "Accept", accept, "X-Request-Id", "broken").body)
			if !errors.Is(err, io.ErrUnexpectedEOF) || bytes.Count(body, []byte{'\n'}) >= 2*revocation.ChunkSize {
				t.Errorf("the stream did not break: %v after %d lines", err, bytes.Count(body, []byte{'\n'}))
			}
			eventually(t, "a line in the log", func() bool { return strings.Contains(w.log.String(), `"request_id":"broken"`) })
			if line := w.logLine("broken"); line["error"] != "the service stops" {
				t.Errorf("%v", line)
			}
		})
	}
	t.Run("a stream whose caller stopped reading", func(t *testing.T) {
		w := newWorld(t)
		w.queue.hold()
		job := w.job(w.manyItems(revocation.ChunkSize)...)
		client, server := net.Pipe() // it has no buffer, so writes block until they are read
		defer client.Close()
		pipes := make(pipeListener, 1)
		pipes <- server
		go func() { _ = w.server.Config.Serve(pipes) }()
		conn := wire{client, t}
		conn.write("GET /jobs/" + job.ID.String() + "/results HTTP/1.1\r\nHost: x\r\napiKey: " + secret + "\r\nAccept: text/csv\r\n\r\n")
		answer := bufio.NewReaderSize(client, 16)
		for line := ""; !strings.HasPrefix(line, "row,id,"); {
			var err error
			line, err = answer.ReadString('\n')
			w.must(err)
		}
		w.service.Drain()
		stopping, cancel := context.WithTimeout(t.Context(), 20*time.Second) // the time after a SIGTERM
		defer cancel()
		if err := w.server.Config.Shutdown(stopping); err != nil {
			t.Errorf("the stream delays the stop: %v", err)
		}
	})
}

// pipeListener accepts the connections that a test sends to it.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	if conn, ok := <-l; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (l pipeListener) Close() error {
	close(l)
	return nil
}

func (pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
