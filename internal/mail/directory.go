package mail

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"rescind/internal/revocation"
)

// Directory delivers each email as a file <revocation-id>.eml, in the format that mail programs open.
type Directory struct {
	dir      string
	messages *Messages
}

var _ Mailer = (*Directory)(nil)

// NewDirectory returns a Mailer that writes to dir. If dir does not exist, NewDirectory creates it with mode 0700.
func NewDirectory(dir string, messages *Messages) (*Directory, error) {
	if dir == "" {
		return nil, errors.New("mail: the directory is empty")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return &Directory{dir: dir, messages: messages}, nil
}

// Deliver writes the email's file; see revocation.Mailer. The write is atomic, and durable when Deliver has returned.
// Another delivery of the same email replaces the file, so Deliver never calls commit. A crash can leave a hidden file
// that is never read.
func (d *Directory) Deliver(_ context.Context, email revocation.Email, _ func(context.Context) error) error {
	msg, err := d.messages.compose(email)
	if err != nil {
		return err
	}
	if err := d.write(msg); err != nil {
		return &revocation.DeliveryError{Verdict: revocation.VerdictUnreachable, Reason: reasonOfFile(err)}
	}
	return nil
}

// Sender implements revocation.Mailer.
func (d *Directory) Sender() string { return d.messages.envelope + " by file" }

func reasonOfFile(err error) revocation.Reason {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return revocation.ReasonFileMissing
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return revocation.ReasonFileDenied
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return revocation.ReasonFileFull
	default:
		return revocation.ReasonFile
	}
}

func (d *Directory) write(msg message) error {
	// After a lease has expired, two workers may deliver the same email: each writes its own temporary file.
	f, err := os.CreateTemp(d.dir, "."+msg.id.String()+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(msg.data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(d.dir, msg.id.String()+".eml"))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return d.sync()
}

// Check implements Mailer. It writes a file and removes it.
func (d *Directory) Check(context.Context) error {
	f, err := os.CreateTemp(d.dir, ".check.*")
	if err == nil {
		_, err = f.Write([]byte{'\n'})
		err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		return &revocation.DeliveryError{Verdict: revocation.VerdictUnreachable, Reason: reasonOfFile(err)}
	}
	return nil
}

// Local implements Mailer.
func (d *Directory) Local() bool { return true }

// sync makes the names of the files durable. File.Sync does that only for their content.
func (d *Directory) sync() error {
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Close does nothing.
func (d *Directory) Close() error { return nil }
