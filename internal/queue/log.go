package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

// logInterval keeps the loops of asynq and go-redis, which complain up to ten times a second each while
// Redis is away, from filling the log.
const logInterval = 10 * time.Second

// serverLog gives what asynq has to say to slog. Of tasks it names the ids and never the payloads.
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

// Fatal is an error like others: no library ends this process.
func (l *serverLog) Fatal(args ...any) { l.Error(args...) }

// LogRedis makes go-redis give its complaints, about connections that it could not make for the most part, to
// log. It holds for the whole process and belongs before its first client.
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
