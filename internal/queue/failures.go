package queue

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

// failures tells of the tries that failed: those that handle saw, and those that asynq ended because their time or
// their lease was over. A task's are few. Turns that fail come again as often as the dispatcher looks, so that of each
// account's turns of a kind one is told in logInterval, with the number of those left out before it.
type failures struct {
	log *slog.Logger

	mu    sync.Mutex
	told  map[accountTaskKey]logged
	swept time.Time // when told was last looked through
}

type accountTaskKey struct{ task, account string }

// logged is when it was made, and how many were not made since.
type logged struct {
	at      time.Time
	leftOut int
}

func newFailures(log *slog.Logger) *failures {
	return &failures{log: log, told: make(map[accountTaskKey]logged)}
}

// HandleError implements asynq.ErrorHandler.
func (f *failures) HandleError(ctx context.Context, task *asynq.Task, err error) {
	leftOut, tell := 0, true
	if isAccountTask(task.Type()) {
		leftOut, tell = f.pass(accountTaskKey{task.Type(), string(task.Payload())}, time.Now())
	}
	if !tell {
		return
	}
	if failed, ok := errors.AsType[*failure](err); ok {
		err = failed.cause
	}
	level := slog.LevelError
	if errors.Is(err, errType) { // as it has to be during an upgrade
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

// pass tells whether a turn's failure is told, and how many were not since the last that was.
func (f *failures) pass(turn accountTaskKey, now time.Time) (leftOut int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, known := f.told[turn]
	if known && now.Sub(last.at) < logInterval {
		last.leftOut++
		f.told[turn] = last
		return 0, false
	}
	f.forget(now)
	f.told[turn] = logged{at: now}
	return last.leftOut, true
}

// forget drops, now and then, what has not failed for long, so that no number of accounts adds up.
func (f *failures) forget(now time.Time) {
	if now.Sub(f.swept) < logInterval {
		return
	}
	f.swept = now
	for turn, last := range f.told {
		if now.Sub(last.at) >= 2*logInterval {
			delete(f.told, turn)
		}
	}
}
