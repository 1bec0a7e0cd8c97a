package app

import (
	"context"
	"log/slog"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"rescind/internal/api"
	"rescind/internal/queue"
	"rescind/internal/telemetry"
)

// Instruments are what an operator watches a process by. A process has one set, also when it is an API and a worker
// at once. See the package telemetry for all metrics.
type Instruments struct {
	redis    *redis.Client
	metrics  *prometheus.Registry
	observer *observer
	tracing  *telemetry.Tracing
}

// NewInstruments makes the instruments of a process that works with store and client. They ask neither for
// anything before somebody looks at them. A nil tracing is off; with one, client is traced from now on.
func NewInstruments(store Store, client *redis.Client, tracing *telemetry.Tracing) *Instruments {
	tracing.Commands(client)
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		backlogCollector(store), redisCollector(queue.NewClient(client)))
	if pooled, ok := store.(interface{ Metrics() prometheus.Collector }); ok {
		registry.MustRegister(pooled.Metrics())
	}
	return &Instruments{redis: client, metrics: registry, observer: newObserver(registry), tracing: tracing}
}

// queuePage is where the page on the queues is on the operators' address.
const queuePage = "/queues"

// AdminOptions are the operators' address's parts. All are needed, but for AllowedHosts.
type AdminOptions struct {
	Listener net.Listener
	// AllowedHosts are the names that a listener on loopback answers to, beside localhost and addresses.
	AllowedHosts []string
	Health       *api.Health
	Instruments  *Instruments
	Log          *slog.Logger
}

// Admin serves the operators' address until ctx ends.
func Admin(ctx context.Context, o AdminOptions) error {
	mux := api.Admin(o.Health, promhttp.HandlerFor(o.Instruments.metrics, promhttp.HandlerOpts{}))
	page := queue.Page(o.Instruments.redis, queuePage)
	mux.Handle(queuePage, page)
	mux.Handle(queuePage+"/", page)
	return serve(ctx, o.Listener, api.ForOperators(api.HostsOf(o.Listener.Addr(), o.AllowedHosts), mux), o.Log, func() {})
}
