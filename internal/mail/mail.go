// Package mail tells candidates that their invite was revoked: it composes the messages from templates, and
// delivers them to a mail server or into a directory.
package mail

import (
	"context"
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
	// Check reports by a *revocation.DeliveryError why no message can be delivered now. It takes about a second at
	// most, and asks a mail server every 30 seconds at most: between that it reports what was found last.
	Check(ctx context.Context) error
	// Local reports whether messages are delivered on this machine, and not to a mail server.
	Local() bool
}

// Options say where emails go and whom they come from. URL and From are needed.
type Options struct {
	// URL is a mail server's, smtp:// or smtps:// (see NewSMTP), or names a directory: file:DIR or file:///DIR.
	URL string
	// From is the sender that candidates see (see NewMessages).
	From string
	// Bounce is the envelope's sender: the address to which mail servers return what they cannot deliver.
	// Empty: the address in From.
	Bounce string
	// Hello is the name by which the service introduces itself to the mail server. Empty: the domain of From.
	Hello string
	// Templates is a directory of templates (see NewMessages); empty: none.
	Templates string
}

// Open returns the Mailer that the URL asks for: an SMTP for smtp:// and smtps://, a Directory for file:. It does not
// connect yet. The error names all faults at once. It holds nothing of the URL, which can contain a password.
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
