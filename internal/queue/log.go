package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

// logInterval is the least time between two lines of the same kind. While Redis is away, asynq and go-redis log up to
// ten errors a second each.
const logInterval = 10 * time.Second

// serverLog passes asynq's log to slog. asynq logs the ids of tasks and never their payloads.
type serverLog struct {
	log       *slog.Logger
	sometimes rate.Sometimes
}

func newServerLog(log *slog.Logger) *serverLog {
	return &serverLog{log: log, sometimes: rate.Sometimes{Interval: logInterval}}
}

func (l *serverLog) Debug(args ...any) { l.log.Debug(fmt.Sprint(args...)) }
func (l *serverLog) Info(args ...any)  { l.log.Info(fmt.Sprint(args...)) }
func (l *serverLog) Warn(args ...any)  { l.log.Warn(fmt.Sprint(args...)) }

func (l *serverLog) Error(args ...any) {
	l.sometimes.Do(func() { l.log.Warn("queue server is in trouble", "error", fmt.Sprint(args...)) })
}

// Fatal logs an error. It does not exit: a library must not end this process.
func (l *serverLog) Fatal(args ...any) { l.Error(args...) }

// LogRedis makes go-redis log its errors to log. Most are about connections that it could not make. The setting is for
// the whole process; the caller must set it before the first client is made.
func LogRedis(log *slog.Logger) {
	redis.SetLogger(&redisLog{log: log, sometimes: rate.Sometimes{Interval: logInterval}})
}

type redisLog struct {
	log       *slog.Logger
	sometimes rate.Sometimes
}

func (l *redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.sometimes.Do(func() { l.log.WarnContext(ctx, "redis client is in trouble", "error", fmt.Sprintf(format, args...)) })
}
