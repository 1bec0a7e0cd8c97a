package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"rescind/internal/revocation"
)

// The codes that are specific to HTTP. The domain defines the others.
const (
	codeMalformedJSON    revocation.Code = "malformed_json"
	codeUnauthorized     revocation.Code = "unauthorized"
	codeHostNotAllowed   revocation.Code = "host_not_allowed"
	codeMethodNotAllowed revocation.Code = "method_not_allowed"
	codeRequestTimeout   revocation.Code = "request_timeout"
	codeTooLarge         revocation.Code = "too_large"
	codeUnsupportedMedia revocation.Code = "unsupported_media_type"
	codeRateLimited      revocation.Code = "rate_limited"
)

// kind describes the HTTP response for a code.
type kind struct {
	status int
	// shown is the code in the response, if it differs from the domain's code.
	shown  revocation.Code
	detail string
	// retryAfter is the Retry-After in seconds; 0 for none.
	retryAfter int
}

var unavailable = kind{http.StatusServiceUnavailable, revocation.CodeUnavailable, "The service cannot reach its database now. Nothing was accepted.", 1}

// kinds maps every code to its HTTP response.
var kinds = map[revocation.Code]kind{
	codeMalformedJSON:           {status: http.StatusBadRequest, detail: string(errSyntax)},
	codeUnauthorized:            {status: http.StatusUnauthorized, detail: "A valid API key is needed in the header apiKey."},
	revocation.CodeMissingScope: {status: http.StatusForbidden, detail: "The API key does not have the scope that this needs."},
	codeHostNotAllowed:          {status: http.StatusForbidden, detail: "The service accepts requests here only for localhost, IP addresses and the host names in the setting ALLOWED_HOSTS."},
	codeMethodNotAllowed:        {status: http.StatusMethodNotAllowed, detail: "The header Allow names the methods of this address."},
	codeRequestTimeout:          {status: http.StatusRequestTimeout, detail: "The body did not arrive in time."},
	codeTooLarge:                {status: http.StatusRequestEntityTooLarge, detail: "The body is too large."},
	codeUnsupportedMedia:        {status: http.StatusUnsupportedMediaType, detail: "The body must be JSON in UTF-8, sent as application/json and without a Content-Encoding."},
	codeRateLimited:             {status: http.StatusTooManyRequests, detail: "The API key has sent too many requests. The header Retry-After states when to try again."},

	revocation.CodeNotFound:            {status: http.StatusNotFound, detail: "The resource does not exist."},
	revocation.CodeInvalid:             {status: http.StatusUnprocessableEntity, detail: "The request has values that are not accepted; errors names each."},
	revocation.CodeIdempotencyMismatch: {status: http.StatusUnprocessableEntity, detail: "The Idempotency-Key was used before, for other values."},
	revocation.CodeTooManyItems:        {status: http.StatusRequestEntityTooLarge, shown: codeTooLarge, detail: "The job has too many items. No part of it was kept."},
	revocation.CodeUploadInProgress:    {status: http.StatusConflict, detail: "A request with the same Idempotency-Key is still running.", retryAfter: 1},
	revocation.CodeJobEnded:            {status: http.StatusConflict, detail: "The job has ended."},
	revocation.CodeJobRunning:          {status: http.StatusConflict, detail: "The job has not ended yet.", retryAfter: 1},
	revocation.CodeRetryRunning:        {status: http.StatusConflict, detail: "Another retry of the job has not ended yet; job_id names it.", retryAfter: 1},
	revocation.CodeWrongState:          {status: http.StatusConflict, detail: "The job's state, which state names, does not allow this."},
	revocation.CodeCountMismatch:       {status: http.StatusConflict, detail: "The count differs from the predicted number, which count names. Look at the preview again before you confirm or approve it."},
	revocation.CodeSameKey:             {status: http.StatusForbidden, detail: "The key that submitted or confirmed a job cannot approve it. Use another key."},
	revocation.CodeAlreadyFinal:        {status: http.StatusConflict, detail: "The revocation is final."},
	revocation.CodeUnderWay:            {status: http.StatusConflict, detail: "The upstream may be revoking the invite now, or has perhaps done so. Poll the revocation.", retryAfter: 1},
	revocation.CodeNotSupported:        {status: http.StatusUnprocessableEntity, detail: "This account or this item does not support that."},
	revocation.CodeOutcomeUnknown:      {http.StatusServiceUnavailable, revocation.CodeOutcomeUnknown, "The request may or may not have been accepted. Send it again with the same Idempotency-Key.", 1},
	revocation.CodeUnavailable:         unavailable,
	revocation.CodeConnectionLost:      unavailable,
	revocation.CodeDeadlock:            unavailable,
	revocation.CodeSerialization:       unavailable,
	revocation.CodeLockTimeout:         unavailable,
	revocation.CodeInternal:            {status: http.StatusInternalServerError, detail: "The service failed. Its log records the cause with the id in the header X-Request-Id."},
}

// fault is one fault of a request. It never holds a value that the caller sent.
type fault struct {
	Field  string `json:"field" doc:"The member, parameter or header with the fault; (other) if its name cannot be repeated."`
	Code   string `json:"code" doc:"The kind of fault, for programs." enum:"required,wrong_type,out_of_range,unknown_field,duplicate_field,too_long,invalid_characters,invalid_format,unknown_value,no_match,web_address"`
	Detail string `json:"detail" doc:"The fault as a sentence."`
}

// problem is the body of every response that is not a success (RFC 9457).
type problem struct {
	Type   string              `json:"type" doc:"Always about:blank. Use code to distinguish problems."`
	Title  string              `json:"title" doc:"The HTTP status in words."`
	Status int                 `json:"status" doc:"The HTTP status."`
	Detail string              `json:"detail" doc:"The problem as a sentence for people."`
	Code   revocation.Code     `json:"code" doc:"The kind of problem, for programs. A code never changes its meaning."`
	JobID  string              `json:"job_id,omitempty" doc:"The retry that runs; for retry_running only."`
	State  revocation.JobState `json:"state,omitempty" doc:"The job's state; for wrong_state and job_ended only."`
	Count  *int                `json:"count,omitempty" doc:"The number that the preview predicts; for count_mismatch only."`
	Errors []fault             `json:"errors,omitempty" doc:"The faults of the request, one entry for each."`

	retryAfter int
	// header holds additional header fields of the response.
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

// withDetail replaces the code's sentence by a more specific one.
func (p *problem) withDetail(detail string) *problem {
	p.Detail = detail
	return p
}

func invalid(faults ...fault) *problem {
	p := newProblem(revocation.CodeInvalid)
	p.Errors = faults
	return p
}

// problemOf returns the problem for any error of a handler. It does not copy the domain's sentences: they differ between
// the stores, and the response about another account's data must not differ from that about unknown ids.
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
	if e, ok := errors.AsType[*revocation.Error](err); ok {
		p.State = e.State
		if !e.Job.IsZero() {
			p.JobID = e.Job.String()
		}
		if e.Code == revocation.CodeCountMismatch {
			p.Count = &e.Count
		}
	}
	p.cause = err
	return p
}

// problemOfStatus returns the problem for an error of echo, which has only an HTTP status.
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

// body returns the problem as JSON.
func (p *problem) body() []byte {
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // a problem consists of strings and numbers
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
