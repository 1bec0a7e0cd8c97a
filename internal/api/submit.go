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

// buffers holds buffers for a request's body and then for its response.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 2048)
	return &b
}}

// submit serves POST /assessments/invite/revoke. Thousands of requests a second use it, so it decodes and encodes its few
// members by hand.
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
	faults = append(append(faults, wrong...), checkLinks(x.key.Caller, "candidate_message", body.candidateMessage)...)
	if len(faults) > 0 {
		return invalid(faults...)
	}
	if err := supportsMessage(x.key.Caller, "candidate_message", body.candidateMessage); err != nil {
		return err
	}

	prefer := parsePrefer(r.Header["Prefer"])
	wait := a.submitWait
	if prefer.waits && prefer.wait > a.submitWait {
		// A submission is not refused if there is no slot: it then waits as if it had no preference.
		release, refused := a.waits.acquire(x.key.Account)
		if refused == nil {
			defer release()
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
		Reason: body.reason, CandidateMessage: body.candidateMessage, NotBefore: body.notBefore, Hold: x.key.Caller.Hold,
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

// retryAfter returns the time until at in seconds, rounded up and at least 1.
func retryAfter(at time.Time) string {
	left := time.Until(at)
	if left <= time.Second {
		return "1"
	}
	return strconv.FormatInt(int64((left+time.Second-1)/time.Second), 10)
}

// acceptsBody reports whether the headers declare the body as uncompressed JSON in UTF-8.
func acceptsBody(h http.Header) bool {
	for _, encoding := range h["Content-Encoding"] {
		if !strings.EqualFold(strings.TrimSpace(encoding), "identity") {
			return false
		}
	}
	return mediaType(h) == mediaJSON
}

// mediaType returns the body's media type in lower case and without parameters. It returns "" if there is not exactly one
// valid Content-Type, or if its charset is not UTF-8.
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

// readBody appends the body to b and returns the result. Its errors are problems.
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

// jsonBody returns the body of a request that must declare it as JSON, without a byte order mark. Its errors are problems.
func jsonBody(r *http.Request) ([]byte, error) {
	if !acceptsBody(r.Header) {
		return nil, newProblem(codeUnsupportedMedia)
	}
	text, err := readBody(r, nil)
	return bytes.TrimPrefix(text, []byte(byteOrderMark)), err
}

// brokenBody returns the problem for a read error of a body.
func brokenBody(err error) *problem {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return newProblem(codeRequestTimeout)
	}
	return newProblem(codeMalformedJSON).withDetail("The body is incomplete.")
}

// idempotencyKeyOf returns the Idempotency-Key, or "" for none. If the header is not valid, it returns the faults.
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
