package revocation

import (
	"context"
	"errors"
)

// Code is the stable name of what went wrong. Callers see it as it stands; it never changes its meaning.
type Code string

const (
	// CodeNotFound: there is no such thing in the account, or it is another account's.
	CodeNotFound Code = "not_found"
	// CodeInvalid: a value is of the wrong type or out of range.
	CodeInvalid Code = "invalid"
	// CodeIdempotencyMismatch: the idempotency key was used for other values.
	CodeIdempotencyMismatch Code = "idempotency_mismatch"
	// CodeTooManyItems: a job has more items than are accepted.
	CodeTooManyItems Code = "too_many_items"
	// CodeUploadInProgress: the idempotency key belongs to an upload that still runs.
	CodeUploadInProgress Code = "upload_in_progress"
	// CodeJobEnded: the job has ended, or its upload was given up.
	CodeJobEnded Code = "job_ended"
	// CodeJobRunning: the job has not ended.
	CodeJobRunning Code = "job_running"
	// CodeRetryRunning: another retry of the job has not ended. The error's Job names it.
	CodeRetryRunning Code = "retry_running"
	// CodeOutcomeUnknown: the connection to the database broke while committing; what was asked may or may
	// not have been accepted.
	CodeOutcomeUnknown Code = "outcome_unknown"

	// CodeUnavailable: the database cannot be reached or does not serve now. Nothing was written.
	CodeUnavailable Code = "unavailable"
	// CodeConnectionLost: the connection to the database broke under a statement.
	CodeConnectionLost Code = "connection_lost"
	// CodeDeadlock: the database chose this transaction to end a deadlock.
	CodeDeadlock Code = "deadlock"
	// CodeSerialization: the transaction collided with another and has to be run again.
	CodeSerialization Code = "serialization_failure"
	// CodeLockTimeout: what the transaction needs is held by another for too long.
	CodeLockTimeout Code = "lock_timeout"
	// CodeInternal: a fault of this program or of its database that no caller can mend.
	CodeInternal Code = "internal"
)

// details tell an outcome's reader what a fault of the database means for the revocation. They are
// sentences of our own, because a driver's message can carry values.
var details = map[Code]string{
	CodeUnavailable:    "The database was not available.",
	CodeConnectionLost: "The connection to the database broke.",
	CodeDeadlock:       "The database ended a deadlock by giving up this attempt.",
	CodeSerialization:  "The attempt collided with another transaction.",
	CodeLockTimeout:    "The invite's data was locked by another transaction for too long.",
	CodeInternal:       "The attempt failed for an internal reason; the service's log says more.",
}

// Error is every error that this package and its stores give to their callers.
type Error struct {
	Code Code
	// Detail is a sentence for the caller; it holds no value that the caller sent and no internals.
	Detail string
	// Job is the job that the code speaks of; zero with all codes but CodeRetryRunning.
	Job ID
	// Err is the cause, for the log.
	Err error
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// ErrorCode is the code of the first Error in err's chain, and CodeInternal for an error without one.
func ErrorCode(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// Failure is the reason of an attempt that did not succeed, as callers see it.
type Failure struct {
	Code   Code
	Detail string
}

// FailureOf returns what callers see of the error that made an attempt fail: its code, and a sentence of our own.
func FailureOf(err error) Failure {
	code := ErrorCode(err)
	if code == CodeOutcomeUnknown {
		// Had it been committed, there would be no attempt to tell about.
		code = CodeConnectionLost
	}
	detail, ok := details[code]
	if !ok {
		code, detail = CodeInternal, details[CodeInternal]
	}
	return Failure{Code: code, Detail: detail}
}

// CanIsolate tells whether a fault can come from a single row of a batch, so that the batch is worth
// carrying out in halves: the rest must not wait for the one that is stuck. A database that is away fails
// every half alike.
func CanIsolate(err error) bool {
	switch ErrorCode(err) {
	case CodeUnavailable, CodeConnectionLost, CodeOutcomeUnknown:
		return false
	default:
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
}
