package revocation

import "context"

type originKey struct{}

// WithOrigin notes under ctx what the work that is done or sent under it follows from: an opaque word for those who
// trace. It goes along with tasks and means nothing here. An empty one changes nothing.
func WithOrigin(ctx context.Context, origin string) context.Context {
	if origin == "" {
		return ctx
	}
	return context.WithValue(ctx, originKey{}, origin)
}

// Origin is what WithOrigin noted last; empty for nothing.
func Origin(ctx context.Context) string {
	origin, _ := ctx.Value(originKey{}).(string)
	return origin
}
