package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/wneessen/go-mail/smtp"
	"golang.org/x/net/idna"
)

// encryption is when a connection is encrypted.
type encryption string

const (
	// encryptionImplicit means TLS from the first byte.
	encryptionImplicit encryption = "implicit"
	// encryptionRequired means STARTTLS; the connection fails without it.
	encryptionRequired encryption = "required"
	// encryptionOffered means STARTTLS if the server offers it.
	encryptionOffered encryption = "offered"
	encryptionNone    encryption = "none"
)

// server holds how to connect and sign in to a mail server.
type server struct {
	host, port     string
	user, password string
	hello          string
	encryption     encryption
	tls            *tls.Config
	// proven is the mechanism of AUTH that was accepted last. It is tried first.
	proven *atomic.Value
}

// parseServer parses a URL. Its errors quote no part of the URL: if the password is not encoded correctly, any part can
// belong to the password.
func parseServer(raw string) (*server, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" {
		return nil, errors.New("mail: the server's URL cannot be read; " +
			"special characters in the user and the password must be percent-encoded")
	}
	s := &server{host: u.Hostname(), port: u.Port(), proven: new(atomic.Value)}
	s.user = u.User.Username()
	s.password, _ = u.User.Password()
	s.tls = &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}
	if err := errors.Join(s.check(u), s.setEncryption(u)); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *server) check(u *url.URL) error {
	var faults []error
	if s.host == "" {
		faults = append(faults, errors.New("mail: the server's URL has no host"))
	}
	if n, err := strconv.ParseUint(s.port, 10, 16); s.port != "" && (err != nil || n == 0) {
		faults = append(faults, errors.New("mail: the server's URL has no port between 1 and 65535"))
	}
	if strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		faults = append(faults, errors.New("mail: the server's URL must end after the host and the port"))
	}
	if (s.user == "") != (s.password == "") {
		faults = append(faults, errors.New("mail: the server's URL must have both a user and a password, or neither"))
	}
	return errors.Join(faults...)
}

func (s *server) setEncryption(u *url.URL) error {
	query := u.Query()
	asked := query.Get("tls")
	if len(query) > 1 || len(query) == 1 && !query.Has("tls") || len(query["tls"]) > 1 {
		return errors.New("mail: the server's URL can have the parameter tls once, and no other")
	}
	switch {
	case u.Scheme == "smtps" && asked == "":
		s.encryption = encryptionImplicit
	case u.Scheme == "smtps":
		return errors.New("mail: the parameter tls is for smtp://, smtps:// is always encrypted")
	case u.Scheme != "smtp":
		return errors.New("mail: the server's URL must begin with smtp: or smtps:, a directory's with file: followed by its path")
	case asked == "required", asked == "" && s.user != "":
		s.encryption = encryptionRequired
	case asked == "":
		s.encryption = encryptionOffered
	case asked != "none":
		return errors.New("mail: the parameter tls must be required or none")
	case s.user != "" && !isLoopback(s.host):
		return errors.New("mail: a password is never sent unencrypted to another machine; take tls=none out")
	default:
		s.encryption = encryptionNone
	}
	if s.port == "" {
		s.port = "587"
		if s.encryption == encryptionImplicit {
			s.port = "465"
		}
	}
	return nil
}

// helloName returns a name in the form that EHLO takes: a domain in ASCII, or an address literal in square brackets.
func helloName(name string) (string, error) {
	if !isASCII(name) {
		var err error
		if name, err = idna.Lookup.ToASCII(name); err != nil {
			return "", errHello
		}
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c == 0x7f {
			return "", errHello
		}
	}
	return name, nil
}

var errHello = errors.New("mail: the name in EHLO is no domain, such as mail.example.com, and no address literal")

// isLoopback reports whether host is this machine. go-mail recognizes the same names.
func isLoopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// connect dials, sends EHLO, encrypts and signs in. When a mechanism of AUTH fails, it connects again to try the next,
// because a server may close the connection after a failure. Its error is a *revocation.DeliveryError.
func (s *server) connect(ctx context.Context) (*connection, error) {
	var tried triedMechanisms
	for {
		c, err := s.tryConnect(ctx, &tried)
		if err == nil || !tried.another || ctx.Err() != nil {
			return c, err
		}
	}
}

func (s *server) tryConnect(ctx context.Context, tried *triedMechanisms) (*connection, error) {
	tried.another = false
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.host, s.port))
	if err != nil {
		return nil, unavailable(ctx, stepConnect, err)
	}
	c := &connection{raw: raw}
	step := stepHello
	err = within(ctx, raw, func() (err error) {
		conn := raw
		if s.encryption == encryptionImplicit {
			step = stepTLS
			encrypted := tls.Client(raw, s.tls)
			if err = encrypted.HandshakeContext(ctx); err != nil {
				return err
			}
			conn = encrypted
		}
		step = stepHello
		if c.client, err = smtp.NewClient(conn, s.host); err != nil {
			return err
		}
		if err = c.client.Hello(s.hello); err != nil {
			return err
		}
		step = stepTLS
		if err = s.encrypt(c.client); err != nil {
			return err
		}
		step = stepAuth
		return s.signIn(c.client, tried)
	})
	if err != nil {
		c.drop()
		return nil, unavailable(ctx, step, err)
	}
	return c, nil
}

func (s *server) encrypt(client *smtp.Client) error {
	if s.encryption == encryptionImplicit || s.encryption == encryptionNone {
		return nil
	}
	if offered, _ := client.Extension("STARTTLS"); !offered {
		if s.encryption == encryptionRequired {
			return errors.New("the server does not offer STARTTLS")
		}
		return nil
	}
	return client.StartTLS(s.tls)
}
