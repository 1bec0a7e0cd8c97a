package telemetry

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
)

// Commands makes a span of each command that client sends under a span, with its name and without its arguments. What
// workers send while they wait for tasks is under none. It belongs before the clients that are made of this one.
func (t *Tracing) Commands(client *redis.Client) {
	if t != nil {
		client.AddHook(commands{t})
	}
}

type commands struct{ tracing *Tracing }

// ProcessHook makes a command's span.
func (c commands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		ctx, end := c.begin(ctx, cmd.FullName())
		err := next(ctx, cmd)
		end(why(err))
		return err
	}
}

// ProcessPipelineHook makes one span of commands that are sent together.
func (c commands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		ctx, end := c.begin(ctx, "pipeline", attribute.Int("db.operation.batch.size", len(cmds)))
		err := next(ctx, cmds)
		end(why(err))
		return err
	}
}

// DialHook changes nothing.
func (commands) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c commands) begin(ctx context.Context, command string, more ...attribute.KeyValue) (context.Context, End) {
	return c.tracing.Step(ctx, "redis "+command, append(more,
		attribute.String("db.system.name", "redis"), attribute.String("db.operation.name", command))...)
}

// why is a word for an error, and never its own: they can name a server.
func why(err error) string {
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return ""
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, new(redis.Error)):
		return "refused"
	default:
		return "unavailable"
	}
}
