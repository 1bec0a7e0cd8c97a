package queue

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

// failures logs the failures of tasks: errors of the handlers, exceeded timeouts and lost leases. An account task
// that fails can be enqueued again several times a second. So of each account's tasks of a kind only one failure is
// logged in logInterval, with the number of failures that were left out since the one before.
type failures struct {
	log *slog.Logger

	mu      sync.Mutex
	last    map[accountTaskKey]logged
	cleaned time.Time // when old entries of last were removed
}

type accountTaskKey struct{ task, account string }

// logged is when a failure was last logged, and how many were left out since.
type logged struct {
	at      time.Time
	leftOut int
}

func newFailures(log *slog.Logger) *failures {
	return &failures{log: log, last: make(map[accountTaskKey]logged)}
}

// HandleError implements asynq.ErrorHandler.
func (f *failures) HandleError(ctx context.Context, task *asynq.Task, err error) {
	leftOut, ok := 0, true
	if isAccountTask(task.Type()) {
		leftOut, ok = f.allow(accountTaskKey{task.Type(), string(task.Payload())}, time.Now())
	}
	if !ok {
		return
	}
	if failed, ok := errors.AsType[*failure](err); ok {
		err = failed.cause
	}
	level := slog.LevelError
	if errors.Is(err, errType) { // expected during an upgrade
		level = slog.LevelWarn
	}
	id, _ := asynq.GetTaskID(ctx)
	retried, _ := asynq.GetRetryCount(ctx)
	attrs := []slog.Attr{
		slog.String("task", task.Type()), slog.String("task_id", id), slog.Int("attempt", retried+1), slog.Any("error", err),
	}
	if leftOut > 0 {
		attrs = append(attrs, slog.Int("left_out", leftOut))
	}
	f.log.LogAttrs(ctx, level, "task failed", attrs...)
}

// allow reports whether to log a failure of an account task, and how many were left out since the last that was logged.
func (f *failures) allow(key accountTaskKey, now time.Time) (leftOut int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, known := f.last[key]
	if known && now.Sub(last.at) < logInterval {
		last.leftOut++
		f.last[key] = last
		return 0, false
	}
	f.removeOld(now)
	f.last[key] = logged{at: now}
	return last.leftOut, true
}

// removeOld removes the entries of account tasks that have not failed lately, so that their number stays bounded.
func (f *failures) removeOld(now time.Time) {
	if now.Sub(f.cleaned) < logInterval {
		return
	}
	f.cleaned = now
	for key, last := range f.last {
		if now.Sub(last.at) >= 2*logInterval {
			delete(f.last, key)
		}
	}
}
