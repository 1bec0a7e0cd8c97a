package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// End ends a span. failure is a word for the reason why the work failed, and empty if it succeeded.
type End func(failure string)

// Begin begins a span for work on count requests, tasks or rows. The span belongs to the trace of the span that parent
// names, or to a new trace if parent is empty. Begin returns a context within the new span.
func (t *Tracing) Begin(ctx context.Context, name, parent string, count int) (context.Context, End) {
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attribute.Int("rescind.count", count))}
	from := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(
		context.Background(), propagation.MapCarrier{traceparent: parent}))
	if from.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, from)
	} else {
		options = append(options, trace.WithNewRoot())
	}
	ctx, span := t.tracer.Start(ctx, name, options...)
	return ctx, ending(span)
}

// Step begins a span for a part of the work, such as a call to another server. If ctx is not within a span, Step begins
// none. The attributes must not identify an account.
func (t *Tracing) Step(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, End) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, func(string) {}
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	return ctx, ending(span)
}

func ending(span trace.Span) End {
	return func(failure string) {
		if failure != "" {
			span.SetStatus(codes.Error, failure)
		}
		span.End()
	}
}

const traceparent = "traceparent"

// TraceParent returns the name of the span of ctx, for Begin in another process; empty if there is no span.
func TraceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceparent]
}
