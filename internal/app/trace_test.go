package app_test

import (
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
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
	c := &collected{t: t}
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
	t     *testing.T
	mu    sync.Mutex
	raw   []byte
	spans []*traces.Span
}

// one gives the span of a name, of which there is one.
func (c *collected) one(name string) *traces.Span {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []*traces.Span
	var names []string
	for _, span := range c.spans {
		names = append(names, span.GetName())
		if span.GetName() == name {
			found = append(found, span)
		}
	}
	if len(found) != 1 {
		c.t.Fatalf("%d spans of the name %q among %q", len(found), name, names)
	}
	return found[0]
}

// follows fails the test unless a span is linked to another.
func (c *collected) follows(name, origin string) {
	c.t.Helper()
	span, from := c.one(name), c.one(origin)
	if len(span.GetLinks()) != 1 || hex.EncodeToString(span.GetLinks()[0].GetSpanId()) != hex.EncodeToString(from.GetSpanId()) {
		c.t.Errorf("%s is linked to %v and not to %s", name, span.GetLinks(), origin)
	}
}

func TestTracing(t *testing.T) {
	t.Run("a request, its flush, its batch and its email are linked, and name nobody", func(t *testing.T) {
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
		c.follows("flush", request)
		c.follows("carry out", request)
		c.follows("send emails", "carry out")
		if len(c.spans) != 4 {
			t.Errorf("%d spans", len(c.spans))
		}
		if strings.Contains(string(c.raw), "canary") {
			t.Error("an account, a secret or a candidate is told")
		}
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
		work := c.one("work")
		if len(work.GetLinks()) != 0 || work.GetStatus().GetMessage() != "lock_timeout" {
			t.Errorf("%v", work)
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
	})
}
