// Package api implements the service's HTTP API: routes, authentication, limits, requests, responses, problems, and the
// OpenAPI document that describes them.
//
// A route is an operation of that document with a handler. The package enforces the document's security: the scope that
// an operation names there is the one that a key must have. Handlers encode and decode JSON by hand, because the order
// of a response's members is part of the contract, faults never repeat a value that was sent, and the service receives
// thousands of requests a second. The contract tests compare the handlers with the document, which consists of huma's
// types.
package api

import (
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"rescind/internal/submission"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"rescind/internal/revocation"
)

// Options configure an API. A field is required unless its comment documents a default.
type Options struct {
	Service *submission.Service
	Keys    Keys
	// Accounts answers /account.
	Accounts Accounts
	// Emails shows the email of a job.
	Emails Emails
	// Invites finds and imports invites.
	Invites revocation.InviteStore
	// Health answers /healthz and /readyz.
	Health *Health
	// SubmitWait is how long a submission without Prefer waits for its first outcome. 0 turns waiting off.
	SubmitWait time.Duration
	// JobMaxItems is how many items a job can have, 1 to revocation.MaxJobItems.
	JobMaxItems int
	// RateLimit is the number of requests a second that a key may send, at least 1. It is also the number of unknown keys
	// a second that a client address may send.
	RateLimit int
	Log       *slog.Logger
	// TrustedProxies are the networks whose X-Forwarded-For is trusted. Nil stands for the private, loopback and
	// link-local networks.
	TrustedProxies []netip.Prefix
	// Hosts are the host names that the API serves.
	Hosts Hosts
	// Metrics registers the request metrics, unless it is nil.
	Metrics prometheus.Registerer
}

// The largest numbers of concurrent requests of each kind, for an account and for the process. All of a process together
// must fit into its memory, 512 MiB, however slowly clients read the responses.
const (
	// A read responds with a page of a list, at most a megabyte.
	accountReads = 16
	processReads = 64
	// A stream of a job's results holds a page of them and a part of the response, at most 600 KiB.
	accountStreams = 16
	processStreams = 64
	// A stream of server-sent events takes some tens of KiB. The service reads its job twice a second.
	accountEvents = 64
	processEvents = 256
	// A request that waits takes some tens of KiB too.
	accountWaits = 256
	processWaits = 2048
	// A request that waits for an event can hold a page of events and its response, at most a megabyte.
	accountEventWaits = 16
	processEventWaits = 64
	// An upload, or the copy of a job's items for a retry, takes at most 3 MiB.
	accountUploads = 16
	processUploads = 48
)

// API is the handler for the public address. New returns one.
type API struct {
	service         *submission.Service
	invites         revocation.InviteStore
	keyring         *keyring
	accounts        Accounts
	emails          Emails
	limits          *limits[revocation.ID]
	unknownKeyLimit *limits[netip.Prefix]
	// These limit the concurrent requests of each account, by its id.
	reads, streams, events, waits, eventWaits, uploads *slots[string]
	// pages has the pages of an account read one after the other.
	pages *accountQueue
	// cpuSlots has an element for each cpuSlot that is held.
	cpuSlots    chan struct{}
	health      *Health
	hosts       Hosts
	submitWait  time.Duration
	jobMaxItems int
	log         *slog.Logger
	metrics     *metrics

	echo     *echo.Echo
	document *huma.OpenAPI
}

