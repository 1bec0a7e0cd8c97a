// Package bench compares the service with an upper limit and with alternatives, on the same machine and in one run. Run it
// with `make bench`.
package bench

import (
	"bufio"
	"bytes"
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

// target is a server with the headers of a request for one revocation.
type target struct {
	addr string
	key  string
	// prefer is the Prefer header, empty for none.
	prefer string
}

// submission returns the bytes of one request. Writing them directly keeps the cost of the load low.
func (t target) submission(buffer []byte, report int64) []byte {
	body := strconv.AppendInt([]byte(`{"report_id": `), report, 10)
	body = append(body, '}')
	buffer = t.head(buffer, "POST /assessments/invite/revoke")
	buffer = append(buffer, "\r\nContent-Type: application/json"...)
	if t.prefer != "" {
		buffer = append(buffer, "\r\nPrefer: "...)
		buffer = append(buffer, t.prefer...)
	}
	buffer = append(buffer, "\r\nContent-Length: "...)
	buffer = strconv.AppendInt(buffer, int64(len(body)), 10)
	buffer = append(buffer, "\r\n\r\n"...)
	return append(buffer, body...)
}

// poll returns the bytes of a request that reads a revocation.
func (t target) poll(buffer []byte, location string) []byte {
	return append(t.head(buffer, "GET "+location), "\r\n\r\n"...)
}

func (t target) head(buffer []byte, line string) []byte {
	buffer = append(buffer[:0], line...)
	buffer = append(buffer, " HTTP/1.1\r\nHost: localhost\r\napiKey: "...)
	return append(buffer, t.key...)
}

// connection sends requests one after the other.
type connection struct {
	conn   net.Conn
	reader *bufio.Reader
	buffer []byte
	body   []byte
}

func dial(addr string) (*connection, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &connection{conn: conn, reader: bufio.NewReader(conn)}, nil
}

// answer has the parts of a response that the benchmark needs, except the body.
type answer struct {
	status   int
	location string
}

// send sends the buffer, and reads the response with its body.
func (c *connection) send() (answer, error) {
	if _, err := c.conn.Write(c.buffer); err != nil {
		return answer{}, err
	}
	return c.receive()
}

// receive reads a response. It uses the same processors as the contenders, so it must be cheap: net/http takes 3.3 µs for a
// response of rescind and more for a longer one, and receive takes 0.5 µs.
func (c *connection) receive() (got answer, err error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return answer{}, err
	}
	fields := bytes.Fields(line)
	if len(fields) < 2 {
		return answer{}, fmt.Errorf("no status: %q", line)
	}
	if got.status, err = strconv.Atoi(string(fields[1])); err != nil {
		return answer{}, fmt.Errorf("no status: %w", err)
	}
	length := -1
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return answer{}, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return answer{}, fmt.Errorf("no length: %w", err)
			}
		case bytes.EqualFold(name, []byte("Location")):
			got.location = string(bytes.TrimSpace(value))
		}
	}
	if length < 0 {
		return answer{}, errors.New("the response has no Content-Length")
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	_, err = io.ReadFull(c.reader, c.body)
	return got, err
}

// submit requests one revocation.
func (c *connection) submit(t target, report int64) (answer, error) {
	c.buffer = t.submission(c.buffer, report)
	return c.send()
}

// poll reads a revocation and reports whether it is final.
func (c *connection) poll(t target, location string) (final bool, err error) {
	c.buffer = t.poll(c.buffer, location)
	got, err := c.send()
	if err == nil && got.status != http.StatusOK {
		err = fmt.Errorf("%s: status %d", location, got.status)
	}
	return bytes.Contains(c.body, []byte(`"final":true`)), err
}

// run is the result of a period of full load.
type run struct {
	count int64
	// rate is in requests a second.
	rate float64
	// took is sorted.
	took []time.Duration
}

// load makes each connection send one request after the other for the given time.
func load(addr string, connections int, length time.Duration, request func(*connection) error) (run, error) {
	took := make([][]time.Duration, connections)
	failures := make([]error, connections)
	var all sync.WaitGroup
	began := time.Now()
	for i := range connections {
		all.Go(func() {
			c, err := dial(addr)
			if err != nil {
				failures[i] = err
				return
			}
			defer func() { _ = c.conn.Close() }()
			for last := began; last.Sub(began) < length; {
				start := time.Now()
				if err := request(c); err != nil {
					failures[i] = err
					return
				}
				last = time.Now()
				took[i] = append(took[i], last.Sub(start))
			}
		})
	}
	all.Wait()
	lasted := time.Since(began)
	merged := slices.Concat(took...)
	slices.Sort(merged)
	return run{int64(len(merged)), float64(len(merged)) / lasted.Seconds(), merged}, errors.Join(failures...)
}

// accepted measures how many submissions are answered with 202. Each names a different invite, starting at next.
func accepted(t target, connections int, length time.Duration, next *atomic.Int64) (run, error) {
	return load(t.addr, connections, length, func(c *connection) error {
		got, err := c.submit(t, next.Add(1))
		if err == nil && got.status != http.StatusAccepted {
			err = fmt.Errorf("status %d", got.status)
		}
		return err
	})
}

// polls measures how many reads of revocations are answered. The connections share the list of revocations.
func polls(t target, connections int, length time.Duration, locations []string) (run, error) {
	var start atomic.Int64
	return load(t.addr, connections, length, func(c *connection) error {
		_, err := c.poll(t, locations[int(start.Add(1))%len(locations)])
		return err
	})
}

// latencies measures single submissions with pauses between them, from the first byte sent to the last byte of the response
// with a final outcome. If the submission is not answered with one, it polls without a pause. It returns early when stop is
// closed.
func latencies(t target, submissions int, pause time.Duration, next *atomic.Int64, stop <-chan struct{}) ([]time.Duration, error) {
	c, err := dial(t.addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.conn.Close() }()
	var took []time.Duration
	for range submissions {
		select {
		case <-stop:
			return took, nil
		case <-time.After(pause):
		}
		began := time.Now()
		got, err := c.submit(t, next.Add(1))
		if err != nil {
			return nil, err
		}
		final := got.status == http.StatusOK
		if !final && got.status != http.StatusAccepted {
			return nil, fmt.Errorf("status %d", got.status)
		}
		for !final {
			if final, err = c.poll(t, got.location); err != nil {
				return nil, err
			}
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// quantile reads sorted values.
func quantile[T any](sorted []T, q float64) T { return sorted[int(q*float64(len(sorted)-1))] }

// milliseconds reads a quantile of sorted times.
func milliseconds(sorted []time.Duration, q float64) float64 {
	return quantile(sorted, q).Seconds() * 1000
}
