package telemetry

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// scope is the instrumentation scope of the service's own spans.
const scope = "rescind"

// redact removes from spans what libraries record of callers' data: a key that was sent in the wrong place, or a candidate's
// name in an error of the database. Ids, codes, the route and the text of statements remain.
type redact struct{ sdktrace.SpanExporter }

// ExportSpans implements sdktrace.SpanExporter.
func (d redact) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	redacted := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, span := range spans {
		redacted[i] = redactedSpan{span}
	}
	return d.SpanExporter.ExportSpans(ctx, redacted)
}

type redactedSpan struct{ sdktrace.ReadOnlySpan }

// removed are the attributes that contain what a caller sent, or the address of a caller or a server.
var removed = []attribute.Key{
	"client.address", "client.port", "http.request.method_original", "network.peer.address", "network.peer.port", "server.address", "server.port",
	"url.full", "url.path", "url.query", "user_agent.original",
}

// Attributes returns the attributes that are safe to export.
func (s redactedSpan) Attributes() []attribute.KeyValue {
	return slices.DeleteFunc(slices.Clone(s.ReadOnlySpan.Attributes()), func(a attribute.KeyValue) bool {
		return slices.Contains(removed, a.Key)
	})
}

// Events returns nil, because the events of the libraries are error texts.
func (redactedSpan) Events() []sdktrace.Event { return nil }

// Status returns the status without its description, unless the description is one of the service's own codes.
func (s redactedSpan) Status() sdktrace.Status {
	status := s.ReadOnlySpan.Status()
	if status.Code == codes.Error && s.InstrumentationScope().Name != scope {
		status.Description = ""
	}
	return status
}
