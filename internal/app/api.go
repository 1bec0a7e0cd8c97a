package app

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"rescind/internal/submission"

	"github.com/redis/go-redis/v9"

	"rescind/internal/api"
	"rescind/internal/queue"
	"rescind/internal/uuidv7"
)

// APIOptions are an API's parts. All are needed, but for AllowedHosts and TrustedProxies.
type APIOptions struct {
	// Listener is the public address's.
	Listener net.Listener
	// AllowedHosts are the names that a listener on loopback answers to, beside localhost and addresses.
	AllowedHosts []string
	// TrustedProxies are the networks whose X-Forwarded-For counts; nil: private ones.
	TrustedProxies []netip.Prefix

	Store      Store
	Redis      *redis.Client
	SubmitWait time.Duration
	RateLimit  int
	// JobMaxItems bounds a job.
	JobMaxItems int
	Instruments *Instruments
	Log         *slog.Logger
}

// API accepts revocations over HTTP and tells how far they are.
type API struct {
	listener net.Listener
	service  *submission.Service
	client   *queue.Client
	handler  http.Handler
	health   *api.Health
	log      *slog.Logger
}

// NewAPI makes an API.
func NewAPI(o APIOptions) *API {
	client := queue.NewClient(o.Redis)
	health := api.NewHealth(databaseCheck(o.Store), redisCheck(client, false))
	service := submission.NewService(submission.ServiceOptions{
		Store: traceWrites(o.Instruments.tracing, o.Store), Queue: traceQueue(o.Instruments.tracing, client), NewID: uuidv7.New, Log: o.Log,
		Observer: o.Instruments.observer,
	})
	return &API{
		listener: o.Listener, service: service, client: client, health: health, log: o.Log,
		handler: tracedHandler(o.Instruments.tracing, api.New(api.Options{
			Service: service, Keys: o.Store, Health: health, Hosts: api.HostsOf(o.Listener.Addr(), o.AllowedHosts), TrustedProxies: o.TrustedProxies,
			SubmitWait: o.SubmitWait, RateLimit: o.RateLimit, JobMaxItems: o.JobMaxItems,
			Log: o.Log, Metrics: o.Instruments.metrics,
		})),
	}
}

// Health tells whether the API can do its work: it can while its database answers.
func (a *API) Health() *api.Health { return a.health }

// Run serves until ctx ends, and returns when all that was accepted is written.
func (a *API) Run(ctx context.Context) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	parts.Go(func() { a.service.Run(working) })
	parts.Go(func() { a.client.Listen(working, a.service.Wake) })
	err := serve(ctx, a.listener, a.handler, a.log, a.service.Drain)
	stop()
	parts.Wait()
	return err
}
