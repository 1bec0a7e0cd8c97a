package telemetry

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
)

// Commands adds a span with the name and without the arguments to each command that client sends within another span.
// Commands that workers send while they wait for tasks are not within a span. The caller must call it before it derives
// other clients from this one.
func (t *Tracing) Commands(client *redis.Client) {
	if t != nil {
		client.AddHook(commands{t})
	}
}

type commands struct{ tracing *Tracing }

// ProcessHook adds a span to a command.
func (c commands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		ctx, end := c.begin(ctx, cmd.FullName())
		err := next(ctx, cmd)
		end(reason(err))
		return err
	}
}

// ProcessPipelineHook adds one span to all commands of a pipeline.
func (c commands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		ctx, end := c.begin(ctx, "pipeline", attribute.Int("db.operation.batch.size", len(cmds)))
		err := next(ctx, cmds)
		end(reason(err))
		return err
	}
}

// DialHook returns next.
func (commands) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c commands) begin(ctx context.Context, command string, more ...attribute.KeyValue) (context.Context, End) {
	return c.tracing.Step(ctx, "redis "+command, append(more,
		attribute.String("db.system.name", "redis"), attribute.String("db.operation.name", command))...)
}

// reason returns a word for an error. The text of the error could contain the name of a server.
func reason(err error) string {
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
