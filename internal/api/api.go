// Package api is the service's HTTP API: routes, keys and limits, reading requests, waiting, answers and
// problems, and the OpenAPI document of it all.
//
// A route is an operation of that document with a handler. The document's security is what is enforced: the
// scope that an operation names there is the one that a key must have. Handlers read and write by hand: the order of
// an answer's members is part of the promise, faults never repeat a value that was sent, and thousands of requests a
// second come in. The contract tests hold them to the document, which is made of huma's types.
package api

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"rescind/internal/submission"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"rescind/internal/revocation"
)

// Options are an API's parts. All are needed, but for those that say what they are without.
type Options struct {
	Service *submission.Service
	Keys    Keys
	// Health answers /healthz and /readyz.
	Health *Health
	// SubmitWait is how long a submission without Prefer waits for its first outcome; 0: not at all.
	SubmitWait time.Duration
	// JobMaxItems is how many items a job can have, 1 to revocation.MaxJobItems.
	JobMaxItems int
	// RateLimit is in requests a second and key, at least 1. As many unknown keys are answered for an address.
	RateLimit int
	Log       *slog.Logger
	// TrustedProxies are the networks whose X-Forwarded-For counts; nil: private ones, loopback and link-local.
	TrustedProxies []netip.Prefix
	// Hosts are the host names that are answered to.
	Hosts Hosts
	// Metrics is where the request metrics are registered; nil: nowhere.
	Metrics prometheus.Registerer
}

// How many requests of a kind go on at once, for an account and for the process. All that a process can have together
// must fit into its memory, 512 MiB, however slowly the answers are read.
const (
	// A read is the answer with a page of a list, a megabyte at most.
	accountReads = 16
	processReads = 64
	// A stream of a job's results holds a page of them and a piece of the answer, 600 KiB at most.
	accountStreams = 16
	processStreams = 64
	// A stream of server-sent events takes some tens of KiB, and its job is read twice a second.
	accountEvents = 64
	processEvents = 256
	// So does a request that waits.
	accountWaits = 256
	processWaits = 2048
	// An upload, or the copy of a job's items for a retry, takes 3 MiB at most.
	accountUploads = 16
	processUploads = 48
)

// API is the handler for the public address. Make it with New.
type API struct {
	service         *submission.Service
	keyring         *keyring
	limits          *limits[revocation.ID]
	unknownKeyLimit *limits[netip.Prefix]
	// What goes on at once, of accounts.
	reads, streams, events, waits, uploads *slots[string]
	health                                 *Health
	hosts                                  Hosts
	submitWait                             time.Duration
	jobMaxItems                            int
	log                                    *slog.Logger
	metrics                                *metrics

	echo     *echo.Echo
	document *huma.OpenAPI
}

// New makes an API. Drain the Service before the server that serves it is shut down: its waits end then.
func New(o Options) *API {
	a := &API{
		service: o.Service, keyring: newKeyring(o.Keys), health: o.Health, hosts: o.Hosts,
		limits:          newLimits[revocation.ID]("default", o.RateLimit),
		unknownKeyLimit: newLimits[netip.Prefix]("unknown-keys", o.RateLimit),
		reads:           newSlots[string]("reads", accountReads, processReads),
		streams:         newSlots[string]("streams", accountStreams, processStreams),
		events:          newSlots[string]("events", accountEvents, processEvents),
		waits:           newSlots[string]("waits", accountWaits, processWaits),
		uploads:         newSlots[string]("uploads", accountUploads, processUploads),
		submitWait:      o.SubmitWait, jobMaxItems: o.JobMaxItems, log: o.Log, metrics: newMetrics(o.Metrics),
		document: newDocument(),
	}
	a.echo = echo.New()
	a.echo.HideBanner, a.echo.HidePort = true, true
	// A client's address is that of the connection, or, where this is a trusted proxy's, the last in X-Forwarded-For that
	// is none's. Nothing but the limit of guesses depends on it.
	a.echo.IPExtractor = echo.ExtractIPFromXFFHeader(trust(o.TrustedProxies)...)
	a.echo.HTTPErrorHandler = func(err error, c echo.Context) {
		(&requestContext{Context: c}).write(problemOf(err))
	}
	// What can be fetched can be asked about: every GET has a HEAD.
	a.echo.OnAddRouteHandler = func(_ string, route echo.Route, handle echo.HandlerFunc, layers []echo.MiddlewareFunc) {
		if route.Method == http.MethodGet {
			a.echo.HEAD(route.Path, handle, layers...)
		}
	}
	a.echo.Use(a.middleware)

	schemas := a.document.Components.Schemas
	a.serve(submitOperation(schemas), a.submit)
	a.serve(getOperation(schemas), a.waiting(a.get))
	a.serve(listOperation(schemas), within(a.reads, a.list))
	a.serve(newJobOperation(schemas), a.newJob)
	a.serve(listJobsOperation(schemas), within(a.reads, a.listJobs))
	a.serve(getJobOperation(schemas), a.waiting(a.getJob))
	a.serve(jobResultsOperation(schemas), a.jobResults)
	a.serve(jobEventsOperation(), within(a.events, a.jobEvents))
	a.serve(cancelJobOperation(schemas), a.cancelJob)
	a.serve(retryJobOperation(schemas), within(a.uploads, a.retryJob))
	a.serve(livenessOperation(), a.liveness)
	a.serve(readinessOperation(schemas), a.readiness)
	a.serveDocument()
	return a
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.echo.ServeHTTP(w, r) }

// echoPath writes a path of the document as echo does.
var echoPath = strings.NewReplacer("{", ":", "}", "")

// serve adds an operation and its handler.
func (a *API) serve(op *huma.Operation, handle func(*requestContext) error) {
	describe(op)
	a.document.AddOperation(op)
	a.echo.Add(op.Method, echoPath.Replace(op.Path), func(c echo.Context) error {
		x := c.(*requestContext)
		if err := a.guard(x, op); err != nil {
			return err
		}
		return handle(x)
	})
}

// guard lets in what the operation's security allows, without parameters where it has none. What needs no key is
// asked by whoever adds parameters of their own, such as monitors that pass by caches, and passes over them.
func (a *API) guard(x *requestContext, op *huma.Operation) error {
	scope, guarded := scopeOf(op)
	if !guarded {
		return nil
	}
	if err := a.admit(x, scope); err != nil {
		return err
	}
	if hasQuery(op) {
		return nil // the handler takes its own
	}
	return refuseParameters(x.Request().URL.RawQuery)
}

// hasQuery tells whether an operation has parameters in the query string.
func hasQuery(op *huma.Operation) bool {
	return slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "query" })
}
