package mail

import (
	"errors"
	"slices"
	"strings"

	"github.com/wneessen/go-mail/smtp"
)

// mechanism is a mechanism of AUTH (RFC 4954).
type mechanism struct {
	name string
	auth smtp.Auth
}

// mechanisms returns the supported mechanisms. The first ones do not send the password.
func (s *server) mechanisms() []mechanism {
	return []mechanism{
		{"SCRAM-SHA-256", smtp.ScramSHA256Auth(s.user, s.password)},
		{"SCRAM-SHA-1", smtp.ScramSHA1Auth(s.user, s.password)},
		{"CRAM-MD5", smtp.CRAMMD5Auth(s.user, s.password)},
		{"PLAIN", smtp.PlainAuth("", s.user, s.password, s.host, false)},
		{"LOGIN", smtp.LoginAuth(s.user, s.password, s.host, false)},
	}
}

// triedMechanisms are the mechanisms that failed while connect tried to get one connection.
type triedMechanisms struct {
	failed []string
	// another reports whether the server offers one more, which may be tried on a new connection.
	another bool
}

// signIn tries one mechanism that the server offers and that has not failed yet: the one that was accepted last, or else
// the first. After a failure, another mechanism may be tried only under TLS. Without TLS, an attacker could make the
// better mechanisms fail, and the client would send the password.
func (s *server) signIn(client *smtp.Client, tried *triedMechanisms) error {
	if s.user == "" {
		return nil
	}
	_, offer := client.Extension("AUTH")
	offered := strings.Fields(strings.ToUpper(offer))
	candidates := slices.DeleteFunc(s.mechanisms(), func(m mechanism) bool {
		return !slices.Contains(offered, m.name) || slices.Contains(tried.failed, m.name)
	})
	if len(candidates) == 0 {
		return errors.New("the server offers no known mechanism of AUTH")
	}
	best := candidates[0]
	if i := slices.IndexFunc(candidates, func(m mechanism) bool { return m.name == s.proven.Load() }); i >= 0 {
		best = candidates[i]
	}
	if err := client.Auth(best.auth); err != nil {
		_, encrypted := client.TLSConnectionState()
		tried.failed = append(tried.failed, best.name)
		tried.another = encrypted && len(candidates) > 1
		return err
	}
	s.proven.Store(best.name)
	return nil
}
