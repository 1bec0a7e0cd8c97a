package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync"
	"time"

	"rescind/internal/outbound"
)

const (
	dialTimeout = 3 * time.Second
	tlsTimeout  = 5 * time.Second
	// idleTimeout is shorter than that of the servers in use, whose defaults begin at 5 seconds: a request
	// on a connection that the server is just closing is one in doubt.
	idleTimeout = 4 * time.Second
	// maxHeader bounds the header of an answer.
	maxHeader = 64 << 10
	// maxIdle bounds the connections kept to one host. No more come up than calls were under way at once.
	maxIdle = 1024
)

// allowed are the addresses at which an upstream may be.
var allowed outbound.Rule = outbound.NotLinkLocal

// dialer connects to upstreams.
type dialer struct {
	dialTimeout, tlsTimeout time.Duration
	roots                   *x509.CertPool // nil: the system's
}

// transport makes the one that all calls share. It speaks HTTP/1.1, where a connection carries one request at
// a time, so that what was sent on it is known. It uses no proxy that a variable of the environment may name,
// and asks for no compression.
func (d *dialer) transport() *http.Transport {
	return &http.Transport{
		DialContext:            d.dialPlain,
		DialTLSContext:         d.dialTLS,
		DisableCompression:     true,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    maxIdle,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// dialPlain connects to this machine alone, whatever its name resolves to: the key goes unencrypted.
func (d *dialer) dialPlain(ctx context.Context, network, addr string) (net.Conn, error) {
	tcp := net.Dialer{Timeout: d.dialTimeout, ControlContext: outbound.Rule(outbound.Loopback).Control}
	conn, err := tcp.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &wire{Conn: conn}, nil
}

// dialTLS connects to every address but those that are link-local or serve a cloud's metadata.
func (d *dialer) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	tcp := net.Dialer{Timeout: d.dialTimeout, ControlContext: allowed.Control}
	raw, err := tcp.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{
		ServerName: host, RootCAs: d.roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	})
	ctx, cancel := context.WithTimeout(ctx, d.tlsTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // there is a better error to tell
		return nil, err
	}
	return &wire{Conn: conn}, nil
}

// wire is a connection that knows how much of the requests went out on it. Above TLS it counts no handshake,
// and a record that was sent in part counts for nothing, because nobody can read it.
type wire struct {
	net.Conn
	mu      sync.Mutex
	written int64
	shut    bool
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shut {
		return 0, net.ErrClosed
	}
	n, err := w.Conn.Write(p)
	w.written += int64(n)
	return n, err
}

// mark is the count at the beginning of a request.
func (w *wire) mark() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written
}

// end tells whether anything was sent since mark. Nothing will be after it.
func (w *wire) end(mark int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shut = true
	return w.written > mark
}
