package api

import (
	"encoding/binary"
	"net/http"

	"rescind/internal/revocation"
)

// listEvents serves GET /events.
func (a *API) listEvents(x *requestContext) error {
	prefer := pollPreference(x)
	slots := a.reads
	if prefer.wait > 0 {
		slots = a.eventWaits
	}
	return within(slots, func(x *requestContext) error { return a.writeEvents(x, prefer) })(x)
}

func (a *API) writeEvents(x *requestContext, prefer preference) error {
	q := readQuery(x.Request().URL.RawQuery)
	f := revocation.EventFilter{
		Account: x.key.Account,
		Types:   q.eventTypes("type"),
		Subject: q.subject("subject"),
		From:    q.time("after"),
		Limit:   q.limit(),
	}
	f.After, f.Latest = q.eventCursor("cursor")
	if err := q.faults(); err != nil {
		return err
	}
	page, err := a.service.Events(x.Request().Context(), f, prefer.wait)
	if err != nil && revocation.ErrorCode(err) == revocation.CodeInvalid {
		return invalid(noSuchEvent)
	}
	if err != nil {
		return err
	}
	if err := a.recheck(x); err != nil {
		return err
	}
	h := x.Response().Header()
	h["Vary"] = varyPrefer
	if applied := prefer.applied(); applied != "" {
		h["Preference-Applied"] = []string{applied}
	}
	x.respond(http.StatusOK, mediaJSON, jsonOf(eventPageBody{bodiesOf(page.Events, eventOf), eventCursor(page.Next)}))
	return nil
}

var noSuchEvent = fault{
	Field: "cursor", Code: "unknown_event",
	Detail: "The event that cursor names, or an event after it, is not in the database any more. To continue, send after instead, with the time of the last event that you have.",
}

// latestEvents is the cursor after the newest event.
const latestEvents = "latest"

// eventCursorSize is the size of a cursor of events: its kind, and the number and the id of the event that it names.
const eventCursorSize = 1 + 8 + len(revocation.ID{})

// eventCursor returns the cursor after an event.
func eventCursor(c revocation.EventCursor) string {
	b := append(make([]byte, 0, eventCursorSize), byte(cursorEvents))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Number)) //nolint:gosec // not negative
	return cursors.EncodeToString(append(b, c.ID[:]...))
}

func (q *query) eventCursor(name string) (after *revocation.EventCursor, latest bool) {
	sent := q.take(name)
	if sent == "" || sent == latestEvents {
		return nil, sent == latestEvents
	}
	b, err := cursors.DecodeString(sent)
	// The decoder ignores line breaks, so the lengths before and after decoding are checked.
	if err != nil || len(sent) != cursors.EncodedLen(eventCursorSize) || len(b) != eventCursorSize || b[0] != byte(cursorEvents) {
		q.fault(name, "invalid_format", name+" must be the next_cursor of a response about the same list, or latest.")
		return nil, false
	}
	after = &revocation.EventCursor{Number: int64(binary.BigEndian.Uint64(b[1:])), ID: revocation.ID(b[9:])} //nolint:gosec // checked
	if after.Number < 0 || (after.Number == 0) != after.ID.IsZero() {
		q.fault(name, "invalid_format", name+" must be the next_cursor of a response about the same list, or latest.")
		return nil, false
	}
	return after, false
}

// eventTypes takes a list of types of events that are separated by commas.
func (q *query) eventTypes(name string) []revocation.EventType {
	return words(q, name, revocation.EventTypes)
}

// subject takes the id of a subject: a UUID, or the id of the account.
func (q *query) subject(name string) string {
	sent := q.take(name)
	if id, ok := revocation.ParseID(sent); ok {
		return id.String()
	}
	if sent != "" && !revocation.ValidAccountID(sent) {
		q.fault(name, "invalid_format", name+" must be the id of a subject.")
	}
	return sent
}
