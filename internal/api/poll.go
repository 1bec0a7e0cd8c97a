package api

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"rescind/internal/revocation"
)

// get answers GET /revocations/{id}. As many requests may come here as there are submissions, and more.
func (a *API) get(x *requestContext) error {
	id, err := pathID(x.Param("id"))
	if err != nil {
		return err
	}
	prefer := pollPreference(x)
	r, err := a.service.Get(x.Request().Context(), x.key.Account, id, prefer.wait)
	if err != nil {
		return err
	}
	if err := a.recheck(x); err != nil {
		return err
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	*buffer = appendRevocation((*buffer)[:0], &r)
	x.answerPoll(prefer, *buffer)
	return nil
}

// pathID reads an id that an address names. One that is none cannot be found, as any other that is not there.
func pathID(sent string) (revocation.ID, error) {
	id, ok := revocation.ParseID(sent)
	if !ok {
		return revocation.ID{}, newProblem(revocation.CodeNotFound)
	}
	return id, nil
}

// pollPreference is what a poll prefers. respond-async is about submitting.
func pollPreference(x *requestContext) preference {
	prefer := parsePrefer(x.Request().Header["Prefer"])
	prefer.async = false
	return prefer
}

// answerPoll answers with the body, or that it is the one which the caller has.
func (x *requestContext) answerPoll(prefer preference, body []byte) {
	tag := entityTag(body)
	h := x.Response().Header()
	h["ETag"] = []string{tag}
	h["Vary"] = varyPrefer
	if applied := prefer.applied(); applied != "" {
		h["Preference-Applied"] = []string{applied}
	}
	if matches(x.Request().Header["If-None-Match"], tag) {
		x.Response().WriteHeader(http.StatusNotModified)
		return
	}
	x.respond(http.StatusOK, mediaJSON, body)
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
