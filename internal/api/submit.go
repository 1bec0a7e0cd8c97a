package api

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"rescind/internal/revocation"
)

const (
	// maxBody bounds a submission, in bytes.
	maxBody = 64 << 10
	// maxIdempotencyKey is in characters.
	maxIdempotencyKey = 255
)

// buffers hold a request's body first and its answer afterwards.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 2048)
	return &b
}}

// submit answers POST /assessments/invite/revoke. It is the path that thousands of requests a second take,
// and so it reads and writes its few members by hand.
func (a *API) submit(x *requestContext) error {
	r := x.Request()
	if !acceptsBody(r.Header) {
		return newProblem(codeUnsupportedMedia)
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	text, err := readBody(r, (*buffer)[:0])
	*buffer = text
	if err != nil {
		return err
	}

	idempotencyKey, faults := idempotencyKeyOf(r.Header)
	body, wrong, err := decodeSubmission(bytes.TrimPrefix(text, []byte(byteOrderMark)))
	if err != nil {
		return newProblem(codeMalformedJSON).withDetail(err.Error())
	}
	if faults = append(faults, wrong...); len(faults) > 0 {
		return invalid(faults...)
	}

	prefer := parsePrefer(r.Header["Prefer"])
	wait := a.submitWait
	if prefer.waits && prefer.wait > a.submitWait {
		// A submission is not refused for this: without a slot it waits as if it did not prefer to.
		leave, full := a.waits.acquire(x.key.Account)
		if full == nil {
			defer leave()
		} else {
			prefer.waits = false
		}
	}
	switch {
	case prefer.waits:
		wait = prefer.wait
	case prefer.async:
		wait = 0
	}
	revoked, err := a.service.Submit(r.Context(), revocation.Submission{
		Account: x.key.Account, RequestedBy: x.key.ID,
		ReportID: body.reportID, Notify: body.notify, ClientReference: body.clientReference,
		IdempotencyKey: idempotencyKey,
	}, wait)
	if err != nil {
		if revocation.ErrorCode(err) == revocation.CodeNotFound {
			return noSuchInvite()
		}
		return err
	}

	h := x.Response().Header()
	h["Vary"] = varyPrefer
	if applied := prefer.applied(); applied != "" {
		h["Preference-Applied"] = []string{applied}
	}
	status := http.StatusOK
	if !revoked.Final {
		status = http.StatusAccepted
		h["Location"] = []string{"/revocations/" + revoked.ID.String()}
		h["Retry-After"] = []string{retryAfter(revoked.NextAttemptAt)}
	}
	*buffer = appendRevocation(text[:0], &revoked)
	x.respond(status, mediaJSON, *buffer)
	return nil
}

func noSuchInvite() *problem {
	return newProblem(revocation.CodeNotFound).withDetail(revocation.StatusNotFound.Message())
}

// retryAfter is the time until at in whole seconds, at least 1.
func retryAfter(at time.Time) string {
	left := time.Until(at)
	if left <= time.Second {
		return "1"
	}
	return strconv.FormatInt(int64((left+time.Second-1)/time.Second), 10)
}

// acceptsBody tells whether the body is announced as plain JSON in UTF-8.
func acceptsBody(h http.Header) bool {
	for _, encoding := range h["Content-Encoding"] {
		if !strings.EqualFold(strings.TrimSpace(encoding), "identity") {
			return false
		}
	}
	return mediaType(h) == mediaJSON
}

// mediaType is the body's, in lower case and without parameters; empty when none is named, or when the text
// is not in UTF-8.
func mediaType(h http.Header) string {
	sent := h["Content-Type"]
	if len(sent) != 1 {
		return ""
	}
	if sent[0] == mediaJSON {
		return mediaJSON
	}
	media, params, err := mime.ParseMediaType(sent[0])
	charset, named := params["charset"]
	if err != nil || named && !strings.EqualFold(charset, "utf-8") {
		return ""
	}
	return media
}

// readBody appends the whole body to b.
func readBody(r *http.Request, b []byte) ([]byte, error) {
	if r.ContentLength > maxBody {
		return b, newProblem(codeTooLarge)
	}
	for {
		if len(b) > maxBody {
			return b, newProblem(codeTooLarge)
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			if len(b) > maxBody {
				return b, newProblem(codeTooLarge)
			}
			return b, nil
		default:
			return b, brokenBody(err)
		}
	}
}

// brokenBody says why a body could not be read to its end.
func brokenBody(err error) *problem {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return newProblem(codeRequestTimeout)
	}
	return newProblem(codeMalformedJSON).withDetail("The body broke off.")
}

// idempotencyKeyOf gives the Idempotency-Key, empty for none, or what is wrong with it.
func idempotencyKeyOf(h http.Header) (string, []fault) {
	const field = "Idempotency-Key"
	sent := h[field]
	switch {
	case len(sent) == 0:
		return "", nil
	case len(sent) > 1:
		return "", []fault{{field, "duplicate_field", "Idempotency-Key is given more than once."}}
	case sent[0] == "":
		return "", []fault{{field, "required", "Idempotency-Key must have 1 to 255 characters."}}
	case !utf8.ValidString(sent[0]) || strings.ContainsFunc(sent[0], unicode.IsControl):
		return "", []fault{{field, "invalid_characters", "Idempotency-Key must be UTF-8 without control characters."}}
	case utf8.RuneCountInString(sent[0]) > maxIdempotencyKey:
		return "", []fault{{field, "too_long", "Idempotency-Key must have 1 to 255 characters."}}
	}
	return sent[0], nil
}
