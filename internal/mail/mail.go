// Package mail sends candidates the email that their invite was revoked. It composes the messages from templates, and
// delivers them to a mail server or to a directory.
package mail

import (
	"context"
	"errors"
	"io"
	"strings"

	"rescind/internal/revocation"
)

// Mailer is a revocation.Mailer that keeps connections until it is closed. It is safe for concurrent use.
type Mailer interface {
	revocation.Mailer
	io.Closer
	// Check returns a *revocation.DeliveryError if no message can be delivered now. It takes about a second at most. It
	// probes a mail server at most every 30 seconds, and returns the last result in between.
	Check(ctx context.Context) error
	// Local reports whether messages are delivered on this machine, and not to a mail server.
	Local() bool
}

// Options configure a Mailer. URL and From are required.
type Options struct {
	// URL is the URL of a mail server, smtp:// or smtps:// (see NewSMTP), or of a directory, file:DIR or file:///DIR.
	URL string
	// From is the sender that candidates see (see NewMessages).
	From string
	// Bounce is the envelope's sender: mail servers return to it what they cannot deliver. If it is empty, it is the
	// address in From.
	Bounce string
	// Hello is the name in EHLO. If it is empty, it is the domain of From.
	Hello string
	// Templates is a directory of templates (see NewMessages). If it is empty, the embedded ones are used.
	Templates string
}

// Open returns the Mailer for the URL: an SMTP for smtp:// and smtps://, a Directory for file:. It does not connect yet.
// The error names all faults. It contains no part of the URL, which can have a password.
func Open(o Options) (Mailer, error) {
	messages, fault := NewMessages(o.From, o.Bounce, o.Templates)
	mailer, err := open(o.URL, o.Hello, messages)
	if err = errors.Join(err, fault); err != nil {
		return nil, err
	}
	return mailer, nil
}

func open(url, hello string, messages *Messages) (Mailer, error) {
	dir, isFile := strings.CutPrefix(url, "file:")
	if !isFile {
		return NewSMTP(url, hello, messages)
	}
	if rest, ok := strings.CutPrefix(dir, "//"); ok {
		if !strings.HasPrefix(rest, "/") {
			return nil, errors.New("mail: a directory is given as file:DIR or file:///DIR")
		}
		dir = rest
	}
	return NewDirectory(dir, messages)
}
