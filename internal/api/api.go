// Package api is the service's HTTP API: routes, keys and limits, reading requests, waiting, answers and
// problems, and the OpenAPI document of it all.
//
// A route is an operation of that document with a handler. The document's security is what is enforced: the
// scope that an operation names there is the one that a key must have. Typed operations go through huma; the
// documented endpoint, which thousands of requests a second take, uploads and streams read and write by hand.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"rescind/internal/revocation"
)

// Options are an API's parts. All are needed, but for those that say what they are without.
type Options struct {
	Service *revocation.Service
	Keys    Keys
	// Health answers /healthz and /readyz.
	Health *Health
	// SubmitWait is how long a submission without Prefer waits for its first outcome; 0: not at all.
	SubmitWait time.Duration
	// JobMaxItems is how many items a job can have, 1 to revocation.MaxJobItems.
	JobMaxItems int
	// RateLimit is in requests a second and key, at least 1.
	RateLimit int
	Log       *slog.Logger
	// Metrics is where the request metrics are registered; nil: nowhere.
	Metrics prometheus.Registerer
}

// API is the handler for the public address. Make it with New.
type API struct {
	service     *revocation.Service
	keyring     *keyring
	limits      *limits
	health      *Health
	submitWait  time.Duration
	jobMaxItems int
	log         *slog.Logger
	metrics     *metrics

	echo *echo.Echo
	huma huma.API
}

// New makes an API. Drain the Service before the server that serves it is shut down: its waits end then.
func New(o Options) *API {
	a := &API{
		service: o.Service, keyring: newKeyring(o.Keys), limits: newLimits(o.RateLimit), health: o.Health,
		submitWait: o.SubmitWait, jobMaxItems: o.JobMaxItems, log: o.Log, metrics: newMetrics(o.Metrics),
	}
	a.echo = echo.New()
	a.echo.HideBanner, a.echo.HidePort = true, true
	a.echo.IPExtractor = echo.ExtractIPDirect()
	a.echo.HTTPErrorHandler = func(err error, c echo.Context) {
		(&exchange{Context: c}).write(problemOf(err))
	}
	// What can be fetched can be asked about: every GET has a HEAD.
	a.echo.OnAddRouteHandler = func(_ string, route echo.Route, handle echo.HandlerFunc, layers []echo.MiddlewareFunc) {
		if route.Method == http.MethodGet {
			a.echo.HEAD(route.Path, handle, layers...)
		}
	}
	a.echo.Use(a.edge)
	a.huma = humaecho.New(a.echo, humaConfig())

	schemas := a.huma.OpenAPI().Components.Schemas
	a.serve(submitOperation(schemas), a.submit)
	operate(a, getOperation(schemas), a.get)
	operate(a, listOperation(schemas), a.list)
	a.serve(newJobOperation(schemas), a.newJob)
	operate(a, listJobsOperation(schemas), a.listJobs)
	operate(a, getJobOperation(schemas), a.getJob)
	a.serve(jobResultsOperation(schemas), a.jobResults)
	a.serve(jobEventsOperation(), a.jobEvents)
	a.serve(cancelJobOperation(schemas), a.cancelJob)
	a.serve(retryJobOperation(schemas), a.retryJob)
	a.serve(livenessOperation(), a.liveness)
	a.serve(readinessOperation(schemas), a.readiness)
	a.serveDocument()
	return a
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.echo.ServeHTTP(w, r) }

// echoPath writes a path of the document as echo does.
var echoPath = strings.NewReplacer("{", ":", "}", "")

// serve adds an operation whose handler reads and writes by itself.
func (a *API) serve(op *huma.Operation, handle func(*exchange) error) {
	describe(op)
	a.huma.OpenAPI().AddOperation(op)
	scope, guarded := scopeOf(op)
	a.echo.Add(op.Method, echoPath.Replace(op.Path), func(c echo.Context) error {
		x := c.(*exchange)
		if guarded {
			if err := a.admit(x, scope); err != nil {
				return err
			}
		}
		return handle(x)
	})
}

// exchangeKey finds the exchange in the context that huma hands to a typed handler.
type exchangeKey struct{}

// operate adds a typed operation. Its input reads and checks the request in Resolve; the errors of that are
// faults.
func operate[I, O any](a *API, op *huma.Operation, handle func(*exchange, *I) (*O, error)) {
	describe(op)
	scope, _ := scopeOf(op)
	op.SkipValidateParams = true
	op.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		x := humaecho.Unwrap(ctx).(*exchange)
		if err := a.admit(x, scope); err != nil {
			x.write(x.fail(err))
			return
		}
		next(huma.WithValue(ctx, exchangeKey{}, x))
	}}
	huma.Register(a.huma, *op, func(ctx context.Context, in *I) (*O, error) {
		x := ctx.Value(exchangeKey{}).(*exchange)
		out, err := handle(x, in)
		if err != nil {
			return nil, x.fail(err)
		}
		return out, nil
	})
}
