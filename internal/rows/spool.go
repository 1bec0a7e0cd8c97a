package rows

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// temporary returns a new temporary file. Where the system allows it, the file has no name, so that it disappears with the
// process. Elsewhere discard removes it.
func temporary() (*os.File, error) {
	f, err := os.CreateTemp("", "rescind-list-*")
	if err != nil {
		return nil, fmt.Errorf("keep a list: %w", err)
	}
	_ = os.Remove(f.Name()) // or in discard
	return f, nil
}

// discard closes a temporary file and removes it.
func discard(f *os.File) error {
	if f == nil {
		return nil
	}
	err := f.Close()
	if removed := os.Remove(f.Name()); removed != nil && !errors.Is(removed, os.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

// spool copies src to a temporary file: at most limit bytes, unless limit is 0.
func spool(src io.Reader, limit int64) (f *os.File, size int64, err error) {
	if f, err = temporary(); err != nil {
		return nil, 0, err
	}
	bounded := src
	if limit > 0 {
		bounded = io.LimitReader(src, limit+1)
	}
	size, err = io.Copy(f, bounded)
	if err == nil && limit > 0 && size > limit {
		err = &FileError{Reason: TooLarge, Detail: fmt.Sprintf("A workbook can have at most %d MiB. Save the list as CSV and use that.", limit>>20)}
	}
	if err != nil {
		_ = discard(f)
		return nil, 0, err
	}
	return f, size, nil
}
