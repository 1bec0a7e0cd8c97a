package upstream

import (
	"bufio"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rescind/internal/outbound"
	"rescind/internal/revocation"
)

func TestValidateURL(t *testing.T) {
	for _, url := range []string{
		"https://api.example.com", "https://api.example.com/", "https://api.example.com/v1/", "https://api.example.com:8443/a/b",
		"HTTPS://api.example.com", "https://192.0.2.1", "https://[2001:db8::1]:443/x",
		"http://localhost", "http://LOCALHOST:8080/x", "http://127.0.0.1:8080", "http://127.8.9.10", "http://[::1]:8080", "http://[::1]",
	} {
		if err := ValidateURL(url); err != nil {
			t.Errorf("%s was refused: %v", url, err)
		}
	}
	for _, url := range []string{
		"", "api.example.com", "//api.example.com", "/v1", "https://", "https:///v1", "https:api.example.com", "https://:443",
		"ftp://api.example.com", "file:///etc/passwd", "http://api.example.com", "http://192.0.2.1", "http://10.0.0.1:8080",
		"http://localhost.example.com", "http://127.0.0.1.example.com", "http://0.0.0.0", "http://[::]", "http://[fe80::1]",
		"https://169.254.169.254", "https://[fe80::1]", "https://[fe80::1%25eth0]:443/x", "https://[::ffff:169.254.169.254]/", "https://[64:ff9b::a9fe:a9fe]",
		"https://[fd00:ec2::254]", "https://168.63.129.16/",
		"https://user:" + testKey + "@api.example.com", "https://user@api.example.com", "https://@api.example.com/",
		"https://api.example.com/?a=" + testKey, "https://api.example.com?", "https://api.example.com/#" + testKey, "https://api.example.com/#",
		"https://api.example.com:0", "https://api.example.com:65536", "https://api.example.com:x", "https://api.example.com:",
		"https://api.exa mple.com", "https://api.example.com/\n" + testKey, "https://api.example.com/%zz", " https://api.example.com",
		"https://api.example.com/" + strings.Repeat("a", maxURL),
	} {
		switch err := ValidateURL(url); {
		case err == nil:
			t.Errorf("%q was accepted", url)
		case strings.Contains(err.Error(), testKey):
			t.Errorf("%q: the error quotes it: %v", url, err)
		}
	}
}

func TestValidateKey(t *testing.T) {
	for _, key := range []string{"a", testKey, "!~", strings.Repeat("a", maxKey)} {
		if err := ValidateKey(key); err != nil {
			t.Errorf("%q was refused: %v", key, err)
		}
	}
	for _, key := range []string{"", testKey + "\n", "a b", "a\r\nHost: x", "ключ", "\x7f", "\xff", strings.Repeat("a", maxKey+1)} {
		switch err := ValidateKey(key); {
		case err == nil:
			t.Errorf("%q was accepted", key)
		case strings.Contains(err.Error(), testKey):
			t.Errorf("the error quotes the key: %v", err)
		}
	}
}

func TestClient_RefusesTargets(t *testing.T) {
	p := newDefault(t)
	for name, target := range map[string]revocation.Target{
		"plain http":             {Account: "acme", URL: "http://192.0.2.1", Key: testKey},
		"an invalid URL":         {Account: "acme", URL: "", Key: testKey},
		"an empty key":           {Account: "acme", URL: "https://192.0.2.1"},
		"a key with a line feed": {Account: "acme", URL: "https://192.0.2.1", Key: testKey + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, p.Revoke(t.Context(), target, 1, false), tried(revocation.CodeUpstreamUnavailable, unusable))
		})
	}
	t.Run("an address that a name may resolve to", func(t *testing.T) {
		for _, addr := range []string{"169.254.169.254:443", "[fe80::1]:443", "[::ffff:169.254.169.254]:443", "[64:ff9b::a9fe:a9fe]:443", "100.100.100.200:443"} {
			conn, err := testDialer().dialTLS(t.Context(), "tcp", addr)
			if !errors.Is(err, outbound.ErrRefused) {
				t.Errorf("%v, %v", conn, err)
			}
			want(t, answer{err: err}.reply(time.Now()), tried(revocation.CodeUpstreamUnavailable, "The upstream's address is one that must not be called."))
		}
	})
	t.Run("a name of this machine that resolves to another", func(t *testing.T) {
		// The test has no resolver: it dials an address, which the dialer refuses.
		conn, err := testDialer().dialPlain(t.Context(), "tcp", "192.0.2.1:80")
		if !errors.Is(err, outbound.ErrRefused) {
			t.Errorf("%v, %v", conn, err)
		}
	})
}

