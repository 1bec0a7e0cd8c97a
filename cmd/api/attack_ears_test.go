package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"rescind/internal/testservers"
)

// heard is what was recorded so far.
type heard struct {
	mu   sync.Mutex
	said bytes.Buffer
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said.Write(p)
}

func (h *heard) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said.String()
}

type traces struct {
	heard
	url string
}

// collectTraces starts a collector that records traces unchanged.
func collectTraces(t *testing.T) *traces {
	t.Helper()
	c := &traces{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(&c.heard, r.Body); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// monitorRedis records every command that Redis receives from now on, including those of scripts.
func monitorRedis(t *testing.T, redis *testservers.RedisServer) (said func() string) {
	t.Helper()
	address := strings.TrimSuffix(strings.TrimPrefix(redis.URL(), "redis://"), "/0")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "MONITOR\r\n"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(conn)
	if ok, err := lines.ReadString('\n'); err != nil || ok != "+OK\r\n" {
		t.Fatalf("monitor Redis: %q %v", ok, err)
	}
	h := &heard{}
	go func() { _, _ = io.Copy(h, lines) }() // until Redis or the test ends
	return h.text
}

// The reports whose candidates the mail server refuses permanently, and once.
const (
	refusedReport  = 11
	deferredReport = 12
)

// talkativeSMTP starts a mail server whose refusals contain the recipient, and returns its address.
func talkativeSMTP(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return talkative{&once}, nil }))
	server.Domain, server.AllowInsecureAuth = "localhost", true
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { _ = server.Close(); served.Wait() })
	return listener.Addr().String()
}

type talkative struct{ deferred *sync.Once }

func (talkative) Mail(string, *smtp.MailOptions) error { return nil }

func (s talkative) Rcpt(to string, _ *smtp.RcptOptions) (err error) {
	refusal := func(code int) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: canaryName + " <" + to + "> is not known here"}
	}
	switch {
	case strings.HasPrefix(to, fmt.Sprint(refusedReport, ".")):
		return refusal(550)
	case strings.HasPrefix(to, fmt.Sprint(deferredReport, ".")):
		s.deferred.Do(func() { err = refusal(450) })
	}
	return err
}

// Data refuses a message that contains canaryRefused, and quotes its text.
func (talkative) Data(r io.Reader) error {
	message, err := io.ReadAll(r)
	if at := bytes.Index(message, []byte(canaryRefused)); err == nil && at >= 0 {
		said := strings.Join(strings.Fields(string(message[max(0, at-40):at+len(canaryRefused)])), " ")
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: said + " is not wanted here"}
	}
	return err
}

func (talkative) Reset()        {}
func (talkative) Logout() error { return nil }

// fetch returns the body of a GET with any status, and checks the headers that every response has.
func fetch(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Content-Security-Policy": "default-src 'none'",
	} {
		if got := res.Header.Get(name); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s is %q", url, name, got)
		}
	}
	return string(body)
}
