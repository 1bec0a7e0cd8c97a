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

// Tracing makes spans and sends them to a collector. A nil Tracing is one that is off: its methods hand back what they
// were given, so that nothing of it is in the way.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

const (
	// endpointVariable is OpenTelemetry's, and switches tracing on. Its others, such as OTEL_SERVICE_NAME,
	// OTEL_TRACES_SAMPLER and OTEL_EXPORTER_OTLP_HEADERS, count as well.
	endpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT"
	// flushTimeout bounds the sending of what is left at the end.
	flushTimeout = 3 * time.Second
	// logInterval keeps a collector that is away from filling the log.
	complaintInterval = time.Minute
)

var errEndpoint = errors.New("the settings OTEL_… of the collector of traces cannot be used")

// StartTracing gives nil unless the environment names a collector (OTLP over HTTP). service is the process's name
// there unless the environment has another. Stop it at the end.
func StartTracing(ctx context.Context, service string, log *slog.Logger) (*Tracing, error) {
	if os.Getenv(endpointVariable) == "" {
		return nil, nil //nolint:nilnil // off is no error
	}
	sometimes := rate.Sometimes{Interval: complaintInterval}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {
		// The error can quote settings, which hold keys.
		sometimes.Do(func() { log.Warn("traces cannot be sent; see " + endpointVariable) })
	}))
	otel.SetLogger(logr.Discard()) // it says the same, with the settings
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

// Stop sends what is left.
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

// Handler makes a span of each request, but for those of probes. A caller's own trace is linked and not continued:
// it could have everything sampled.
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

// Queries makes a span of each statement under a span, with its text and without its values.
func (t *Tracing) Queries() []pgx.QueryTracer {
	if t == nil {
		return nil
	}
	return []pgx.QueryTracer{otelpgx.NewTracer(
		otelpgx.WithTracerProvider(t.provider), otelpgx.WithDisableConnectionDetailsInAttributes())}
}
