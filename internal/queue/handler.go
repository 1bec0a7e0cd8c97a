package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/hibiken/asynq"

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

// unreadable is a task of another version, or garbage. asynq.RevokeTask drops it without a trace in Redis:
// what it should have carried out is found by its rows.
func unreadable(why error) error {
	return &failure{code: revocation.CodeInvalid, cause: fmt.Errorf("dropped: %w: %w", why, asynq.RevokeTask)}
}

var errType = errors.New("the type of the task is unknown")

// handle makes a handler of tasks of one type. A panic is an error like others.
func handle[Work any](taskType string, read func([]byte) (Work, error), carryOut func(context.Context, Work) error) asynq.Handler {
	return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = &failure{code: revocation.CodeInternal, cause: fmt.Errorf("panic: %v\n%s", v, debug.Stack())}
			}
		}()
		if task.Type() != taskType {
			return unreadable(errType)
		}
		work, err := read(task.Payload())
		if err != nil {
			return unreadable(err)
		}
		if err := carryOut(ctx, work); err != nil {
			return &failure{code: revocation.ErrorCode(err), cause: err}
		}
		return nil
	})
}

// following has a batch carried out under the origin of its task.
func following[Ref any](carryOut func(context.Context, []Ref) error) func(context.Context, work[Ref]) error {
	return func(ctx context.Context, w work[Ref]) error {
		return carryOut(revocation.WithOrigin(ctx, w.origin), w.batch)
	}
}

// handleTurn makes a handler of turns of one kind. One that failed leaves nothing in Redis, so that the account can
// have another in its place.
func handleTurn(kind revocation.Turn, turn func(ctx context.Context, account string) error) asynq.Handler {
	handler := handle(turnType(kind), readTurn, turn)
	return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		if err := handler.ProcessTask(ctx, task); err != nil {
			return fmt.Errorf("%w: %w", err, asynq.RevokeTask)
		}
		return nil
	})
}

// logFailure tells of every try that failed, once: those that handle saw, and those that asynq ended because
// their time or their lease was over.
func logFailure(log *slog.Logger) asynq.ErrorHandlerFunc {
	return func(ctx context.Context, task *asynq.Task, err error) {
		if f, ok := errors.AsType[*failure](err); ok {
			err = f.cause
		}
		id, _ := asynq.GetTaskID(ctx)
		retried, _ := asynq.GetRetryCount(ctx)
		log.ErrorContext(ctx, "task failed", "task", task.Type(), "task_id", id, "attempt", retried+1, "error", err)
	}
}
