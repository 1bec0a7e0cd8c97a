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

// tracedHandler returns a handler that begins a span for each request, and stores the trace parent in the request's
// context for the work that follows. If tracing is nil, it returns next. The other functions in this file do the same.
func tracedHandler(tracing *telemetry.Tracing, next http.Handler) http.Handler {
	if tracing == nil {
		return next
	}
	return tracing.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		next.ServeHTTP(w, r.WithContext(revocation.WithTraceParent(ctx, telemetry.TraceParent(ctx))))
	}))
}

// traced returns a function that calls do in a span of its own, in the trace of the request that caused the batch.
func traced[Ref any](tracing *telemetry.Tracing, name string, do func(context.Context, []Ref) error) func(context.Context, []Ref) error {
	if tracing == nil {
		return do
	}
	return func(ctx context.Context, batch []Ref) error {
		return span(ctx, tracing, name, len(batch), func(ctx context.Context) error { return do(ctx, batch) })
	}
}

// tracedAccountTask returns a function that calls do in a span of its own, in the trace of what enqueued the task.
func tracedAccountTask(tracing *telemetry.Tracing, name string, do func(context.Context, string) error) func(context.Context, string) error {
	if tracing == nil {
		return do
	}
	return func(ctx context.Context, account string) error {
		return span(ctx, tracing, name, 1, func(ctx context.Context) error { return do(ctx, account) })
	}
}

func span(ctx context.Context, tracing *telemetry.Tracing, name string, count int, do func(context.Context) error) error {
	ctx, end := tracing.Begin(ctx, name, revocation.TraceParent(ctx), count)
	err := do(revocation.WithTraceParent(ctx, telemetry.TraceParent(ctx)))
	end(failureOf(err))
	return err
}

// failureOf returns the code of an error, and not its text, which can contain values.
func failureOf(err error) string {
	if err == nil {
		return ""
	}
	return string(revocation.ErrorCode(err))
}

// tracedStore adds a span to each transaction of submissions, and to each write of a job's upload.
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
func (s tracedStore) FinalizeJob(ctx context.Context, final revocation.FinalJob) (revocation.Job, error) {
	ctx, end := s.tracing.Step(ctx, "finalize job", attribute.Int("rescind.count", final.Total))
	job, err := s.Store.FinalizeJob(ctx, final)
	end(failureOf(err))
	return job, err
}

// tracedQueue adds a span to what the API enqueues.
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
	return span(ctx, q.tracing, "enqueue account tasks", len(accounts), func(ctx context.Context) error {
		return q.Queue.EnqueueAccountTasks(ctx, kind, accounts)
	})
}

// tracedMailer adds a span to each delivery.
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

// tracedUpstream adds a span to each call to an upstream.
type tracedUpstream struct {
	revocation.UpstreamClient
	tracing *telemetry.Tracing
}

func traceUpstream(tracing *telemetry.Tracing, client revocation.UpstreamClient) revocation.UpstreamClient {
	if tracing == nil {
		return client
	}
	return tracedUpstream{client, tracing}
}

// Revoke implements revocation.UpstreamClient.
func (p tracedUpstream) Revoke(ctx context.Context, target revocation.Target, reportID int64, notify bool) revocation.Reply {
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
