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
	// idleTimeout is shorter than the idle timeouts of common servers, which are 5 seconds or more: a request that is
	// sent while the server closes the connection is in doubt.
	idleTimeout = 4 * time.Second
	// maxHeader bounds the header of an answer.
	maxHeader = 64 << 10
	// maxIdle bounds the idle connections to one host. There are never more than there were calls at once.
	maxIdle = 1024
)

// allowed reports whether an upstream may have an address.
var allowed outbound.Rule = outbound.NotLinkLocal

// dialer connects to upstreams.
type dialer struct {
	dialTimeout, tlsTimeout time.Duration
	roots                   *x509.CertPool // nil: the system's
}

// transport returns the transport for all calls. It uses HTTP/1.1, where a connection carries one request at a time, so
// it is known what was sent of a request. It ignores the proxy variables of the environment and asks for no
// compression.
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

// dialPlain connects to this machine only, whatever the name resolves to, because the key is sent unencrypted.
func (d *dialer) dialPlain(ctx context.Context, network, addr string) (net.Conn, error) {
	tcp := net.Dialer{Timeout: d.dialTimeout, ControlContext: outbound.Rule(outbound.Loopback).Control}
	conn, err := tcp.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &wire{Conn: conn}, nil
}

// dialTLS connects to any allowed address.
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
		_ = raw.Close() // the error of the handshake is returned
		return nil, err
	}
	return &wire{Conn: conn}, nil
}

// wire is a connection that counts the bytes of requests that were sent on it. Over TLS it does not count the handshake,
// nor a record that was sent in part, because the server cannot decrypt it.
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

// mark returns the present count, for end.
func (w *wire) mark() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written
}

// end reports whether anything was sent since mark. No later Write sends anything.
func (w *wire) end(mark int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shut = true
	return w.written > mark
}
