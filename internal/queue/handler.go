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

// failure is what asynq gets to see of an error. Its text goes into Redis, where a driver's or a panic's
// words, which can carry values, have no business.
type failure struct {
	code  revocation.Code
	cause error
}

func (f *failure) Error() string { return "task failed: " + string(f.code) }
func (f *failure) Unwrap() error { return f.cause }

// unreadable is a task that nobody can carry out. asynq.RevokeTask drops it without a trace in Redis: what it should
// have carried out is found by its rows.
func unreadable(why error) error {
	return &failure{code: revocation.CodeInvalid, cause: fmt.Errorf("dropped: %w: %w", why, asynq.RevokeTask)}
}

var errType = errors.New("the type of the task is unknown: it is another version's")

// otherVersion is a task of another version. It goes back as often as it may be retried, so that a worker of that version
// gets it; where none does, it is as good as unreadable.
func otherVersion(ctx context.Context) error {
	retried, _ := asynq.GetRetryCount(ctx)
	if most, _ := asynq.GetMaxRetry(ctx); retried >= most {
		return unreadable(errType)
	}
	return &failure{code: revocation.CodeInvalid, cause: fmt.Errorf("put back: %w", errType)}
}

// handle makes a handler of tasks of one type. A panic is an error like others.
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

// withTraceParent has a batch carried out under the origin of its task.
func withTraceParent[Ref any](carryOut func(context.Context, []Ref) error) func(context.Context, work[Ref]) error {
	return func(ctx context.Context, w work[Ref]) error {
		return carryOut(revocation.WithTraceParent(ctx, w.traceParent), w.batch)
	}
}

// handleAccountTask makes a handler of turns of one kind. One that failed leaves nothing in Redis, so that the account can
// have another in its place.
func handleAccountTask(kind revocation.AccountTask, turn func(ctx context.Context, account string) error) asynq.Handler {
	handler := handle(accountTaskType(kind), readAccountTask, turn)
	return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		ctx = revocation.WithTraceParent(ctx, task.Headers()[traceParentHeader])
		if err := handler.ProcessTask(ctx, task); err != nil {
			return fmt.Errorf("%w: %w", err, asynq.RevokeTask)
		}
		return nil
	})
}
