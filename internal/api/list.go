package api

import (
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rescind/internal/revocation"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// list serves GET /revocations.
func (a *API) list(x *requestContext) error {
	q := readQuery(x.Request().URL.RawQuery)
	f := revocation.Filter{
		Account:       x.key.Account,
		ReportID:      q.reportID("report_id"),
		Statuses:      q.statuses("status"),
		Notifications: q.notifications("notification"),
		JobID:         q.id("job_id"),
		CreatedAfter:  q.time("created_after"),
		CreatedBefore: q.time("created_before"),
		Limit:         q.limit(),
		Before:        q.cursor("cursor", cursorRevocations),
	}
	if err := q.faults(); err != nil {
		return err
	}
	page, err := readPage(a, x, maxPageWait, func(ctx context.Context) (revocation.Page[revocation.Revocation], error) {
		return a.service.List(ctx, f)
	})
	if err != nil {
		return err
	}
	x.respond(http.StatusOK, mediaJSON, jsonOf(pageOf(page.Entries, revocationOf, cursorAfter(cursorRevocations, page.Next))))
	return nil
}

// cursorKind identifies the list that a cursor belongs to. Other lists refuse it.
type cursorKind byte

const (
	cursorRevocations cursorKind = iota + 1
	cursorJobs
	cursorResults
	cursorEvents
	cursorInvites
)

// cursors encodes the kind of a cursor, and the id after which the page begins, for a URL. It is strict, so that each
// cursor has one encoding only.
var cursors = base64.RawURLEncoding.Strict()

// cursorAfter returns the cursor of the page after the entry last. It returns "" for the zero id, which means that there
// is no such page.
func cursorAfter(kind cursorKind, last revocation.ID) string {
	if last.IsZero() {
		return ""
	}
	return cursors.EncodeToString(append([]byte{byte(kind)}, last[:]...))
}

// query reads parameters strictly. Each method takes one parameter out of the query, and collects its faults. A parameter
// without a value counts as not given.
type query struct {
	values url.Values
	wrong  []fault
}

func readQuery(raw string) *query {
	values, err := url.ParseQuery(raw)
	q := &query{values: values}
	if err != nil {
		q.fault("query", "invalid_format", "The query string is not well-formed.")
	}
	return q
}

func (q *query) fault(name, code, detail string) {
	q.wrong = append(q.wrong, fault{Field: name, Code: code, Detail: detail})
}

// faults returns the problem with all faults, or nil if there are none. A parameter that was not taken is a fault.
func (q *query) faults() error {
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		f := fault{shownName(name), "unknown_field", "There is no such parameter."}
		if len(q.wrong) < maxFaults && !slices.Contains(q.wrong, f) {
			q.wrong = append(q.wrong, f)
		}
	}
	if len(q.wrong) == 0 {
		return nil
	}
	return invalid(q.wrong...)
}

// refuseParameters returns a problem if there are any parameters.
func refuseParameters(raw string) error {
	if raw == "" {
		return nil
	}
	return readQuery(raw).faults()
}

// take returns a parameter's value and removes it from the query. It returns "" if the parameter is missing or repeated.
func (q *query) take(name string) string {
	sent := q.values[name]
	delete(q.values, name)
	switch len(sent) {
	case 0:
		return ""
	case 1:
		return sent[0]
	default:
		q.fault(name, "duplicate_field", name+" is given more than once.")
		return ""
	}
}

// integer parses an integer with an optional minus sign. For a number outside of int64 it returns the nearest int64 and
// false.
func (q *query) integer(name, sent string) (n int64, ok bool) {
	n, err := strconv.ParseInt(sent, 10, 64)
	if err != nil && n == 0 || sent[0] == '+' {
		q.fault(name, "wrong_type", name+" must be an integer.")
		return 0, false
	}
	return n, err == nil
}

func (q *query) reportID(name string) int64 {
	sent := q.take(name)
	if sent == "" {
		return 0
	}
	before := len(q.wrong)
	n, ok := q.integer(name, sent)
	if len(q.wrong) == before && (!ok || n < 1) {
		q.fault(name, "out_of_range", name+" must be from 1 to 9223372036854775807.")
	}
	return n
}

func (q *query) limit() int {
	const name = "limit"
	sent := q.take(name)
	if sent == "" {
		return defaultLimit
	}
	before := len(q.wrong)
	n, _ := q.integer(name, sent)
	if len(q.wrong) == before && (n < 1 || n > maxLimit) {
		q.fault(name, "out_of_range", name+" must be from 1 to 1000.")
	}
	return int(n)
}

// statuses takes a list of statuses that are separated by commas.
func (q *query) statuses(name string) revocation.StatusFilter {
	return words(q, name, revocation.Statuses)
}

// words takes a list of known words that are separated by commas.
func words[T ~string](q *query, name string, known []T) (list []T) {
	sent := q.take(name)
	if sent == "" {
		return nil
	}
	for word := range strings.SplitSeq(sent, ",") {
		switch one := T(word); {
		case !slices.Contains(known, one):
			var all []string
			for _, k := range known {
				all = append(all, string(k))
			}
			q.fault(name, "unknown_value", name+" must be one or more of these, separated by commas: "+strings.Join(all, ", ")+".")
			return nil
		case !slices.Contains(list, one):
			list = append(list, one)
		}
	}
	return list
}

// notifications takes a list of statuses of emails that are separated by commas.
func (q *query) notifications(name string) []revocation.NotificationStatus {
	return words(q, name, revocation.ShownNotifications)
}

func (q *query) id(name string) revocation.ID {
	sent := q.take(name)
	id, ok := revocation.ParseID(sent)
	if sent != "" && (!ok || id.IsZero()) {
		q.fault(name, "invalid_format", name+" must be a UUID, and not the one of zeros.")
	}
	return id
}

func (q *query) time(name string) time.Time {
	sent := q.take(name)
	if sent == "" {
		return time.Time{}
	}
	t, ok := revocation.ParseTime(sent)
	if !ok {
		q.fault(name, "invalid_format", name+" must be a time by RFC 3339, such as 2026-01-01T00:00:00Z. In a URL, write + as %2B.")
	}
	if epoch := time.Unix(0, 0); t.Before(epoch) {
		return epoch // no revocation is older, and the zero time would mean no filter
	}
	return t
}

func (q *query) cursor(name string, kind cursorKind) (last revocation.ID) {
	sent := q.take(name)
	if sent == "" {
		return last
	}
	decoded, err := cursors.DecodeString(sent)
	// The decoder ignores line breaks, so the lengths before and after decoding are checked.
	if err != nil || len(sent) != cursors.EncodedLen(1+len(last)) || len(decoded) != 1+len(last) || decoded[0] != byte(kind) ||
		revocation.ID(decoded[1:]).IsZero() {
		q.cursorFault(name)
		return last
	}
	return revocation.ID(decoded[1:])
}
