package app

import (
	"context"
	"net/http"

	"rescind/internal/revocation"
	"rescind/internal/telemetry"
)

// tracedHandler makes a span of each request, and the origin of what it leads to. Without tracing it is next itself,
// and so it is with the others here.
func tracedHandler(tracing *telemetry.Tracing, next http.Handler) http.Handler {
	if tracing == nil {
		return next
	}
	return tracing.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		next.ServeHTTP(w, r.WithContext(revocation.WithOrigin(ctx, telemetry.Origin(ctx))))
	}))
}

// traced makes a span of each batch, linked to what it follows from.
func traced[Ref any](tracing *telemetry.Tracing, name string, do func(context.Context, []Ref) error) func(context.Context, []Ref) error {
	if tracing == nil {
		return do
	}
	return func(ctx context.Context, batch []Ref) error {
		return span(ctx, tracing, name, len(batch), func(ctx context.Context) error { return do(ctx, batch) })
	}
}

func span(ctx context.Context, tracing *telemetry.Tracing, name string, count int, do func(context.Context) error) error {
	ctx, end := tracing.Begin(ctx, name, revocation.Origin(ctx), count)
	err := do(revocation.WithOrigin(ctx, telemetry.Origin(ctx)))
	failure := ""
	if err != nil {
		failure = string(revocation.ErrorCode(err)) // and not its words, which can carry values
	}
	end(failure)
	return err
}

// tracedStore makes a span of each flush.
type tracedStore struct {
	Store
	tracing *telemetry.Tracing
}

func traceFlushes(tracing *telemetry.Tracing, store Store) Store {
	if tracing == nil {
		return store
	}
	return tracedStore{store, tracing}
}

// Submit implements revocation.SubmissionStore.
func (s tracedStore) Submit(ctx context.Context, flush []revocation.Submission) (accepted []revocation.Accepted, err error) {
	err = span(ctx, s.tracing, "flush", len(flush), func(ctx context.Context) error {
		accepted, err = s.Store.Submit(ctx, flush)
		return err
	})
	return accepted, err
}
