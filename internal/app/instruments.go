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

// Instruments are the metrics and traces of a process. A process has one set, even when it is both an API and a worker.
// Package telemetry lists all metrics.
type Instruments struct {
	redis    *redis.Client
	metrics  *prometheus.Registry
	observer *observer
	tracing  *telemetry.Tracing
}

// NewInstruments returns the instruments of a process that uses store and client. They read from both only during a
// scrape. If tracing is not nil, the commands of client are traced from now on.
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

// queuePage is the path of the page about the queues on the operators' address.
const queuePage = "/queues"

// AdminOptions are the parts of the operators' address. All fields except AllowedHosts are required.
type AdminOptions struct {
	Listener net.Listener
	// AllowedHosts are the host names that a loopback listener accepts in addition to localhost and IP addresses.
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
