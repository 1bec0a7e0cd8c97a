package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// End ends a span. failure is a word for why the work failed, and empty when it did not.
type End func(failure string)

// Begin begins a span of work on count things that others asked for, in the trace of the span that origin names, or in
// a new one without it. ctx is then under it.
func (t *Tracing) Begin(ctx context.Context, name, origin string, count int) (context.Context, End) {
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attribute.Int("rescind.count", count))}
	from := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(
		context.Background(), propagation.MapCarrier{traceparent: origin}))
	if from.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, from)
	} else {
		options = append(options, trace.WithNewRoot())
	}
	ctx, span := t.tracer.Start(ctx, name, options...)
	return ctx, ending(span)
}

// Step begins a span of a part of the work that ctx is under, which asks something of another server. Under none it
// makes none. Attributes must not hold anything of an account.
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

// TraceParent names the span that ctx is under, for Begin elsewhere; empty under none.
func TraceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceparent]
}