// New returns an API. The caller must drain the Service before it shuts the server down, because that ends the requests
// that wait.
func New(o Options) *API {
	a := &API{
		service: o.Service, invites: o.Invites, keyring: newKeyring(o.Keys), accounts: o.Accounts, emails: o.Emails, health: o.Health, hosts: o.Hosts,
		limits:          newLimits[revocation.ID]("default", o.RateLimit),
		unknownKeyLimit: newLimits[netip.Prefix]("unknown-keys", o.RateLimit),
		reads:           newSlots[string]("reads", accountReads, processReads),
		streams:         newSlots[string]("streams", accountStreams, processStreams),
		events:          newSlots[string]("events", accountEvents, processEvents),
		waits:           newSlots[string]("waits", accountWaits, processWaits),
		eventWaits:      newSlots[string]("event-waits", accountEventWaits, processEventWaits),
		uploads:         newSlots[string]("uploads", accountUploads, processUploads),
		pages:           newAccountQueue(),
		cpuSlots:        make(chan struct{}, runtime.GOMAXPROCS(0)),
		submitWait:      o.SubmitWait, jobMaxItems: o.JobMaxItems, log: o.Log, metrics: newMetrics(o.Metrics),
		document: newDocument(),
	}
	a.echo = echo.New()
	a.echo.HideBanner, a.echo.HidePort = true, true
	// The client's address is that of the connection. If that is a trusted proxy's, it is the last address in
	// X-Forwarded-For that is not a trusted proxy's. Only the limit of unknown keys depends on it.
	a.echo.IPExtractor = echo.ExtractIPFromXFFHeader(trust(o.TrustedProxies)...)
	a.echo.HTTPErrorHandler = func(err error, c echo.Context) {
		(&requestContext{Context: c}).write(problemOf(err))
	}
	// Every GET route serves HEAD too.
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
	a.serve(cancelOperation(schemas), a.cancel)
	a.serve(startOperation(schemas), a.start)
	a.serve(newJobOperation(schemas), a.newJob)
	a.serve(listJobsOperation(schemas), within(a.reads, a.listJobs))
	a.serve(getJobOperation(schemas), a.waiting(a.getJob))
	a.serve(jobResultsOperation(schemas), a.jobResults)
	a.serve(jobEventsOperation(), within(a.events, a.jobEvents))
	a.serve(jobEmailOperation(schemas), within(a.reads, a.jobEmail))
	a.serve(confirmJobOperation(schemas), a.confirmJob)
	a.serve(approveJobOperation(schemas), a.approveJob)
	a.serve(startJobOperation(schemas), a.startJob)
	a.serve(cancelJobOperation(schemas), a.cancelJob)
	a.serve(retryJobOperation(schemas), within(a.uploads, a.retryJob))
	a.serve(accountOperation(schemas), within(a.reads, a.getAccount))
	a.serve(listEventsOperation(schemas), a.listEvents)
	a.serve(putInvitesOperation(schemas), a.putInvites)
	a.serve(listInvitesOperation(schemas), within(a.reads, a.listInvites))
	a.serve(searchInvitesOperation(schemas), within(a.reads, a.searchInvites))
	a.serve(getInviteOperation(schemas), within(a.reads, a.getInvite))
	a.serve(forgetInviteOperation(), a.forgetInvite)
	// Without these, the router would take the address of the search for that of an invite.
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		a.echo.Add(method, "/invites/search", func(c echo.Context) error {
			c.Response().Header().Set(echo.HeaderAllow, "OPTIONS, POST")
			return echo.ErrMethodNotAllowed
		})
	}
	a.serve(livenessOperation(schemas), a.liveness)
	a.serve(readinessOperation(schemas), a.readiness)
	a.serveDocument()
	return a
}

// ServeHTTP responds to one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.echo.ServeHTTP(w, r) }

// echoPath converts a path of the document to echo's syntax.
var echoPath = strings.NewReplacer("{", ":", "}", "")

// serve adds an operation and its handler.
func (a *API) serve(op *huma.Operation, handle func(*requestContext) error) {
	describe(op)
	a.document.AddOperation(op)
	scopes := scopesOf(op)
	a.echo.Add(op.Method, echoPath.Replace(op.Path), func(c echo.Context) error {
		x := c.(*requestContext)
		if err := a.guard(x, op, scopes); err != nil {
			return err
		}
		return handle(x)
	})
}

// guard returns an error unless the operation's security, which names the scopes, allows the request. It also refuses
// parameters if the operation has none. Operations without a key ignore parameters, because monitors add some to avoid
// caches.
func (a *API) guard(x *requestContext, op *huma.Operation, scopes [][]revocation.Scope) error {
	if len(scopes) == 0 {
		return nil
	}
	if err := a.admit(x, scopes); err != nil {
		return err
	}
	if hasQuery(op) {
		return nil // the handler checks them
	}
	return refuseParameters(x.Request().URL.RawQuery)
}

// hasQuery reports whether an operation has parameters in the query string.
func hasQuery(op *huma.Operation) bool {
	return slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "query" })
}
