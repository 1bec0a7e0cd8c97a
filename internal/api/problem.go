package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"rescind/internal/revocation"
)

// The codes that only HTTP knows of; the others are the domain's.
const (
	codeMalformedJSON    revocation.Code = "malformed_json"
	codeUnauthorized     revocation.Code = "unauthorized"
	codeMissingScope     revocation.Code = "missing_scope"
	codeHostNotAllowed   revocation.Code = "host_not_allowed"
	codeMethodNotAllowed revocation.Code = "method_not_allowed"
	codeRequestTimeout   revocation.Code = "request_timeout"
	codeTooLarge         revocation.Code = "too_large"
	codeUnsupportedMedia revocation.Code = "unsupported_media_type"
	codeRateLimited      revocation.Code = "rate_limited"
)

// kind is how a code is told over HTTP.
type kind struct {
	status int
	// shown is the code that callers see, where it is not the domain's own.
	shown  revocation.Code
	detail string
	// retryAfter is in seconds; 0: the answer does not say.
	retryAfter int
}

var away = kind{http.StatusServiceUnavailable, revocation.CodeUnavailable, "The service cannot reach its database now. Nothing was accepted.", 1}

// kinds is the one table from codes to HTTP.
var kinds = map[revocation.Code]kind{
	codeMalformedJSON:    {status: http.StatusBadRequest, detail: "The body is not valid JSON."},
	codeUnauthorized:     {status: http.StatusUnauthorized, detail: "A valid API key is needed in the header apiKey."},
	codeMissingScope:     {status: http.StatusForbidden, detail: "The API key does not have the scope that this needs."},
	codeHostNotAllowed:   {status: http.StatusForbidden, detail: "The service answers to localhost and to addresses here, and to no other host name that ALLOWED_HOSTS does not have."},
	codeMethodNotAllowed: {status: http.StatusMethodNotAllowed, detail: "The header Allow names the methods that this address has."},
	codeRequestTimeout:   {status: http.StatusRequestTimeout, detail: "The body did not arrive in time."},
	codeTooLarge:         {status: http.StatusRequestEntityTooLarge, detail: "The body is larger than is accepted here."},
	codeUnsupportedMedia: {status: http.StatusUnsupportedMediaType, detail: "The body must be JSON in UTF-8, sent as application/json and without a Content-Encoding."},
	codeRateLimited:      {status: http.StatusTooManyRequests, detail: "The API key has used up its requests for now. The header Retry-After says when there are more."},

	revocation.CodeNotFound:            {status: http.StatusNotFound, detail: "There is no such thing here."},
	revocation.CodeInvalid:             {status: http.StatusUnprocessableEntity, detail: "The request has values that cannot be accepted; errors names each."},
	revocation.CodeIdempotencyMismatch: {status: http.StatusUnprocessableEntity, detail: "The Idempotency-Key was used before, for other values."},
	revocation.CodeTooManyItems:        {status: http.StatusRequestEntityTooLarge, shown: codeTooLarge, detail: "The job has more items than are accepted. Nothing of it was kept."},
	revocation.CodeUploadInProgress:    {status: http.StatusConflict, detail: "A request with the same Idempotency-Key is still under way.", retryAfter: 1},
	revocation.CodeJobEnded:            {status: http.StatusConflict, detail: "The job has ended."},
	revocation.CodeJobRunning:          {status: http.StatusConflict, detail: "The job has not ended yet.", retryAfter: 1},
	revocation.CodeRetryRunning:        {status: http.StatusConflict, detail: "Another retry of the job has not ended yet; job_id names it.", retryAfter: 1},
	revocation.CodeOutcomeUnknown:      {http.StatusServiceUnavailable, revocation.CodeOutcomeUnknown, "The request may or may not have been accepted. Send it again with the same Idempotency-Key.", 1},
	revocation.CodeUnavailable:         away,
	revocation.CodeConnectionLost:      away,
	revocation.CodeDeadlock:            away,
	revocation.CodeSerialization:       away,
	revocation.CodeLockTimeout:         away,
	revocation.CodeInternal:            {status: http.StatusInternalServerError, detail: "The service failed. Its log has the cause under the id in the header X-Request-Id."},
}

// fault is one thing that is wrong with a request. It never holds a value that the caller sent.
type fault struct {
	Field  string `json:"field" doc:"The member, parameter or header that is wrong; (other) for a name that is not repeated here."`
	Code   string `json:"code" doc:"What is wrong with it." enum:"required,wrong_type,out_of_range,unknown_field,duplicate_field,too_long,invalid_characters,invalid_format,unknown_value"`
	Detail string `json:"detail" doc:"The same as a sentence."`
}

// problem is the body of every answer that is not a success (RFC 9457).
type problem struct {
	Type   string          `json:"type" doc:"Always about:blank; code tells problems apart."`
	Title  string          `json:"title" doc:"The HTTP status in words."`
	Status int             `json:"status" doc:"The HTTP status."`
	Detail string          `json:"detail" doc:"What went wrong, as a sentence for people."`
	Code   revocation.Code `json:"code" doc:"What went wrong, for programs. It never changes its meaning."`
	JobID  string          `json:"job_id,omitempty" doc:"The job that the code speaks of; with retry_running alone."`
	Errors []fault         `json:"errors,omitempty" doc:"What is wrong with the request, one entry a fault."`

	retryAfter int
	// header holds more fields of the answer, if any.
	header http.Header
	cause  error
}

func newProblem(code revocation.Code) *problem {
	k, ok := kinds[code]
	if !ok {
		code, k = revocation.CodeInternal, kinds[revocation.CodeInternal]
	}
	if k.shown != "" {
		code = k.shown
	}
	return &problem{
		Type: "about:blank", Title: http.StatusText(k.status), Status: k.status,
		Detail: k.detail, Code: code, retryAfter: k.retryAfter,
	}
}

// withDetail replaces the code's sentence by one that fits the place better.
func (p *problem) withDetail(detail string) *problem {
	p.Detail = detail
	return p
}

func invalid(faults ...fault) *problem {
	p := newProblem(revocation.CodeInvalid)
	p.Errors = faults
	return p
}

// problemOf translates any error that a handler can give. The domain's sentences are not handed on: they
// differ from store to store, and what another account has must look exactly like what nobody has.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	var p *problem
	if routing, ok := errors.AsType[*echo.HTTPError](err); ok {
		p = problemOfStatus(routing.Code)
	} else {
		p = newProblem(revocation.ErrorCode(err))
	}
	if e, ok := errors.AsType[*revocation.Error](err); ok && !e.Job.IsZero() {
		p.JobID = e.Job.String()
	}
	p.cause = err
	return p
}

// problemOfStatus is for what echo says by an HTTP status alone.
func problemOfStatus(status int) *problem {
	switch status {
	case http.StatusNotFound:
		return newProblem(revocation.CodeNotFound)
	case http.StatusMethodNotAllowed:
		return newProblem(codeMethodNotAllowed)
	default:
		return newProblem(revocation.CodeInternal)
	}
}

// body is the problem as it is sent.
func (p *problem) body() []byte {
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // a problem is made of strings and numbers
	}
	return body
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.cause.Error()
	}
	return string(p.Code)
}

func (p *problem) Unwrap() error { return p.cause }
