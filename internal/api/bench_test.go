package api

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"rescind/internal/submission"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"rescind/internal/revocation"
)

const benchBody = `{"report_id": 318, "notify_candidate": true, "client_reference": "ticket 4711"}`

func BenchmarkDecodeSubmission(b *testing.B) {
	text := []byte(benchBody)
	b.ReportAllocs()
	for b.Loop() {
		if _, faults, err := decodeSubmission(text); err != nil || faults != nil {
			b.Fatal(faults, err)
		}
	}
}

func BenchmarkAppendRevocation(b *testing.B) {
	buffer := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buffer = appendRevocation(buffer[:0], &exampleFailing)
	}
}

// BenchmarkPages measures the JSON of pages of 100 entries.
func BenchmarkPages(b *testing.B) {
	const entries = 100
	page := func(name string, body func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				body()
			}
		})
	}
	revocations := slices.Repeat([]revocation.Revocation{exampleFailing}, entries)
	page("revocations", func() { jsonOf(pageOf(revocations, revocationOf, "next")) })
	page("results", func() { jsonOf(pageOf(revocations, resultOf, "next")) })
	jobs := slices.Repeat([]revocation.Job{exampleRunning}, entries)
	page("jobs", func() { jsonOf(pageOf(jobs, jobOf, "next")) })
	invites := slices.Repeat([]revocation.StoredInvite{exampleInvite}, entries)
	page("invites", func() { jsonOf(pageOf(invites, inviteOf, "next")) })
	events := slices.Repeat([]revocation.Event{exampleEvent}, entries)
	page("events", func() { jsonOf(eventPageBody{bodiesOf(events, eventOf), "next"}) })
}

func BenchmarkAppendResultLine(b *testing.B) {
	buffer := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buffer = appendResultLine(buffer[:0], &exampleResults[0])
	}
}

func BenchmarkJob(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		jsonOf(jobOf(&exampleRunning))
	}
}

// instantStore returns at once, so that the benchmark measures only the API and the batching of submissions.
type instantStore struct {
	revocation.ReadStore
	revocation.SingleStore
	revocation.JobStore
	revocation.EventStore
}

func (instantStore) Submit(_ context.Context, batch []revocation.Submission) ([]revocation.Accepted, error) {
	accepted := make([]revocation.Accepted, len(batch))
	for i := range batch {
		accepted[i] = revocation.Accepted{ID: batch[i].ID, Created: true}
	}
	return accepted, nil
}

type instantQueue struct{}

func (instantQueue) EnqueueRevocations(context.Context, int, []revocation.Ref) error { return nil }
func (instantQueue) EnqueueNotifications(context.Context, []revocation.NotificationRef) error {
	return nil
}

func (instantQueue) EnqueueAccountTasks(context.Context, revocation.AccountTask, []string) error {
	return nil
}
func (instantQueue) Ready(context.Context) error { return nil }

// discarded is a ResponseWriter that discards the body, so that a benchmark counts only the handler's allocations.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d *discarded) WriteHeader(status int)      { d.status = status }

func BenchmarkSubmit(b *testing.B) {
	hash := revocation.HashSecret("rescind_key")
	table := &keyTable{keys: map[revocation.SecretHash]revocation.APIKey{
		hash: {Account: "acme", Hash: hash, Scopes: revocation.Scopes},
	}}
	log := slog.New(slog.NewJSONHandler(io.Discard, nil)) //nolint:sloglint // writing the line is part of the work
	service := submission.NewService(submission.ServiceOptions{
		Store: instantStore{}, Queue: instantQueue{}, Log: log,
		NewID: func() revocation.ID { return revocation.ID(uuid.Must(uuid.NewV7())) },
	})
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		service.Run(ctx)
	}()
	defer func() {
		stop()
		<-ended
	}()
	a := New(Options{
		Service: service, Keys: table, Health: NewHealth(), Hosts: Hosts{any: true}, RateLimit: 1 << 40, Log: log, Metrics: prometheus.NewRegistry(),
	})
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/assessments/invite/revoke", strings.NewReader(benchBody))
			if err != nil {
				b.Fatal(err)
			}
			r.Header = http.Header{"Apikey": {"rescind_key"}, "Content-Type": {mediaJSON}, "Prefer": {"respond-async"}}
			w := &discarded{header: make(http.Header, 16)}
			if a.ServeHTTP(w, r); w.status != http.StatusAccepted {
				b.Fatal(w.status)
			}
		}
	})
}
