// Package mail tells candidates that their invite was revoked: it composes the messages from templates, and
// delivers them to a mail server or into a directory.
package mail

import (
	"errors"
	"io"
	"strings"

	"rescind/internal/revocation"
)

// Mailer is a revocation.Mailer that holds connections until it is closed. Any number of goroutines may use
// it at once.
type Mailer interface {
	revocation.Mailer
	io.Closer
}

// Open makes the Mailer that url asks for: an SMTP for smtp:// and smtps://, a Directory for file:DIR and
// file:///DIR. The messages come from the address from and are made from the templates in templateDir (see
// NewMessages). It connects to nobody yet. The error tells all faults at once, and nothing of url, which
// can hold a password.
func Open(url, from, templateDir string) (Mailer, error) {
	messages, fault := NewMessages(from, templateDir)
	mailer, err := open(url, messages)
	if err = errors.Join(err, fault); err != nil {
		return nil, err
	}
	return mailer, nil
}

func open(url string, messages *Messages) (Mailer, error) {
	dir, isFile := strings.CutPrefix(url, "file:")
	if !isFile {
		return NewSMTP(url, messages)
	}
	if rest, ok := strings.CutPrefix(dir, "//"); ok {
		if !strings.HasPrefix(rest, "/") {
			return nil, errors.New("mail: a directory is given as file:DIR or file:///DIR")
		}
		dir = rest
	}
	return NewDirectory(dir, messages)
}
