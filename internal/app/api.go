package app

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rescind/internal/api"
	"rescind/internal/queue"
	"rescind/internal/submission"
	"rescind/internal/uuidv7"
)

// APIOptions are the parts and settings of an API. All fields except AllowedHosts and TrustedProxies are required.
type APIOptions struct {
	// Listener accepts connections from API callers.
	Listener net.Listener
	// AllowedHosts are the host names that a loopback listener accepts in addition to localhost and IP addresses.
	AllowedHosts []string
	// TrustedProxies are the networks whose X-Forwarded-For header is used; nil means the private networks.
	TrustedProxies []netip.Prefix

	Store Store
	Redis *redis.Client
	// SubmitWait is how long a submission without a Prefer header waits for the end of its first attempt.
	SubmitWait time.Duration
	// RateLimit is the number of requests per second that each API key may send to this process.
	RateLimit int
	// JobMaxItems is the largest number of items that a job may have.
	JobMaxItems int
	// Emails shows the emails that candidates get.
	Emails api.Emails
	// PreviewTTL is how long a preview can be confirmed.
	PreviewTTL  time.Duration
	Instruments *Instruments
	Log         *slog.Logger
}

// API accepts revocations over HTTP and reports their progress.
type API struct {
	listener net.Listener
	service  *submission.Service
	client   *queue.Client
	handler  http.Handler
	health   *api.Health
	log      *slog.Logger
}

// NewAPI returns an API that serves requests once Run is called.
func NewAPI(o APIOptions) *API {
	client := queue.NewClient(o.Redis)
	health := api.NewHealth(databaseCheck(o.Store), redisCheck(client, false))
	service := submission.NewService(submission.ServiceOptions{
		Store: traceWrites(o.Instruments.tracing, o.Store), Queue: traceQueue(o.Instruments.tracing, client), NewID: uuidv7.New, Log: o.Log,
		Outcomes: client, Observer: o.Instruments.observer, PreviewTTL: o.PreviewTTL,
	})
	return &API{
		listener: o.Listener, service: service, client: client, health: health, log: o.Log,
		handler: tracedHandler(o.Instruments.tracing, api.New(api.Options{
			Service: service, Keys: o.Store, Invites: o.Store, Accounts: o.Store, Emails: o.Emails, Health: health, Hosts: api.HostsOf(o.Listener.Addr(), o.AllowedHosts), TrustedProxies: o.TrustedProxies,
			SubmitWait: o.SubmitWait, RateLimit: o.RateLimit, JobMaxItems: o.JobMaxItems,
			Log: o.Log, Metrics: o.Instruments.metrics,
		})),
	}
}

// Health returns the health checks of the API. The API is ready while its database answers.
func (a *API) Health() *api.Health { return a.health }

// Run serves requests until ctx ends. It returns when every submission that was accepted is written.
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
