package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"rescind/internal/revocation"
)

// Ping reports whether the file can be read and there is room to write: CodeUnavailable when not, with a Detail when it
// is about writing. It waits for no writer.
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

// room is about what a few transactions take in the write-ahead log, which grows beside the file.
const room = 128 << 10

// findRoom takes room of the disk and gives it back. The file has no name while it holds anything, so that nothing is
// left of it when the process ends meanwhile.
func (s *Store) findRoom() error {
	file, err := os.CreateTemp(filepath.Dir(s.path), "room-*")
	if err != nil {
		return err
	}
	err = os.Remove(file.Name())
	_, full := file.Write(make([]byte, room))
	return errors.Join(err, full, file.Close())
}
