package api

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"rescind/internal/revocation"
)

// pollInput is what GET /revocations/{id} and GET /jobs/{id} are asked.
type pollInput struct {
	ID string `path:"id"`

	prefer      preference
	ifNoneMatch []string
}

// Resolve takes the headers that may come in several lines.
func (in *pollInput) Resolve(ctx huma.Context) []error {
	h := humaecho.Unwrap(ctx).Request().Header
	in.prefer = parsePrefer(h["Prefer"])
	in.prefer.async = false // it is about submitting
	in.ifNoneMatch = h["If-None-Match"]
	return nil
}

// pollOutput is one revocation or job, as bytes: the order of its members is part of the promise.
type pollOutput struct {
	Status            int
	ContentType       string `header:"Content-Type" hidden:"true"`
	ETag              string `header:"ETag" hidden:"true"`
	Vary              string `header:"Vary" hidden:"true"`
	PreferenceApplied string `header:"Preference-Applied" hidden:"true"`
	Body              []byte
}

func (a *API) get(x *exchange, in *pollInput) (*pollOutput, error) {
	id, err := pathID(in.ID)
	if err != nil {
		return nil, err
	}
	r, err := a.service.Get(x.Request().Context(), x.key.Account, id, in.prefer.wait)
	if err != nil {
		return nil, err
	}
	return in.answer(appendRevocation(make([]byte, 0, 640), &r)), nil
}

// pathID reads an id that an address names. One that is none cannot be found, as any other that is not there.
func pathID(sent string) (revocation.ID, error) {
	id, ok := revocation.ParseID(sent)
	if !ok {
		return revocation.ID{}, newProblem(revocation.CodeNotFound)
	}
	return id, nil
}

// answer is the body, or that it is the one which the caller has.
func (in *pollInput) answer(body []byte) *pollOutput {
	out := &pollOutput{
		Status: http.StatusOK, ContentType: mediaJSON, Body: body,
		ETag: entityTag(body), Vary: "Prefer", PreferenceApplied: in.prefer.applied(),
	}
	if matches(in.ifNoneMatch, out.ETag) {
		out.Status, out.ContentType, out.Body = http.StatusNotModified, "", nil
	}
	return out
}

// entityTag is a strong one: it is equal for equal bytes only.
func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// matches compares as If-None-Match asks for (RFC 9110, 13.1.2): weakly, and with * for anything.
func matches(ifNoneMatch []string, tag string) bool {
	for _, line := range ifNoneMatch {
		for one := range strings.SplitSeq(line, ",") { // our tags hold no comma
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == tag {
				return true
			}
		}
	}
	return false
}
