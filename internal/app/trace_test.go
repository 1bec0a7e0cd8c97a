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

// collect starts a collector of traces and sets the environment variable that names it.
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

// paths returns, for each trace that has a span named root, the paths of its spans: each is the names of a span and all
// its parents. A path that occurs several times in a trace is returned once.
func (c *collected) paths(root string) (all [][]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	byID := make(map[string]*traces.Span, len(c.spans))
	byTrace := make(map[string][]string)
	for _, span := range c.spans {
		byID[string(span.GetSpanId())] = span
	}
	for _, span := range c.spans {
		path := span.GetName()
		for parent := byID[string(span.GetParentSpanId())]; parent != nil; parent = byID[string(parent.GetParentSpanId())] {
			path = parent.GetName() + " > " + path
		}
		byTrace[string(span.GetTraceId())] = append(byTrace[string(span.GetTraceId())], path)
	}
	for _, paths := range byTrace {
		if slices.Contains(paths, root) {
			slices.Sort(paths)
			all = append(all, slices.Compact(paths))
		}
	}
	return all
}

// contains fails the test unless one of the traces that begin with root has all of these paths. It does not require them
// of every trace: when a dispatcher enqueues work at the same time as the API, the work gets a trace of its own.
func (c *collected) contains(t *testing.T, root string, want ...string) {
	t.Helper()
	got := c.paths(root)
	if !slices.ContainsFunc(got, func(paths []string) bool {
		return !slices.ContainsFunc(want, func(path string) bool { return !slices.Contains(paths, path) })
	}) {
		t.Errorf("no trace has all of %q:\n%s", want, got)
	}
}

// omits fails the test if one of the words was sent to the collector.
func (c *collected) omits(t *testing.T, words ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, word := range words {
		if bytes.Contains(c.raw, []byte(word)) {
			t.Errorf("the collector received %q", word)
		}
	}
}

func TestTracing(t *testing.T) {
	t.Run("a request, its batch and its email are in one trace, without the account, the candidate and addresses", func(t *testing.T) {
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
		c.contains(t, request,
			request,
			request+" > flush",
			request+" > enqueue > redis pipeline",
			request+" > enqueue > carry out",
			request+" > enqueue > carry out > redis pipeline", // the email is enqueued
			request+" > enqueue > carry out > redis publish",
			request+" > enqueue > carry out > send emails > deliver email",
		)
		for _, span := range c.spans { // neither the probe nor a worker that waits for tasks begins a trace
			if !bytes.Equal(span.GetTraceId(), c.spans[0].GetTraceId()) {
				t.Errorf("%s is in another trace", span.GetName())
			}
		}
		c.omits(t, "canary", "127.0.0.1")
	})
	t.Run("statements within a span are exported without their values", func(t *testing.T) {
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
		if err := store.Ping(t.Context()); err != nil { // not within a span
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
		c.contains(t, "work", "work")
		if !strings.Contains(string(c.raw), "lock_timeout") {
			t.Errorf("the failure is missing: %q", c.raw)
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
			t.Error("a nil Tracing changes what it is given")
		}
		tracing.Commands(nil) // must not panic
	})
}
