package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rescind/internal/outbound"
	"rescind/internal/revocation"
)

// maxRetryAfter is the longest wait that an upstream can ask for.
const maxRetryAfter = 24 * time.Hour

// reply returns the meaning of the answer. A documented status takes precedence over the HTTP code. An answer without one
// is ignored if it came after the timeout, because servers answer anything when the client has gone.
func (a answer) reply(now time.Time) revocation.Reply {
	doc := a.document()
	switch {
	case doc.status == "" && a.err != nil:
		return a.broken()
	case doc.status == "":
		return a.byCode(doc, now)
	case doc.status == revocation.StatusErrorRevoking:
		r := failed(revocation.CodeUpstreamTryLater, "The upstream could not revoke the invite now.")
		r.RetryAfter = a.retryAfter(now)
		return r
	default:
		return revocation.Reply{Status: doc.status, Timestamp: doc.timestamp}
	}
}

func (a answer) byCode(doc document, now time.Time) revocation.Reply {
	var r revocation.Reply
	switch {
	case a.code == http.StatusNotFound && doc.isJSON:
		return revocation.Reply{Status: revocation.StatusNotFound}
	case a.code == http.StatusBadRequest, a.code == http.StatusUnprocessableEntity:
		return rejected(revocation.CodeUpstreamRejected, fmt.Sprintf("The upstream rejected the request with HTTP status %d.", a.code))
	case a.code == http.StatusUnauthorized, a.code == http.StatusForbidden:
		return rejected(revocation.CodeUpstreamUnauthorized, fmt.Sprintf("The upstream refused the account's key with HTTP status %d.", a.code))
	case a.code == http.StatusTooManyRequests:
		r = failed(revocation.CodeUpstreamRateLimited, "The upstream takes no more requests now (HTTP status 429).")
	case a.code >= 500:
		r = failed(revocation.CodeUpstreamUnavailable, fmt.Sprintf("The upstream failed with HTTP status %d.", a.code))
	default:
		r = failed(revocation.CodeUpstreamInvalidAnswer, fmt.Sprintf("The upstream gave an answer that is not documented, with HTTP status %d.", a.code))
	}
	r.RetryAfter = a.retryAfter(now)
	return r
}

// broken returns the reply for an incomplete or late answer.
func (a answer) broken() revocation.Reply {
	detail := "The upstream could not be reached."
	var certificate *tls.CertificateVerificationError
	switch {
	case a.sent && errors.Is(a.err, context.DeadlineExceeded):
		detail = "The upstream did not answer in time."
	case a.sent && errors.Is(a.err, context.Canceled):
		detail = "The service stopped before the upstream had answered."
	case a.sent:
		detail = "The connection to the upstream broke before a complete answer had come."
	case errors.Is(a.err, outbound.ErrRefused):
		detail = "The upstream's address is one that must not be called."
	case errors.As(a.err, &certificate):
		detail = "The upstream's certificate is not valid for its address."
	}
	r := failed(revocation.CodeUpstreamUnavailable, detail)
	r.InDoubt = a.sent
	return r
}

func failed(code revocation.Code, detail string) revocation.Reply {
	return revocation.Reply{Status: revocation.StatusErrorRevoking, Failure: &revocation.Failure{Code: code, Detail: detail}}
}

func rejected(code revocation.Code, detail string) revocation.Reply {
	r := failed(code, detail)
	r.Rejected = true
	return r
}

// retryAfter returns the wait that the answer asks for, in seconds or until a date. It compares a date with the answer's
// own Date, so that only the upstream's clock counts, or with now if the answer has no Date.
func (a answer) retryAfter(now time.Time) time.Duration {
	value := strings.TrimSpace(a.header.Get("Retry-After"))
	seconds, err := strconv.ParseUint(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(a.header.Get("Date")); err == nil {
		now = sent
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}

// isFault reports whether the call failed in a way that suggests that the upstream is down.
func (a answer) isFault(r revocation.Reply) bool {
	return r.Status == revocation.StatusErrorRevoking && (a.err != nil || a.code >= 500)
}

// refusesKey reports whether the upstream refused the key.
func refusesKey(r revocation.Reply) bool {
	return r.Failure != nil && r.Failure.Code == revocation.CodeUpstreamUnauthorized
}

// acceptsKey reports whether the upstream processed the request, which shows that the key is valid.
func acceptsKey(r revocation.Reply) bool {
	return r.Failure == nil || r.Failure.Code == revocation.CodeUpstreamTryLater || r.Failure.Code == revocation.CodeUpstreamRejected
}

// outcome returns the reply's label in metrics.
func outcome(r revocation.Reply) string {
	if r.Failure != nil {
		return strings.TrimPrefix(string(r.Failure.Code), "upstream_")
	}
	return strings.ToLower(string(r.Status))
}

// outcomes are all values of the label.
var outcomes = []string{
	"revoked", "not_allowed", "already_revoked", "not_found",
	"try_later", "unavailable", "rate_limited", "invalid_answer", "rejected", "unauthorized",
}
