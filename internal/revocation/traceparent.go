package revocation

import "context"

type traceParentKey struct{}

// WithTraceParent notes under ctx what the work that is done or sent under it follows from: an opaque word for those who
// trace. It goes along with tasks and means nothing here. An empty one changes nothing.
func WithTraceParent(ctx context.Context, origin string) context.Context {
	if origin == "" {
		return ctx
	}
	return context.WithValue(ctx, traceParentKey{}, origin)
}

// TraceParent is what WithTraceParent noted last; empty for nothing.
func TraceParent(ctx context.Context) string {
	origin, _ := ctx.Value(traceParentKey{}).(string)
	return origin
}
