package testservers

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// Message is an email that an SMTPServer has accepted.
type Message struct {
	From string
	To   []string
	// Data is the message as it was sent, with its CRLFs and without dot-stuffing.
	Data []byte
	// TLS reports whether the connection was encrypted.
	TLS bool
	// User is the authenticated user, or empty.
	User string
}

// Step is a point of an SMTP session at which a Fault can replace the usual answer.
type Step string

const (
	// StepConnect is the greeting.
	StepConnect Step = "connect"
	// StepMail is the answer to MAIL FROM.
	StepMail Step = "MAIL"
	// StepRcpt is the answer to RCPT TO, once for each recipient.
	StepRcpt Step = "RCPT"
	// StepData is the answer to DATA. It is not reached on a connection that STARTTLS has encrypted.
	StepData Step = "DATA"
	// StepDot is the answer to the final dot, after the complete message.
	StepDot Step = "dot"
)

// Fault is what a server does instead of answering as usual. The zero Fault is the usual answer.
type Fault struct {
	// Code replaces the code of the answer. 250 is the usual answer, to combine it with Close.
	Code int
	// Text follows the code. If it is empty, the server uses a default text.
	Text string
	// Close closes the connection, after the answer if Code is set, otherwise instead of the answer.
	Close bool
	// With Stall there is no answer. The connection stays open until the server is closed.
	Stall bool
	// Accept keeps the message at StepDot, whatever the answer.
	Accept bool
}

// SMTPServer is a mail server on a free loopback port. It keeps the messages that it accepts, and fails as a test prescribes.
type SMTPServer struct {
	server   *smtp.Server
	listener net.Listener
	stopped  chan struct{}
	close    sync.Once
	tls      *tls.Config // for connections that begin with TLS
	user     *url.Userinfo
	broken   []string // mechanisms that always fail

	authority *Authority
	hosts     []string // names in its certificate

	mu          sync.Mutex
	messages    []Message
	recipients  map[string]Fault
	script      func(Step, int) Fault
	reached     map[Step]int
	connections int
	signIns     []string
}

// SMTPOption changes an SMTPServer. Without options the server has no TLS and no authentication.
type SMTPOption func(*SMTPServer)

// WithAuth makes the server refuse mail from clients that have not authenticated as user, with PLAIN or LOGIN.
func WithAuth(user, password string) SMTPOption {
	return func(s *SMTPServer) { s.user = url.UserPassword(user, password) }
}

// WithBrokenAuth makes the server also offer these AUTH mechanisms, before the others. They always fail.
func WithBrokenAuth(mechanisms ...string) SMTPOption {
	return func(s *SMTPServer) { s.broken = mechanisms }
}

// WithSTARTTLS makes the server offer STARTTLS.
func WithSTARTTLS() SMTPOption {
	return func(s *SMTPServer) {
		s.server.TLSConfig = &tls.Config{GetCertificate: s.certificate, MinVersion: tls.VersionTLS12}
	}
}

// WithTLS makes the server use TLS from the first byte.
func WithTLS() SMTPOption {
	return func(s *SMTPServer) { s.tls = &tls.Config{GetCertificate: s.certificate, MinVersion: tls.VersionTLS12} }
}

// WithAuthority makes the authority issue the server's certificate for hosts, or for the names of the loopback interface if
// there are none.
func WithAuthority(by *Authority, hosts ...string) SMTPOption {
	if len(hosts) == 0 {
		hosts = loopbackHosts
	}
	return func(s *SMTPServer) { s.authority, s.hosts = by, hosts }
}

// SMTP starts a mail server that is closed when the test ends.
func SMTP(t testing.TB, opts ...SMTPOption) *SMTPServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen for SMTP: %v", err)
	}
	s := &SMTPServer{
		listener: listener, stopped: make(chan struct{}), reached: make(map[Step]int),
		authority: NewAuthority(), hosts: loopbackHosts,
	}
	s.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &smtpSession{server: s, conn: c}, nil
	}))
	s.server.Domain = "localhost"
	s.server.AllowInsecureAuth = true
	s.server.EnableSMTPUTF8 = true
	s.server.ErrorLog = log.New(io.Discard, "", 0)
	for _, opt := range opts {
		opt(s)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := s.server.Serve(scriptedListener{listener, s}); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("serve SMTP: %v", err)
		}
	}()
	t.Cleanup(func() {
		s.Close()
		<-served
	})
	return s
}

// Addr returns the host and port on which the server listens.
func (s *SMTPServer) Addr() string { return s.listener.Addr().String() }

// URL returns the address as in a setting: smtp:// or smtps://, with the credentials that the server requires.
func (s *SMTPServer) URL() string {
	u := url.URL{Scheme: "smtp", User: s.user, Host: s.Addr()}
	if s.tls != nil {
		u.Scheme = "smtps"
	}
	return u.String()
}

// RootCAs returns the certificate pool for clients.
func (s *SMTPServer) RootCAs() *x509.CertPool { return s.authority.Pool() }

func (s *SMTPServer) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	issued := s.authority.issue(s.hosts)
	return &issued, nil
}

// Messages returns the messages accepted so far, in the order of acceptance.
func (s *SMTPServer) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Connections returns the number of connections so far.
func (s *SMTPServer) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// SignIns returns the mechanism of each attempt to authenticate so far, including refused ones.
func (s *SMTPServer) SignIns() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.signIns)
}

// Script calls script for the fault of every step from now on. n is how often the step was reached since the server was
// started, from 1. A script may block to delay the answer. Several connections call it concurrently. nil ends all faults.
func (s *SMTPServer) Script(script func(step Step, n int) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// ScriptRecipient sets the fault for a recipient from now on. A fault of the script has priority. The zero Fault ends it.
func (s *SMTPServer) ScriptRecipient(to string, fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recipients == nil {
		s.recipients = make(map[string]Fault)
	}
	s.recipients[to] = fault
}

// recipient returns the fault set by ScriptRecipient.
func (s *SMTPServer) recipient(to string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recipients[to]
}

// Close stops the server and breaks its connections. Later connections are refused.
func (s *SMTPServer) Close() {
	s.close.Do(func() {
		close(s.stopped)
		_ = s.listener.Close()
		_ = s.server.Close() // the error is that the listener is closed already
	})
}

// fault returns the fault of the script for a step.
func (s *SMTPServer) fault(step Step) Fault {
	s.mu.Lock()
	s.reached[step]++
	n, script := s.reached[step], s.script
	s.mu.Unlock()
	if script == nil {
		return Fault{}
	}
	return script(step, n)
}

func (s *SMTPServer) accept(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
}
