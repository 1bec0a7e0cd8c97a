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

// requestContext is one request and its response, with the state that the middleware and the handlers share.
type requestContext struct {
	echo.Context
	// id is the id of the request in X-Request-Id and in the log.
	id string
	// key is the caller's key. It is nil before admit has found it.
	key *revocation.APIKey
	// err is why the request failed.
	err error
	// stop is closed when the service stops. It is nil if the response is not a stream.
	stop <-chan struct{}
	// quiet reports whether the request is logged at debug level only. Probes are quiet, because they are frequent.
	quiet bool
}

// The values of constant headers. They are shared, so that a response does not allocate them.
var (
	noSniff    = []string{"nosniff"}
	noStore    = []string{"no-store"}
	noContent  = []string{"default-src 'none'; frame-ancestors 'none'"}
	noReferrer = []string{"no-referrer"}
	varyPrefer = []string{"Prefer"}
)

// middleware wraps all handlers. It sets the headers that every response has, recovers panics, writes problems, logs the
// request and counts it.
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
			// Abort the connection, so that the client can detect the incomplete body.
			panic(http.ErrAbortHandler)
		}
		return nil
	}
}

// recovered calls next and returns a panic as an error. It logs the stack of the panic.
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

// fail records why the request failed, for the log, and returns the problem for the caller.
func (x *requestContext) fail(err error) *problem {
	x.err = err
	return problemOf(err)
}

// write responds with a problem.
func (x *requestContext) write(p *problem) {
	maps.Copy(x.Response().Header(), p.header)
	if p.retryAfter > 0 {
		x.Response().Header()["Retry-After"] = []string{strconv.Itoa(p.retryAfter)}
	}
	x.respond(p.Status, mediaProblem, p.body())
}

// respond writes a response with this body. It ignores write errors, because they mean that the caller has disconnected.
func (x *requestContext) respond(status int, media string, body []byte) {
	x.Response().Header()["Content-Type"] = []string{media}
	x.Response().WriteHeader(status)
	_, _ = x.Response().Write(body)
}

// clientClosedRequest is the status, in the log and the metrics, of a request whose caller disconnected.
const clientClosedRequest = 499

// record logs and counts the request.
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
		// Callers without a key can send any number of these, so they stay at the level that is sampled.
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

// boundedMethod returns the method, or "other" for an unknown one, to bound the values in the metrics and the log.
func boundedMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "other"
	}
}

const maxRequestID = 64

// requestID returns the caller's X-Request-Id if it is plain and has at most maxRequestID characters, and else a new id.
func requestID(h http.Header) string {
	if sent := h["X-Request-Id"]; len(sent) == 1 && plain(sent[0], maxRequestID) {
		return sent[0]
	}
	return rand.Text()
}

// plain reports whether s consists of 1 to limit ASCII letters, digits, dots, dashes and underscores. Such a string is
// safe in a log line and in a response.
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