// serveTLS runs a server whose certificate is for 127.0.0.1 and example.com.
func serveTLS(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestClient_OverTLS(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	handler := func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.ProtoMajor != 1 || r.Header.Get("apiKey") != testKey {
			t.Errorf("%s with the header %v", r.Proto, r.Header)
		}
		_, _ = io.WriteString(w, `{"status": "REVOKED"}`)
	}
	server := serveTLS(t, handler)
	trustingDialer := testDialer()
	trustingDialer.roots = x509.NewCertPool()
	trustingDialer.roots.AddCert(server.Certificate())
	byName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)

	t.Run("calls a trusted server on one connection", func(t *testing.T) {
		p := newTestClient(t, Options{}, trustingDialer)
		for range 3 {
			want(t, p.Revoke(t.Context(), target(server.URL), 1, false), revoked)
		}
	})
	for name, c := range map[string]struct {
		dialer *dialer
		url    string
		want   revocation.Reply
	}{
		"not with a certificate for another name": {trustingDialer, byName, tried(revocation.CodeUpstreamUnavailable, badCert)},
		"not with an untrusted certificate":       {testDialer(), server.URL, tried(revocation.CodeUpstreamUnavailable, badCert)},
		"not without TLS":                         {trustingDialer, "https" + strings.TrimPrefix(answers(t, 200, asJSON, ``), "http"), tried(revocation.CodeUpstreamUnavailable, unreached)},
	} {
		t.Run(name, func(t *testing.T) {
			before := requests.Load()
			p := newTestClient(t, Options{}, c.dialer)
			want(t, p.Revoke(t.Context(), target(c.url), 1, false), c.want)
			if n := requests.Load(); n != before {
				t.Error("the request was sent")
			}
		})
	}
	t.Run("gives up on a server that sends nothing", func(t *testing.T) {
		url := listen(t, func(_ *net.TCPConn, gone <-chan struct{}) { <-gone })
		shortTimeout := testDialer()
		shortTimeout.tlsTimeout = 100 * time.Millisecond
		p := newTestClient(t, Options{Timeout: time.Hour}, shortTimeout)
		want(t, p.Revoke(t.Context(), target("https"+strings.TrimPrefix(url, "http")), 1, false), tried(revocation.CodeUpstreamUnavailable, unreached))
	})
	t.Run("not with an old version", func(t *testing.T) {
		old := httptest.NewUnstartedServer(http.HandlerFunc(handler))
		old.Config.ErrorLog = log.New(io.Discard, "", 0)
		old.TLS = server.TLS.Clone()
		old.TLS.MinVersion, old.TLS.MaxVersion = 0x0301, 0x0302
		old.StartTLS()
		defer old.Close()
		p := newTestClient(t, Options{}, trustingDialer)
		want(t, p.Revoke(t.Context(), target(old.URL), 1, false), tried(revocation.CodeUpstreamUnavailable, unreached))
	})
	t.Run("is in doubt when it breaks after the request", func(t *testing.T) {
		breaking := serveTLS(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		})
		p := newTestClient(t, Options{}, trustingDialer)
		want(t, p.Revoke(t.Context(), target(breaking.URL), 1, false), inDoubt(brokenOff))
	})
	t.Run("is in doubt when no answer comes", func(t *testing.T) {
		silent := serveTLS(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})
		p := newTestClient(t, Options{Timeout: time.Second}, trustingDialer)
		want(t, p.Revoke(t.Context(), target(silent.URL), 1, false), inDoubt(tooSlow))
	})
}

func TestClient_LeaksNoSecrets(t *testing.T) {
	t.Parallel()
	const words = "upstreams-own-words"
	var written logged
	metrics := prometheus.NewRegistry()
	p := newTestClient(t, Options{Timeout: 100 * time.Millisecond, Log: written.logger(), Metrics: metrics}, testDialer())
	var output strings.Builder
	word := words + " " + testKey
	urls := []string{
		listen(t, func(*net.TCPConn, <-chan struct{}) {}),
		listen(t, func(_ *net.TCPConn, gone <-chan struct{}) { <-gone }),
		afterRequest(t, func(conn *net.TCPConn, _ <-chan struct{}) { write(t, conn, word+"\r\n") }),
		afterRequest(t, func(conn *net.TCPConn, _ <-chan struct{}) { write(t, conn, "HTTP/1.1 200 OK\r\n"+word+"\r\n\r\n") }),
		"https://127.0.0.1:1/" + testKey, "http://" + testKey + "@127.0.0.1", "http://[" + testKey, "https://127.0.0.1/?" + testKey,
	}
	for _, code := range []int{200, 302, 400, 401, 403, 404, 422, 429, 500} {
		urls = append(urls, answers(t, code, "text/"+word, word), answers(t, code, asJSON, fmt.Sprintf(`{"status": %q}`, word)))
	}
	for i, url := range urls {
		// One answer after another: sooner or later the breaker opens.
		for range breakerConsecutive + 1 {
			reply := p.Revoke(t.Context(), revocation.Target{Account: fmt.Sprintf("account-%d", i), URL: url, Key: testKey}, 1, false)
			fmt.Fprintf(&output, "%+v %+v\n", reply, reply.Failure)
		}
	}
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		output.WriteString(family.String())
	}
	everything := output.String() + written.String()
	for line := range strings.Lines(everything) {
		for _, s := range []string{testKey, "127.0.0.1", words} {
			if strings.Contains(line, s) {
				t.Errorf("%q is in %s", s, line)
			}
		}
	}
	if !strings.Contains(written.String(), "its breaker opened") {
		t.Errorf("nothing was logged:\n%s", written.String())
	}
}

func TestClient_UnsolicitedAnswer(t *testing.T) {
	var connections atomic.Int64
	url := listen(t, func(conn *net.TCPConn, gone <-chan struct{}) {
		if connections.Add(1) > 1 {
			readRequest(t, bufio.NewReader(conn))
			write(t, conn, revokedAnswer)
			return
		}
		// The server timed out while it waited for a request.
		write(t, conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		<-gone
	})
	p := newDefault(t)
	// The reply depends on whether the answer comes before or after the request.
	if got := p.Revoke(t.Context(), target(url), 1, false); got.Status != revocation.StatusErrorRevoking || got.Rejected {
		t.Errorf("%+v", got)
	}
	want(t, p.Revoke(t.Context(), target(url), 1, false), revoked)
}
