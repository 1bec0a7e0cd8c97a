package api

import (
	"context"
	"encoding/binary"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"rescind/internal/invites"
	"rescind/internal/revocation"
)

// listInvites serves GET /invites.
func (a *API) listInvites(x *requestContext) error {
	q := readQuery(x.Request().URL.RawQuery)
	for _, name := range []string{"candidate_email", "q"} {
		if _, sent := q.values[name]; sent {
			delete(q.values, name)
			q.fault(name, "unknown_field", name+" is personal data, which must not be in a URL. Use POST /invites/search.")
		}
	}
	f := readInviteFilter(q)
	return a.respondInvites(x, f, q)
}

// searchInvites serves POST /invites/search.
func (a *API) searchInvites(x *requestContext) error {
	text, err := jsonBody(x.Request())
	if err != nil {
		return err
	}
	q, err := readSearch(text)
	if err != nil {
		return err
	}
	f := readInviteFilter(q)
	f.Email, f.Query = q.searchText("candidate_email"), q.searchText("q")
	if n := utf8.RuneCountInString(f.Query); n == 1 {
		q.fault("q", "out_of_range", "q must have at least 2 characters.")
	}
	return a.respondInvites(x, f, q)
}

func (a *API) respondInvites(x *requestContext, f revocation.InviteFilter, q *query) error {
	if f.Query == "" && f.After.Part != 0 || f.Query != "" && f.After.ReportID != 0 && f.After.Part == 0 {
		q.cursorFault("cursor")
	}
	if err := q.faults(); err != nil {
		return err
	}
	f.Account = x.key.Account
	page, err := readPage(a, x, maxPageWait, func(ctx context.Context) (revocation.InvitePage, error) { return a.invites.Invites(ctx, f) })
	if err != nil {
		return err
	}
	x.respond(http.StatusOK, mediaJSON, jsonOf(pageOf(page.Entries, inviteOf, inviteCursor(page.Next))))
	return nil
}

// getInvite serves GET /invites/{report_id}.
func (a *API) getInvite(x *requestContext) error {
	id, err := pathReport(x)
	if err != nil {
		return err
	}
	invite, err := a.invites.Invite(x.Request().Context(), x.key.Account, id)
	if err != nil {
		return err
	}
	x.respond(http.StatusOK, mediaJSON, jsonOf(inviteDetailsOf(&invite)))
	return nil
}

// forgetInvite serves DELETE /invites/{report_id}.
func (a *API) forgetInvite(x *requestContext) error {
	id, err := pathReport(x)
	if err != nil {
		return err
	}
	ctx, by := x.Request().Context(), revocation.ByKey(x.key.ID)
	if err := invites.Patiently(ctx, func() error { return a.invites.Forget(ctx, x.key.Account, id, by) }); err != nil {
		return err
	}
	return x.NoContent(http.StatusNoContent)
}

// pathReport returns the report_id in the path. The error of a malformed one is the same as of an unknown one.
func pathReport(x *requestContext) (int64, error) {
	sent := x.Param("report_id")
	id, err := strconv.ParseInt(sent, 10, 64)
	if err != nil || id < 1 || sent != strconv.FormatInt(id, 10) {
		return 0, newProblem(revocation.CodeNotFound)
	}
	return id, nil
}

// readInviteFilter takes the filters that may be in a URL.
func readInviteFilter(q *query) revocation.InviteFilter {
	f := revocation.InviteFilter{
		AssessmentID: q.searchText("assessment_id"), Assessment: q.searchText("assessment_name"),
		Progress: q.progress("state"), SentAfter: q.time("sent_after"), SentBefore: q.time("sent_before"),
		Limit: q.limit(), After: q.inviteCursor("cursor"),
	}
	if sent := q.values["revoked"]; len(sent) == 1 && sent[0] == "" {
		delete(q.values, "revoked")
	} else if len(sent) > 0 {
		f.Revoked = new(q.bool("revoked"))
	}
	return f
}

// progress takes states of invites.
func (q *query) progress(name string) (all []revocation.Progress) {
	sent := q.take(name)
	if sent == "" {
		return nil
	}
	for word := range strings.SplitSeq(sent, ",") {
		switch p := revocation.Progress(word); p {
		case revocation.ProgressPending, revocation.ProgressStarted, revocation.ProgressCompleted:
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		default:
			q.fault(name, "unknown_value", name+" must be PENDING, STARTED or COMPLETED; several are separated by commas.")
		}
	}
	return all
}

// maxSearchText is the largest length of a text to search for, in characters.
const maxSearchText = 500

