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
	// TLS tells that it came encrypted.
	TLS bool
	// User is who had signed in, empty for nobody.
	User string
}

// Step is a point of an SMTP conversation at which a Fault can stand in for the usual answer.
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
	// StepDot is the answer to the final dot, when the message has come whole.
	StepDot Step = "dot"
)

// Fault is what a server does instead of answering as usual; the zero Fault is the usual answer.
type Fault struct {
	// Code is answered instead. 250 is the usual answer, for a Close that follows it.
	Code int
	// Text follows the code; empty: some text.
	Text string
	// Close closes the connection: after the answer when there is a Code, otherwise instead of it.
	Close bool
	// Stall never answers; the connection stays open until the server is closed.
	Stall bool
	// Accept keeps the message, at StepDot, although the client is not told so.
	Accept bool
}

// SMTPServer is a mail server on a free loopback port that keeps what it accepts and fails as it is told.
type SMTPServer struct {
	server   *smtp.Server
	listener net.Listener
	stopped  chan struct{}
	close    sync.Once
	tls      *tls.Config // for connections that begin with TLS
	user     *url.Userinfo
	broken   []string // mechanisms that fail for everybody

	authority *Authority
	hosts     []string // of its certificate

	mu          sync.Mutex
	messages    []Message
	recipients  map[string]Fault
	script      func(Step, int) Fault
	reached     map[Step]int
	connections int
	signIns     []string
}

// SMTPOption changes an SMTPServer from one that speaks plain SMTP and asks nobody to sign in.
type SMTPOption func(*SMTPServer)

// WithAuth refuses mail from a client that has not signed in, by PLAIN or LOGIN, as user.
func WithAuth(user, password string) SMTPOption {
	return func(s *SMTPServer) { s.user = url.UserPassword(user, password) }
}

// WithBrokenAuth also offers these mechanisms of AUTH, before the others. They fail whatever the client answers.
func WithBrokenAuth(mechanisms ...string) SMTPOption {
	return func(s *SMTPServer) { s.broken = mechanisms }
}

// WithSTARTTLS offers STARTTLS.
func WithSTARTTLS() SMTPOption {
	return func(s *SMTPServer) {
		s.server.TLSConfig = &tls.Config{GetCertificate: s.certificate, MinVersion: tls.VersionTLS12}
	}
}

// WithTLS speaks TLS from the first byte on.
func WithTLS() SMTPOption {
	return func(s *SMTPServer) { s.tls = &tls.Config{GetCertificate: s.certificate, MinVersion: tls.VersionTLS12} }
}

// WithAuthority has the certificate issued by an authority that others share, and for hosts; without any, for those
// of the loopback interface.
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

// Addr is the host and port that it listens on.
func (s *SMTPServer) Addr() string { return s.listener.Addr().String() }

// URL is the address as a setting has it: smtp:// or smtps://, with the credentials that it asks for.
func (s *SMTPServer) URL() string {
	u := url.URL{Scheme: "smtp", User: s.user, Host: s.Addr()}
	if s.tls != nil {
		u.Scheme = "smtps"
	}
	return u.String()
}

// RootCAs is what a client has to trust.
func (s *SMTPServer) RootCAs() *x509.CertPool { return s.authority.Pool() }

func (s *SMTPServer) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	issued := s.authority.issue(s.hosts)
	return &issued, nil
}

// Messages returns what was accepted so far, in the order of acceptance.
func (s *SMTPServer) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Connections counts the connections so far.
func (s *SMTPServer) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// SignIns returns the mechanism of each attempt to sign in so far, refused ones too.
func (s *SMTPServer) SignIns() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.signIns)
}

// Script has script decide about every step from now on; n counts the times that the step has been reached
// since the server was started, from 1. A script may block, and so delay its answer; it is called for
// several connections at once. nil ends all faults.
func (s *SMTPServer) Script(script func(step Step, n int) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// ScriptRecipient has the server do this from now on when it is given a recipient, unless its script says otherwise. The
// zero Fault ends it.
func (s *SMTPServer) ScriptRecipient(to string, fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recipients == nil {
		s.recipients = make(map[string]Fault)
	}
	s.recipients[to] = fault
}

// recipient is what was scripted for it.
func (s *SMTPServer) recipient(to string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recipients[to]
}

// Close stops the server and breaks its connections. What follows is refused.
func (s *SMTPServer) Close() {
	s.close.Do(func() {
		close(s.stopped)
		_ = s.listener.Close()
		_ = s.server.Close() // the listener's complaint that it is closed already
	})
}

// fault asks the script.
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
