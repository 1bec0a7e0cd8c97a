package app

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

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
		next.ServeHTTP(w, r.WithContext(revocation.WithTraceParent(ctx, telemetry.TraceParent(ctx))))
	}))
}

// traced makes a span of each batch, in the trace of what it follows from.
func traced[Ref any](tracing *telemetry.Tracing, name string, do func(context.Context, []Ref) error) func(context.Context, []Ref) error {
	if tracing == nil {
		return do
	}
	return func(ctx context.Context, batch []Ref) error {
		return span(ctx, tracing, name, len(batch), func(ctx context.Context) error { return do(ctx, batch) })
	}
}

// tracedAccountTask makes a span of each turn, in the trace of what gave the account its turn.
func tracedAccountTask(tracing *telemetry.Tracing, name string, turn func(context.Context, string) error) func(context.Context, string) error {
	if tracing == nil {
		return turn
	}
	return func(ctx context.Context, account string) error {
		return span(ctx, tracing, name, 1, func(ctx context.Context) error { return turn(ctx, account) })
	}
}

func span(ctx context.Context, tracing *telemetry.Tracing, name string, count int, do func(context.Context) error) error {
	ctx, end := tracing.Begin(ctx, name, revocation.TraceParent(ctx), count)
	err := do(revocation.WithTraceParent(ctx, telemetry.TraceParent(ctx)))
	end(failureOf(err))
	return err
}

// failureOf is an error's code, and not its words, which can carry values.
func failureOf(err error) string {
	if err == nil {
		return ""
	}
	return string(revocation.ErrorCode(err))
}

// tracedStore makes a span of each flush, and of what is written of a job's upload.
type tracedStore struct {
	Store
	tracing *telemetry.Tracing
}

func traceWrites(tracing *telemetry.Tracing, store Store) Store {
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

// AddItems implements revocation.JobStore.
func (s tracedStore) AddItems(ctx context.Context, job revocation.NewJob, items []revocation.Item, lease time.Duration) error {
	ctx, end := s.tracing.Step(ctx, "add items", attribute.Int("rescind.count", len(items)))
	err := s.Store.AddItems(ctx, job, items, lease)
	end(failureOf(err))
	return err
}

// FinalizeJob implements revocation.JobStore.
func (s tracedStore) FinalizeJob(ctx context.Context, seal revocation.FinalJob) (revocation.Job, error) {
	ctx, end := s.tracing.Step(ctx, "seal job", attribute.Int("rescind.count", seal.Total))
	job, err := s.Store.FinalizeJob(ctx, seal)
	end(failureOf(err))
	return job, err
}

// tracedQueue makes a span of what a request's end leaves to the queue.
type tracedQueue struct {
	revocation.Queue
	tracing *telemetry.Tracing
}

func traceQueue(tracing *telemetry.Tracing, queue revocation.Queue) revocation.Queue {
	if tracing == nil {
		return queue
	}
	return tracedQueue{queue, tracing}
}

// EnqueueRevocations implements revocation.Queue.
func (q tracedQueue) EnqueueRevocations(ctx context.Context, dispatchCount int, batch []revocation.Ref) error {
	return span(ctx, q.tracing, "enqueue", len(batch), func(ctx context.Context) error {
		return q.Queue.EnqueueRevocations(ctx, dispatchCount, batch)
	})
}

// EnqueueAccountTasks implements revocation.Queue.
func (q tracedQueue) EnqueueAccountTasks(ctx context.Context, kind revocation.AccountTask, accounts []string) error {
	return span(ctx, q.tracing, "enqueue turns", len(accounts), func(ctx context.Context) error {
		return q.Queue.EnqueueAccountTasks(ctx, kind, accounts)
	})
}

// tracedMailer makes a span of each delivery.
type tracedMailer struct {
	revocation.Mailer
	tracing *telemetry.Tracing
}

func traceMailer(tracing *telemetry.Tracing, mailer revocation.Mailer) revocation.Mailer {
	if tracing == nil {
		return mailer
	}
	return tracedMailer{mailer, tracing}
}

// Deliver implements revocation.Mailer.
func (m tracedMailer) Deliver(ctx context.Context, email revocation.Email, commit func(context.Context) error) error {
	ctx, end := m.tracing.Step(ctx, "deliver email")
	err := m.Mailer.Deliver(ctx, email, commit)
	failure := failureOf(err)
	if delivery, ok := errors.AsType[*revocation.DeliveryError](err); ok {
		failure = string(delivery.Verdict)
		trace.SpanFromContext(ctx).SetAttributes(attribute.Int("rescind.smtp_code", delivery.SMTPCode))
	}
	end(failure)
	return err
}

// tracedPlatform makes a span of each call to an upstream.
type tracedPlatform struct {
	revocation.UpstreamClient
	tracing *telemetry.Tracing
}

func tracePlatform(tracing *telemetry.Tracing, platform revocation.UpstreamClient) revocation.UpstreamClient {
	if tracing == nil {
		return platform
	}
	return tracedPlatform{platform, tracing}
}

// Revoke implements revocation.Platform.
func (p tracedPlatform) Revoke(ctx context.Context, target revocation.Target, reportID int64, notify bool) revocation.Reply {
	ctx, end := p.tracing.Step(ctx, "call upstream")
	reply := p.UpstreamClient.Revoke(ctx, target, reportID, notify)
	trace.SpanFromContext(ctx).SetAttributes(attribute.String("rescind.status", string(reply.Status)))
	failure := ""
	if reply.Failure != nil {
		failure = string(reply.Failure.Code)
	}
	end(failure)
	return reply
}
