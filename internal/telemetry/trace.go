package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/go-logr/logr"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// Tracing creates spans and sends them to a collector. A nil Tracing is valid and off: its methods return their arguments
// or nil, and add no cost.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

const (
	// endpointVariable is OpenTelemetry's variable for the collector, and switches tracing on. The libraries also read its
	// other variables, such as OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and OTEL_EXPORTER_OTLP_HEADERS.
	endpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT"
	// flushTimeout bounds how long Stop sends the remaining spans.
	flushTimeout = 3 * time.Second
	// warnInterval is the shortest time between two warnings, so that a collector that does not answer does not fill the log.
	warnInterval = time.Minute
)

var errEndpoint = errors.New("the settings OTEL_… of the collector of traces cannot be used")

// StartTracing returns nil unless the environment names a collector (OTLP over HTTP). service is the name of the process,
// unless the environment sets another one. The caller must call Stop.
func StartTracing(ctx context.Context, service string, log *slog.Logger) (*Tracing, error) {
	if os.Getenv(endpointVariable) == "" {
		return nil, nil //nolint:nilnil // off is no error
	}
	sometimes := rate.Sometimes{Interval: warnInterval}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {
		// The error can contain settings, and they contain keys.
		sometimes.Do(func() { log.Warn("traces cannot be sent; see " + endpointVariable) })
	}))
	otel.SetLogger(logr.Discard()) // it would log the same errors with the settings
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, errEndpoint
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", service)), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, errEndpoint
	}
	return newTracing(sdktrace.WithBatcher(redact{exporter}), sdktrace.WithResource(about)), nil
}

func newTracing(options ...sdktrace.TracerProviderOption) *Tracing {
	provider := sdktrace.NewTracerProvider(options...)
	return &Tracing{provider, provider.Tracer(scope)}
}

// Stop sends the remaining spans, for up to 3 seconds.
func (t *Tracing) Stop() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("stop tracing: %w", err)
	}
	return nil
}

// Handler returns a handler that begins a span for each request, except requests to /healthz and /readyz. A caller's trace
// is linked and not continued, because otherwise callers could decide what is sampled.
func (t *Tracing) Handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return otelhttp.NewHandler(next, "request",
		otelhttp.WithTracerProvider(t.provider), otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return true }),
		otelhttp.WithSpanNameFormatter(func(string, *http.Request) string { return "request" }),
		otelhttp.WithFilter(func(r *http.Request) bool { return r.URL.Path != "/healthz" && r.URL.Path != "/readyz" }))
}

// Queries returns tracers for pgx. They add a span with the text and without the values to each statement within a span.
func (t *Tracing) Queries() []pgx.QueryTracer {
	if t == nil {
		return nil
	}
	return []pgx.QueryTracer{otelpgx.NewTracer(
		otelpgx.WithTracerProvider(t.provider), otelpgx.WithDisableConnectionDetailsInAttributes())}
}
