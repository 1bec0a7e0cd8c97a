package testservers

import (
	"crypto/tls"
	"io"
	"net/url"
	"slices"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// smtpSession is the session on one connection, from EHLO to STARTTLS or the end.
type smtpSession struct {
	server *SMTPServer
	conn   *smtp.Conn
	user   string
	from   string
	to     []string
}

var _ smtp.AuthSession = (*smtpSession)(nil)

// AuthMechanisms returns the mechanisms that the server offers.
func (s *smtpSession) AuthMechanisms() []string {
	if s.server.user == nil {
		return nil
	}
	return append(slices.Clone(s.server.broken), sasl.Plain, sasl.Login)
}

// Auth begins an authentication.
func (s *smtpSession) Auth(mechanism string) (sasl.Server, error) {
	s.server.mu.Lock()
	s.server.signIns = append(s.server.signIns, mechanism)
	s.server.mu.Unlock()
	switch {
	case s.server.user == nil:
		return nil, smtp.ErrAuthUnsupported
	case slices.Contains(s.server.broken, mechanism):
		return &brokenServer{}, nil
	case mechanism == sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return s.signIn(user, password) }), nil
	case mechanism == sasl.Login:
		return &loginServer{signIn: s.signIn}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (s *smtpSession) signIn(user, password string) error {
	if url.UserPassword(user, password).String() != s.server.user.String() {
		return smtp.ErrAuthFailed
	}
	s.user = user
	return nil
}

// Mail begins a message.
func (s *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.user != nil && s.user == "" {
		return smtp.ErrAuthRequired
	}
	s.from = from
	return s.answer(s.server.fault(StepMail))
}

// Rcpt adds a recipient, unless it is refused.
func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	fault := s.server.fault(StepRcpt)
	if fault == (Fault{}) {
		fault = s.server.recipient(to)
	}
	if err := s.answer(fault); err != nil {
		return err
	}
	s.to = append(s.to, to)
	return nil
}

// Data reads a message and keeps it, unless it is refused.
func (s *smtpSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.scripted().refused {
		return nil
	}
	fault := s.server.fault(StepDot)
	if fault == (Fault{}) || fault.Code == codeOK || fault.Accept {
		_, encrypted := s.conn.TLSConnectionState()
		encrypted = encrypted || s.server.tls != nil
		s.server.accept(Message{From: s.from, To: slices.Clone(s.to), Data: data, TLS: encrypted, User: s.user})
	}
	return s.answer(fault)
}

// Reset discards the current message.
func (s *smtpSession) Reset() { s.from, s.to = "", nil }

// Logout ends the session.
func (s *smtpSession) Logout() error { return nil }

// scripted returns the connection below the SMTP library and below TLS.
func (s *smtpSession) scripted() *scriptedConn {
	conn := s.conn.Conn()
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	return conn.(*scriptedConn)
}

// answer applies the fault. The SMTP library sends the returned error.
func (s *smtpSession) answer(f Fault) error {
	switch {
	case f.Stall:
		<-s.server.stopped
		return s.scripted().Close()
	case f.Code != 0:
		s.scripted().last = f.Close
		if f.Code == codeOK {
			return nil
		}
		return &smtp.SMTPError{Code: f.Code, EnhancedCode: smtp.NoEnhancedCode, Message: f.text()}
	case f.Close:
		return s.scripted().Close()
	}
	return nil
}
