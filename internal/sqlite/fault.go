package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"rescind/internal/revocation"
)

// fault returns err as a *revocation.Error with its code and the name of the operation.
func fault(doing string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*revocation.Error](err); ok {
		return err
	}
	return &revocation.Error{Code: codeOf(err), Err: fmt.Errorf("%s: %w", doing, err)}
}

func codeOf(err error) revocation.Code {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || closed(err) {
		return revocation.CodeUnavailable
	}
	switch primaryCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return revocation.CodeLockTimeout
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT:
		return revocation.CodeUnavailable
	default:
		return revocation.CodeInternal
	}
}

// primaryCode returns SQLite's result code without its extension, or SQLITE_OK for another error.
func primaryCode(err error) int {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return sqlite3.SQLITE_OK
	}
	return e.Code() & 0xff
}

// closed reports whether err means that the store was closed. database/sql does not export that error, so closed compares the
// text.
func closed(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if err.Error() == "sql: database is closed" {
			return true
		}
	}
	return false
}

// notFound returns the error for anything that the account does not have.
func notFound(detail string) error {
	return &revocation.Error{Code: revocation.CodeNotFound, Detail: detail}
}
