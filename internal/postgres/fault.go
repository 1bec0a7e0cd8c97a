package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"rescind/internal/revocation"
)

// fault gives a driver's error the code that the domain acts on. It passes nil and a domain error through.
func fault(name string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*revocation.Error](err); ok {
		return err
	}
	return &revocation.Error{Code: faultCode(err), Err: fmt.Errorf("%s: %w", name, redact(err))}
}

// redactedError is an answer of the server without its words.
type redactedError struct{ *pgconn.PgError }

// Error names what the words would be about, as far as it is part of the schema.
func (e redactedError) Error() string {
	return strings.Join(strings.Fields("SQLSTATE "+e.Code+" "+e.TableName+" "+e.ColumnName+" "+e.ConstraintName), " ")
}

// Unwrap gives the answer as it came.
func (e redactedError) Unwrap() error { return e.PgError }

// redact keeps out of the log what the server says about data: it can quote a row's values, a candidate's name
// among them. What it says about itself is kept.
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

// The codes are PostgreSQL's SQLSTATEs, appendix A of its manual.
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
		// What the server did not say is the connection's.
		return revocation.CodeConnectionLost
	}
}
