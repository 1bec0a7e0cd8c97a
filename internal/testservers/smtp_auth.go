package testservers

import "github.com/emersion/go-sasl"

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
