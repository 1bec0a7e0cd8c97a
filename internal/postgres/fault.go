package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"rescind/internal/revocation"
)

// fault returns a driver's error as a *revocation.Error with a code. It returns nil and a *revocation.Error unchanged.
func fault(name string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*revocation.Error](err); ok {
		return err
	}
	return &revocation.Error{Code: faultCode(err), Err: fmt.Errorf("%s: %w", name, redact(err))}
}

// redactedError is an error of the server without its message.
type redactedError struct{ *pgconn.PgError }

// Error returns the SQLSTATE and the names of the schema that the error is about.
func (e redactedError) Error() string {
	return strings.Join(strings.Fields("SQLSTATE "+e.Code+" "+e.TableName+" "+e.ColumnName+" "+e.ConstraintName), " ")
}

// Unwrap returns the original error.
func (e redactedError) Unwrap() error { return e.PgError }

// redact removes the server's message from errors about data, because it can quote the values of a row, such as a candidate's
// name. Errors about the server itself keep their message.
func redact(err error) error {
	if isEncodeError(err) {
		return errParameter
	}
	answer, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || len(answer.Code) < 2 {
		return err
	}
	switch answer.Code[:2] {
	case "22", "23", "27", "38", "39", "44", "P0": // data, integrity, triggers, functions, views, PL/pgSQL
		return redactedError{answer}
	default:
		return withTypes(err)
	}
}

// faultCode returns the code for an error. The SQLSTATEs are those of PostgreSQL's manual, appendix A.
func faultCode(err error) revocation.Code {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case answer.Code == "40P01":
			return revocation.CodeDeadlock
		case answer.Code == "40001":
			return revocation.CodeSerialization
		case answer.Code == "55P03":
			return revocation.CodeLockTimeout
		case answer.Code == "57P01", strings.HasPrefix(answer.Code, "08"): // terminated by an operator, broken
			return revocation.CodeConnectionLost
		case strings.HasPrefix(answer.Code, "57"), // cancelled, starting up, shutting down
			strings.HasPrefix(answer.Code, "53"), // out of connections, memory, disk
			answer.Code == "58030",               // disk
			answer.Code == readOnlyTransaction,   // a standby
			strings.HasPrefix(answer.Code, "28"), // the login is refused
			answer.Code == "3D000",               // no such database
			answer.Code == "42P01":               // no such table: not migrated yet
			return revocation.CodeUnavailable
		}
		return revocation.CodeInternal
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	switch {
	case isEncodeError(err):
		return revocation.CodeInternal
	case connecting, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return revocation.CodeUnavailable
	default:
		// The error is not from the server, so it is from the connection.
		return revocation.CodeConnectionLost
	}
}
