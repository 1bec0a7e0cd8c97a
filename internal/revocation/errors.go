package revocation

import (
	"context"
	"errors"
)

// Code identifies a kind of error. Responses contain it unchanged; its meaning never changes.
type Code string

const (
	// CodeNotFound: the account has no such invite, revocation or job. Another account may have it.
	CodeNotFound Code = "not_found"
	// CodeInvalid: a value is of the wrong type or out of range.
	CodeInvalid Code = "invalid"
	// CodeIdempotencyMismatch: the idempotency key was used for other values.
	CodeIdempotencyMismatch Code = "idempotency_mismatch"
	// CodeTooManyItems: a job has more items than are accepted.
	CodeTooManyItems Code = "too_many_items"
	// CodeUploadInProgress: the idempotency key belongs to an upload that has not ended.
	CodeUploadInProgress Code = "upload_in_progress"
	// CodeJobEnded: the job has ended, or its upload was dropped.
	CodeJobEnded Code = "job_ended"
	// CodeJobRunning: the job has not ended.
	CodeJobRunning Code = "job_running"
	// CodeRetryRunning: another retry of the job has not ended. The error's Job is its id.
	CodeRetryRunning Code = "retry_running"
	// CodeWrongState: the state of the job does not allow the request. The error's State is the job's.
	CodeWrongState Code = "wrong_state"
	// CodeCountMismatch: the count of a confirmation or approval is not the predicted one, which is the error's Count.
	CodeCountMismatch Code = "count_mismatch"
	// CodeSameKey: the key that submitted or confirmed a job cannot approve it.
	CodeSameKey Code = "same_key"
	// CodeMissingScope: the key does not have the scope that the request needs.
	CodeMissingScope Code = "missing_scope"
	// CodeAlreadyFinal: the revocation is final.
	CodeAlreadyFinal Code = "already_final"
	// CodeUnderWay: an upstream may carry out the revocation at this moment, or has perhaps done so.
	CodeUnderWay Code = "under_way"
	// CodeNotSupported: the account or item cannot do that.
	CodeNotSupported Code = "not_supported"
	// CodeOutcomeUnknown: the connection to the database broke during a commit. The request may or may not have been
	// accepted.
	CodeOutcomeUnknown Code = "outcome_unknown"

	// CodeUnavailable: the database cannot be reached or does not accept requests now. Nothing was written.
	CodeUnavailable Code = "unavailable"
	// CodeConnectionLost: the connection to the database broke during a statement.
	CodeConnectionLost Code = "connection_lost"
	// CodeDeadlock: the database aborted this transaction to end a deadlock.
	CodeDeadlock Code = "deadlock"
	// CodeSerialization: the transaction conflicted with another one and must be retried.
	CodeSerialization Code = "serialization_failure"
	// CodeLockTimeout: another transaction holds a lock that this one needs, and did not release it in time.
	CodeLockTimeout Code = "lock_timeout"
	// CodeInternal: a fault of this program or of its database. The caller cannot fix it.
	CodeInternal Code = "internal"
)

// details describes, for readers of an outcome, what an error means for the revocation. A driver's message is not used,
// because it can contain values.
var details = map[Code]string{
	CodeUnavailable:    "The database was not available.",
	CodeConnectionLost: "The connection to the database broke.",
	CodeDeadlock:       "The database ended a deadlock by giving up this attempt.",
	CodeSerialization:  "The attempt collided with another transaction.",
	CodeLockTimeout:    "The invite's data was locked by another transaction for too long.",
	CodeInternal:       "The attempt failed for an internal reason; the service's log says more.",
}

// Error is the type of every error that the stores and the service return to their callers.
type Error struct {
	Code Code
	// Detail is a sentence for the caller. It contains no value that the caller sent and no internals.
	Detail string
	// Job is the running retry with CodeRetryRunning, and zero with every other code.
	Job ID
	// State is the job's state with CodeWrongState and CodeJobEnded; empty if there is none to tell.
	State JobState
	// Count is the expected count with CodeCountMismatch.
	Count int
	// Err is the cause, for the log; it may be nil.
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

// ErrorCode returns the code of the first Error in err's chain, or CodeInternal if there is none. It returns CodeInternal
// for a nil error too.
func ErrorCode(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// Failure is why an attempt failed, as callers see it.
type Failure struct {
	Code   Code
	Detail string
}

// FailureOf returns what callers see of the error that made an attempt fail: its code, and a sentence that does not come
// from the error.
func FailureOf(err error) Failure {
	code := ErrorCode(err)
	if code == CodeOutcomeUnknown {
		// Nothing was committed: otherwise the attempt would have succeeded, and nothing would record its failure.
		code = CodeConnectionLost
	}
	detail, ok := details[code]
	if !ok {
		code, detail = CodeInternal, details[CodeInternal]
	}
	return Failure{Code: code, Detail: detail}
}

// CanIsolate reports whether an error can be caused by a single row of a batch. If so, the batch should be carried out in
// halves, so that the other rows need not wait for that row. If the database is unavailable, every half would fail.
func CanIsolate(err error) bool {
	switch ErrorCode(err) {
	case CodeUnavailable, CodeConnectionLost, CodeOutcomeUnknown:
		return false
	default:
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
}
