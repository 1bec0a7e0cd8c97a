package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"rescind/internal/revocation"
)

// write runs do in a transaction that has the file's write lock from its start; now is when it got the lock. If it returns an
// error, nothing was written, unless the error's code is CodeOutcomeUnknown.
func (s *Store) write(ctx context.Context, doing string, do func(tx *sql.Tx, now time.Time) error) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fault(doing, err)
	}
	if err := do(tx, time.Now()); err != nil {
		// Rollback fails only if SQLite has rolled back already.
		_ = tx.Rollback()
		return fault(doing, err)
	}
	if err := tx.Commit(); err != nil {
		if primaryCode(err) == sqlite3.SQLITE_IOERR {
			// The log may be on the disk or not.
			return &revocation.Error{Code: revocation.CodeOutcomeUnknown, Err: fmt.Errorf("%s: commit: %w", doing, err)}
		}
		return fault(doing, fmt.Errorf("commit: %w", err))
	}
	return nil
}

func exec(ctx context.Context, tx *sql.Tx, statement string, args ...any) error {
	_, err := tx.ExecContext(ctx, statement, args...)
	return err
}

// change runs a statement and returns the number of rows that it changed.
func change(ctx context.Context, tx *sql.Tx, statement string, args ...any) (int64, error) {
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
