package telemetry

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// scope is what this package's own spans come from.
const scope = "rescind"

// redact keeps from the collector what the libraries note of a caller's and of a row's words: a key that was sent in
// the wrong place, or a candidate's name in the database's complaint. Ids, codes, the route and the statement's text stay.
type redact struct{ sdktrace.SpanExporter }

// ExportSpans implements sdktrace.SpanExporter.
func (d redact) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	quiet := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, span := range spans {
		quiet[i] = redactedSpan{span}
	}
	return d.SpanExporter.ExportSpans(ctx, quiet)
}

type redactedSpan struct{ sdktrace.ReadOnlySpan }

// wordy are the attributes that hold what a caller sent, or where it or a server is.
var wordy = []attribute.Key{
	"client.address", "client.port", "http.request.method_original", "network.peer.address", "network.peer.port", "server.address", "server.port",
	"url.full", "url.path", "url.query", "user_agent.original",
}

// Attributes gives those that are not a caller's words.
func (s redactedSpan) Attributes() []attribute.KeyValue {
	return slices.DeleteFunc(slices.Clone(s.ReadOnlySpan.Attributes()), func(a attribute.KeyValue) bool {
		return slices.Contains(wordy, a.Key)
	})
}

// Events gives none: the libraries' are errors, in words.
func (redactedSpan) Events() []sdktrace.Event { return nil }

// Status gives the reason of a failure only where it is one of our codes.
func (s redactedSpan) Status() sdktrace.Status {
	status := s.ReadOnlySpan.Status()
	if status.Code == codes.Error && s.InstrumentationScope().Name != scope {
		status.Description = ""
	}
	return status
}
