package testservers

import (
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// loginServer is the server's half of AUTH LOGIN, which asks for the name and the password in turn.
type loginServer struct {
	signIn func(user, password string) error
	user   string
	asked  int
}

var _ sasl.Server = (*loginServer)(nil)

// Next takes what the client answered and asks the next question. A nil response is none at all.
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

// brokenServer is the server's half of a mechanism that asks once and accepts no answer.
type brokenServer struct{ asked bool }

var _ sasl.Server = (*brokenServer)(nil)

// Next asks once, and refuses what it is answered.
func (b *brokenServer) Next([]byte) (challenge []byte, done bool, err error) {
	if !b.asked {
		b.asked = true
		return []byte("<1.2@localhost>"), false, nil
	}
	return nil, true, smtp.ErrAuthFailed
}
