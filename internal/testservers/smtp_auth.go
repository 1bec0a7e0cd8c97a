package testservers

import (
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// loginServer is the server side of AUTH LOGIN, which requests the name and then the password.
type loginServer struct {
	signIn func(user, password string) error
	user   string
	asked  int
}

var _ sasl.Server = (*loginServer)(nil)

// Next takes the client's response and returns the next challenge. A nil response means that the client sent none.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if l.asked == 0 && response == nil {
		l.asked = 1
		return []byte("Username:"), false, nil
	}
	if l.asked < 2 {
		l.asked = 2
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.signIn(l.user, string(response))
}

// brokenServer is the server side of a mechanism that sends one challenge and refuses every response.
type brokenServer struct{ asked bool }

var _ sasl.Server = (*brokenServer)(nil)

// Next sends one challenge, and refuses the response.
func (b *brokenServer) Next([]byte) (challenge []byte, done bool, err error) {
	if !b.asked {
		b.asked = true
		return []byte("<1.2@localhost>"), false, nil
	}
	return nil, true, smtp.ErrAuthFailed
}
