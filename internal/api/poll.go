package api

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"rescind/internal/revocation"
)

// get serves GET /revocations/{id}. It must be fast, because there may be more polls than submissions.
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

// pathID parses an id in a path. It returns not_found for an invalid id, as for an unknown one.
func pathID(sent string) (revocation.ID, error) {
	id, ok := revocation.ParseID(sent)
	if !ok {
		return revocation.ID{}, newProblem(revocation.CodeNotFound)
	}
	return id, nil
}

// pollPreference returns the preferences of a poll. It ignores respond-async, which is for submissions only.
func pollPreference(x *requestContext) preference {
	prefer := parsePrefer(x.Request().Header["Prefer"])
	prefer.async = false
	return prefer
}

// answerPoll responds with the body, or with 304 if the caller has the same body already.
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

// entityTag returns a strong ETag: equal tags mean equal bytes.
func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// matches reports whether If-None-Match names the tag (RFC 9110, section 13.1.2). The comparison is weak, and * matches
// every tag.
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