// searchText takes a text to search for, without white space around it.
func (q *query) searchText(name string) string {
	sent := q.take(name)
	text := strings.TrimSpace(sent)
	switch {
	case text == "" && sent != "":
		// If it counted as not given, more invites would match than its author thought.
		q.fault(name, "out_of_range", name+" must not be white space alone.")
	case !utf8.ValidString(sent) || strings.IndexByte(sent, 0) >= 0:
		q.fault(name, "invalid_characters", name+" must be UTF-8 without NUL.")
	case utf8.RuneCountInString(sent) > maxSearchText:
		q.fault(name, "too_long", name+" must have at most 500 characters.")
	}
	return text
}

// readSearch reads the JSON object of a search into a query, so that members and parameters are checked alike. null counts
// as not given.
func readSearch(text []byte) (*query, error) {
	q := readQuery("")
	isObject, err := readDocument(text, q.member)
	if err != nil {
		return nil, newProblem(codeMalformedJSON).withDetail(err.Error())
	}
	if !isObject {
		q.wrong = append(q.wrong, notAnObject)
	}
	return q, nil
}

const (
	aString  = "a string"
	anInt    = "an integer"
	aBoolean = "true or false"
)

// searchMembers are the members of a search with what their values must be.
var searchMembers = map[string]string{
	"q": aString, "candidate_email": aString, "assessment_id": aString, "assessment_name": aString, "revoked": aBoolean,
	"state": aString, "sent_after": aString, "sent_before": aString, "limit": anInt, "cursor": aString,
}

var kindNames = map[jsontext.Kind]string{
	jsontext.KindString: aString, jsontext.KindNumber: anInt, jsontext.KindTrue: aBoolean, jsontext.KindFalse: aBoolean,
}

// member reads a member of a search as a parameter.
func (q *query) member(text *jsontext.Decoder, name string) error {
	raw, err := text.ReadValue()
	if err != nil {
		return syntaxOf(err)
	}
	if raw.Kind() == jsontext.KindNull && searchMembers[name] != "" {
		q.values[name] = append(q.values[name], "")
	} else {
		q.add(name, raw, searchMembers)
	}
	return nil
}

// add adds a member of an object as a parameter. members are all that the object can have, with what
// their values must be.
func (q *query) add(name string, raw jsontext.Value, members map[string]string) {
	want, known := members[name]
	var value string
	switch kind := raw.Kind(); {
	case !known:
		q.fault(shownName(name), "unknown_field", "There is no such member.")
		return
	case kindNames[kind] != want:
		q.fault(name, "wrong_type", name+" must be "+want+".")
		return
	case want == aString:
		unquoted, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			q.fault(name, "invalid_characters", name+" must not hold half of a surrogate pair.")
		}
		value = string(unquoted)
	default:
		value = string(raw)
	}
	q.values[name] = append(q.values[name], value)
}

// inviteCursor returns the cursor of the page after a position; "" if there is none. It has no text of an invite.
func inviteCursor(p revocation.InvitePosition) string {
	if p.ReportID == 0 {
		return ""
	}
	b := []byte{byte(cursorInvites), byte(p.Part)}
	b = binary.BigEndian.AppendUint64(b, uint64(p.SentAt.UnixMicro()))
	b = binary.BigEndian.AppendUint64(b, uint64(p.ReportID)) //nolint:gosec // it is positive
	return cursors.EncodeToString(b)
}

func (q *query) inviteCursor(name string) (p revocation.InvitePosition) {
	const size = 1 + 1 + 8 + 8
	sent := q.take(name)
	if sent == "" {
		return p
	}
	b, err := cursors.DecodeString(sent)
	if err != nil || len(sent) != cursors.EncodedLen(size) || len(b) != size || b[0] != byte(cursorInvites) || b[1] > byte(revocation.ByAssessment) {
		q.cursorFault(name)
		return p
	}
	p.Part = revocation.InvitePart(b[1])
	p.SentAt = time.UnixMicro(int64(binary.BigEndian.Uint64(b[2:]))).UTC() //nolint:gosec // written in the same way
	p.ReportID = int64(binary.BigEndian.Uint64(b[10:]))                    //nolint:gosec // written in the same way
	if p.ReportID < 1 || p.SentAt.Year() < 1 || p.SentAt.Year() > 9999 {
		q.cursorFault(name)
		return revocation.InvitePosition{}
	}
	return p
}

func (q *query) cursorFault(name string) {
	q.fault(name, "invalid_format", name+" must be the next_cursor of a response about the same list.")
}
