package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"rescind/internal/revocation"
)

// Ping returns an error unless the file can be read and its disk has room to write. The error has a Detail if writing is not
// possible. Ping does not wait for the writer.
func (s *Store) Ping(ctx context.Context) error {
	var some bool
	if err := s.readers.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM accounts)`).Scan(&some); err != nil {
		return fault("ping database", err)
	}
	err := s.findRoom()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &revocation.Error{Code: revocation.CodeUnavailable, Detail: "The database's disk is full.", Err: err}
	default:
		return &revocation.Error{Code: revocation.CodeUnavailable, Detail: "The database's directory cannot be written to.", Err: err}
	}
}

// room is about the size of a few transactions in the write-ahead log.
const room = 128 << 10

// findRoom writes room bytes to a temporary file. It removes the file's name first, so that nothing is left if the process
// ends.
func (s *Store) findRoom() error {
	file, err := os.CreateTemp(filepath.Dir(s.path), "room-*")
	if err != nil {
		return err
	}
	err = os.Remove(file.Name())
	_, full := file.Write(make([]byte, room))
	return errors.Join(err, full, file.Close())
}
