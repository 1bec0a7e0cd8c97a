// Package bench compares the service with what it could at most be, on this machine and in one run. Run it
// with `make bench`.
package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// target is a server and how to ask it for one revocation.
type target struct {
	addr string
	key  string
	// prefer is the Prefer header, empty for none.
	prefer string
}

// request is the bytes of one request, so that the load costs the machine as little as it can.
func (t target) request(buffer []byte, report int64) []byte {
	body := strconv.AppendInt([]byte(`{"report_id": `), report, 10)
	body = append(body, '}')
	buffer = append(buffer[:0], "POST /assessments/invite/revoke HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\napiKey: "...)
	buffer = append(buffer, t.key...)
	if t.prefer != "" {
		buffer = append(buffer, "\r\nPrefer: "...)
		buffer = append(buffer, t.prefer...)
	}
	buffer = append(buffer, "\r\nContent-Length: "...)
	buffer = strconv.AppendInt(buffer, int64(len(body)), 10)
	buffer = append(buffer, "\r\n\r\n"...)
	return append(buffer, body...)
}

// connection sends one request after the other.
type connection struct {
	conn   net.Conn
	reader *bufio.Reader
	buffer []byte
}

func dial(addr string) (*connection, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &connection{conn: conn, reader: bufio.NewReader(conn)}, nil
}

// ask sends one request and gives the answer's status code.
func (c *connection) ask(t target, report int64) (int, error) {
	c.buffer = t.request(c.buffer, report)
	if _, err := c.conn.Write(c.buffer); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, errors.Join(err, res.Body.Close())
}

// accepted measures how many requests a second are answered with 202 over a number of connections. Each asks
// for an invite of its own, from next on.
func accepted(t target, connections int, length time.Duration, next *atomic.Int64) (rate float64, err error) {
	var count atomic.Int64
	var failure atomic.Pointer[error]
	var all sync.WaitGroup
	began := time.Now()
	for range connections {
		all.Go(func() {
			c, err := dial(t.addr)
			if err == nil {
				defer func() { _ = c.conn.Close() }()
			}
			for err == nil && time.Since(began) < length {
				var status int
				if status, err = c.ask(t, next.Add(1)); err == nil && status != http.StatusAccepted {
					err = fmt.Errorf("status %d", status)
				}
				count.Add(1)
			}
			if err != nil {
				failure.Store(&err)
			}
		})
	}
	all.Wait()
	if failed := failure.Load(); failed != nil {
		return 0, *failed
	}
	return float64(count.Load()) / time.Since(began).Seconds(), nil
}

// latencies measures single requests with pauses between them, from the first byte sent to the last byte of
// a final outcome.
func latencies(t target, requests int, pause time.Duration, next *atomic.Int64) ([]time.Duration, error) {
	c, err := dial(t.addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.conn.Close() }()
	took := make([]time.Duration, requests)
	for i := range took {
		time.Sleep(pause)
		began := time.Now()
		status, err := c.ask(t, next.Add(1))
		took[i] = time.Since(began)
		if err != nil || status != http.StatusOK {
			return nil, fmt.Errorf("status %d: %w", status, err)
		}
	}
	slices.Sort(took)
	return took, nil
}

// quantile reads sorted values.
func quantile[T any](sorted []T, q float64) T { return sorted[int(q*float64(len(sorted)-1))] }
