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

// Directory delivers emails into files: one <revocation-id>.eml each, in the form that mail programs open.
type Directory struct {
	dir      string
	messages *Messages
}

var _ Mailer = (*Directory)(nil)

// NewDirectory makes a Mailer that writes into dir. It creates dir, for its owner alone, when there is none.
func NewDirectory(dir string, messages *Messages) (*Directory, error) {
	if dir == "" {
		return nil, errors.New("mail: no directory is given")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return &Directory{dir: dir, messages: messages}, nil
}

// Deliver writes the email's file; see revocation.Mailer. The file is there whole or not at all, and stays
// when the machine fails after Deliver has returned. Delivering the email again replaces it, which is why
// commit is never called. A crash can leave a hidden file behind that nothing reads.
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
	// Two workers may hold the same email after a lease has run out: each writes its own file.
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

// Check implements Mailer: it writes a file and removes it.
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

// sync makes the file's name durable, as Sync does with its content.
func (d *Directory) sync() error {
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Close has nothing to end.
func (d *Directory) Close() error { return nil }
