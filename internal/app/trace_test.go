package app_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"rescind/internal/postgres"
	"rescind/internal/telemetry"
	"rescind/internal/testservers"
)

// collect runs a collector of traces, and has the environment name it.
func collect(t *testing.T) *collected {
	t.Helper()
	c := &collected{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var export collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &export); err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw = append(c.raw, body...)
		for _, resource := range export.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	return c
}

type collected struct {
	mu    sync.Mutex
	raw   []byte
	spans []*traces.Span
}

// families gives, for each trace with a span of the name root, the names of all its spans, each with the way to it.
// What is sent to Redis and to the database is told once, however often it was.
func (c *collected) families(root string) (families [][]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	byID := make(map[string]*traces.Span, len(c.spans))
	ways := make(map[string][]string) // by trace
	for _, span := range c.spans {
		byID[string(span.GetSpanId())] = span
	}
	for _, span := range c.spans {
		way := span.GetName()
		for parent := byID[string(span.GetParentSpanId())]; parent != nil; parent = byID[string(parent.GetParentSpanId())] {
			way = parent.GetName() + " > " + way
		}
		ways[string(span.GetTraceId())] = append(ways[string(span.GetTraceId())], way)
	}
	for _, family := range ways {
		if slices.Contains(family, root) {
			slices.Sort(family)
			families = append(families, slices.Compact(family))
		}
	}
	return families
}

// holds fails the test unless one of the traces from a root has all of these ways. A dispatcher that finds a piece of
// work at the very moment when it is enqueued gives it a trace of its own, so that not every one needs to.
func (c *collected) holds(t *testing.T, root string, ways ...string) {
	t.Helper()
	families := c.families(root)
	if !slices.ContainsFunc(families, func(family []string) bool {
		return !slices.ContainsFunc(ways, func(way string) bool { return !slices.Contains(family, way) })
	}) {
		t.Errorf("no trace has all of %q:\n%s", ways, families)
	}
}

// silent fails the test if a word was sent to the collector.
func (c *collected) silent(t *testing.T, words ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, word := range words {
		if bytes.Contains(c.raw, []byte(word)) {
			t.Errorf("the collector was told %q", word)
		}
	}
}

func TestTracing(t *testing.T) {
	t.Run("a request, its batch and its email are one trace, which names nobody", func(t *testing.T) {
		c := collect(t)
		s := start(t)
		s.revoke(1, 200)
		s.until("the email is sent", func() bool {
			_, values := s.scrape()
			return values[`rescind_notifications_total{status="sent"}`] == 1
		})
		if status, text := s.call(http.MethodGet, s.url+"/healthz", ""); status != http.StatusOK {
			t.Errorf("%d %s", status, text)
		}
		s.stop()
		const request = "POST /assessments/invite/revoke"
		c.holds(t, request,
			request,
			request+" > flush",
			request+" > enqueue > redis pipeline",
			request+" > enqueue > carry out",
			request+" > enqueue > carry out > redis pipeline", // the email, on its way
			request+" > enqueue > carry out > redis publish",
			request+" > enqueue > carry out > send emails > deliver email",
		)
		for _, span := range c.spans { // neither the probe nor a worker that waits for tasks makes any
			if !bytes.Equal(span.GetTraceId(), c.spans[0].GetTraceId()) {
				t.Errorf("%s is in another trace", span.GetName())
			}
		}
		c.silent(t, "canary", "127.0.0.1")
	})
	t.Run("statements under a span are told without their values", func(t *testing.T) {
		c := collect(t)
		tracing, err := telemetry.StartTracing(t.Context(), "test", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		url := testservers.Postgres(t)
		if _, err := postgres.Migrate(t.Context(), url); err != nil {
			t.Fatal(err)
		}
		store, err := postgres.Open(t.Context(), url, tracing.Queries()...)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		if err := store.Ping(t.Context()); err != nil { // under none
			t.Fatal(err)
		}
		ctx, end := tracing.Begin(t.Context(), "work", "", 1)
		if _, err := store.Upstream(ctx, account); err != nil {
			t.Fatal(err)
		}
		end("lock_timeout")
		if err := tracing.Stop(); err != nil {
			t.Fatal(err)
		}
		c.holds(t, "work", "work")
		if !strings.Contains(string(c.raw), "lock_timeout") {
			t.Errorf("the failure is not told: %q", c.raw)
		}
		if !strings.Contains(string(c.raw), "FROM accounts WHERE account_id") || strings.Contains(string(c.raw), account) {
			t.Errorf("%q", c.raw)
		}
		if len(c.spans) < 2 || strings.Contains(string(c.raw), "FROM notifications LIMIT 0") {
			t.Errorf("%d spans: %q", len(c.spans), c.raw)
		}
	})
	t.Run("without a collector it is off", func(t *testing.T) {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
		tracing, err := telemetry.StartTracing(t.Context(), "test", slog.New(slog.DiscardHandler))
		if tracing != nil || err != nil {
			t.Fatal(tracing, err)
		}
		mux := http.NewServeMux()
		if tracing.Handler(mux) != http.Handler(mux) || tracing.Queries() != nil || tracing.Stop() != nil {
			t.Error("something of it is in the way")
		}
		tracing.Commands(nil) // and nothing comes of it
	})
}
