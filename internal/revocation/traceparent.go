package revocation

import "context"

type traceParentKey struct{}

// WithTraceParent returns a copy of ctx with the trace parent of the work that is done or sent with it. A trace parent is a
// string that identifies the calling span; this package does not interpret it. Tasks carry it. If it is empty,
// WithTraceParent returns ctx.
func WithTraceParent(ctx context.Context, traceParent string) context.Context {
	if traceParent == "" {
		return ctx
	}
	return context.WithValue(ctx, traceParentKey{}, traceParent)
}

// TraceParent returns the trace parent of ctx, or an empty string if it has none.
func TraceParent(ctx context.Context) string {
	traceParent, _ := ctx.Value(traceParentKey{}).(string)
	return traceParent
}
