package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/hibiken/asynq"

	"rescind/internal/failpoint"
	"rescind/internal/revocation"
)

// failure is the error that asynq gets. asynq stores its text in Redis, so the text has only a code: the text of a
// driver's error or of a panic can contain values.
type failure struct {
	code  revocation.Code
	cause error
}

func (f *failure) Error() string { return "task failed: " + string(f.code) }
func (f *failure) Unwrap() error { return f.cause }

// unreadable returns the error for a task that no worker can run. With asynq.RevokeTask, asynq deletes the task. The
// dispatcher finds its rows.
func unreadable(reason error) error {
	return &failure{code: revocation.CodeInvalid, cause: fmt.Errorf("dropped: %w: %w", reason, asynq.RevokeTask)}
}

var errType = errors.New("the type of the task is unknown: another version of the service sent it")

// otherVersion returns the error for a task of another version. asynq retries the task, so that a worker of that version
// can take it. After the last retry the task is unreadable.
func otherVersion(ctx context.Context) error {
	retried, _ := asynq.GetRetryCount(ctx)
	if most, _ := asynq.GetMaxRetry(ctx); retried >= most {
		return unreadable(errType)
	}
	return &failure{code: revocation.CodeInvalid, cause: fmt.Errorf("put back: %w", errType)}
}

// handle returns a handler for tasks of one type. It turns a panic into an error.
func handle[Work any](taskType string, read func([]byte) (Work, error), carryOut func(context.Context, Work) error) asynq.Handler {
	return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = &failure{code: revocation.CodeInternal, cause: fmt.Errorf("panic: %v\n%s", v, debug.Stack())}
			}
		}()
		if task.Type() != taskType {
			return otherVersion(ctx)
		}
		work, err := read(task.Payload())
		if err != nil {
			return unreadable(err)
		}
		failpoint.Reach(failpoint.TaskBegun, taskType)
		if err := carryOut(ctx, work); err != nil {
			return &failure{code: revocation.ErrorCode(err), cause: err}
		}
		failpoint.Reach(failpoint.TaskDone, taskType)
		return nil
	})
}

// withTraceParent returns a function that calls carryOut with the trace context of the task.
func withTraceParent[Ref any](carryOut func(context.Context, []Ref) error) func(context.Context, work[Ref]) error {
	return func(ctx context.Context, w work[Ref]) error {
		return carryOut(revocation.WithTraceParent(ctx, w.traceParent), w.batch)
	}
}

// handleAccountTask returns a handler for account tasks of one kind. asynq deletes a task that failed, so that its id can
// be enqueued again.
func handleAccountTask(kind revocation.AccountTask, run func(ctx context.Context, account string) error) asynq.Handler {
	handler := handle(accountTaskType(kind), readAccountTask, run)
	return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		ctx = revocation.WithTraceParent(ctx, task.Headers()[traceParentHeader])
		if err := handler.ProcessTask(ctx, task); err != nil {
			return fmt.Errorf("%w: %w", err, asynq.RevokeTask)
		}
		return nil
	})
}
