package api

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"rescind/internal/revocation"
)

const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"
)

// requestContext is one request and its answer, with what the layers tell each other about it.
type requestContext struct {
	echo.Context
	// id is the request's, as it stands in X-Request-Id and in the log.
	id string
	// key is the caller's, from the moment that it was admitted.
	key *revocation.APIKey
	// err is why the request failed.
	err error
	// stop is closed when the service stops; nil where the answer is not a stream.
	stop <-chan struct{}
	// quiet requests are the probes', which would drown the others in the log.
	quiet bool
}

// The values of headers that every answer has; kept whole, so that an answer allocates none of them.
var (
	noSniff    = []string{"nosniff"}
	noStore    = []string{"no-store"}
	noContent  = []string{"default-src 'none'; frame-ancestors 'none'"}
	noReferrer = []string{"no-referrer"}
	varyPrefer = []string{"Prefer"}
)

// middleware is the outermost layer: the headers that every answer has, the recovery from panics, problems, the
// log line and the metrics.
func (a *API) middleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		x := &requestContext{Context: c, id: requestID(c.Request().Header)}
		h := c.Response().Header()
		h["X-Request-Id"] = []string{x.id}
		h["X-Content-Type-Options"] = noSniff
		h["Cache-Control"] = noStore
		h["Content-Security-Policy"] = noContent
		h["Referrer-Policy"] = noReferrer

		broken := false
		if err := a.recovered(x, next); err != nil {
			broken = x.Response().Committed
			if !broken {
				x.write(x.fail(err))
			}
		}
		a.record(x, time.Since(began))
		if broken {
			// The caller must not take a body that broke off for a whole one.
			panic(http.ErrAbortHandler)
		}
		return nil
	}
}

// recovered runs the rest and turns a panic into an error, whose place goes to the log at once.
func (a *API) recovered(x *requestContext, next echo.HandlerFunc) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			panic(p)
		default:
			a.log.Error("panic", "request_id", x.id, "error", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = &revocation.Error{Code: revocation.CodeInternal, Err: errors.New("panic")}
			x.err = err
		}
	}()
	if !a.hosts.answers(x.Request().Host) {
		return newProblem(codeHostNotAllowed)
	}
	return next(x)
}

// fail notes why the request failed, for the log, and says how to tell the caller.
func (x *requestContext) fail(err error) *problem {
	x.err = err
	return problemOf(err)
}

// write answers with a problem.
func (x *requestContext) write(p *problem) {
	maps.Copy(x.Response().Header(), p.header)
	if p.retryAfter > 0 {
		x.Response().Header()["Retry-After"] = []string{strconv.Itoa(p.retryAfter)}
	}
	x.respond(p.Status, mediaProblem, p.body())
}

// respond answers with a whole body. An error of the connection is nobody's to handle: the caller is gone.
func (x *requestContext) respond(status int, media string, body []byte) {
	x.Response().Header()["Content-Type"] = []string{media}
	x.Response().WriteHeader(status)
	_, _ = x.Response().Write(body)
}

// clientClosedRequest is the status of answers that nobody waited for, in the log and the metrics.
const clientClosedRequest = 499

// record writes the request's log line and counts it.
func (a *API) record(x *requestContext, took time.Duration) {
	r := x.Request()
	status := x.Response().Status
	if r.Context().Err() != nil {
		status = clientClosedRequest
	}
	route := x.Path()
	if route == "" {
		route = "unmatched"
	}
	method := boundedMethod(r.Method)
	a.metrics.observe(route, method, status, took)
	if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
		span.SetName(method + " " + route)
	}

	level := slog.LevelInfo
	switch {
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	case status >= http.StatusBadRequest && x.key == nil:
		// Whoever likes can send these, as many as they like: they are of the level that is sampled.
	case status >= http.StatusBadRequest:
		level = slog.LevelWarn
	case x.quiet:
		level = slog.LevelDebug
	}
	if !a.log.Enabled(r.Context(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("request_id", x.id), slog.String("method", method), slog.String("route", route),
		slog.Int("status", status), slog.Duration("duration", took))
	if x.key != nil {
		attrs = append(attrs, slog.String("account_id", x.key.Account))
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("error", x.err.Error()))
	}
	a.log.LogAttrs(r.Context(), level, "request", attrs...)
}

// boundedMethod keeps made-up methods out of the metrics and the log.
func boundedMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "other"
	}
}

const maxRequestID = 64

// requestID is the caller's own, when it is short and plain, or else a new one.
func requestID(h http.Header) string {
	if sent := h["X-Request-Id"]; len(sent) == 1 && plain(sent[0], maxRequestID) {
		return sent[0]
	}
	return rand.Text()
}

// plain tells whether s has 1 to limit letters, digits, dots, dashes and underscores of ASCII: then it can
// stand in a log line or an answer as it is.
func plain(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
