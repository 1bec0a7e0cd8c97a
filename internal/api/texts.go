package api

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"rescind/internal/revocation"
)

const (
	// maxMessage is the largest length of a message for the candidate, in characters.
	maxMessage = 1000
	// maxAhead is how far not_before may be in the future.
	maxAhead = 90 * 24 * time.Hour
)

// checkText returns what is wrong with a client reference, a reason or a label. ok reports that nothing is.
func checkText(field, text string) (f fault, ok bool) {
	switch {
	case !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0:
		return fault{field, "invalid_characters", field + " must be Unicode text without NUL."}, false
	case utf8.RuneCountInString(text) > maxText:
		return fault{field, "too_long", field + " must have at most 255 characters."}, false
	}
	return fault{}, true
}

// checkMessage does the same for a message for the candidate. checkLinks and supportsMessage check what depends on the
// account.
func checkMessage(field, text string) (f fault, ok bool) {
	control := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' }
	switch {
	case !utf8.ValidString(text) || strings.ContainsFunc(text, control):
		return fault{field, "invalid_characters", field + " must be Unicode text without control characters except line breaks."}, false
	case utf8.RuneCountInString(text) > maxMessage:
		return fault{field, "too_long", field + " must have at most 1000 characters."}, false
	}
	return fault{}, true
}

// checkLinks returns a fault if the message for the candidate has a web address and the caller's account does not allow
// that. message is nil for none.
func checkLinks(caller revocation.Caller, field string, message *string) []fault {
	if message == nil || caller.Upstream || caller.MessageLinks || !revocation.HasLink(*message) {
		return nil
	}
	return []fault{{field, "web_address", field + " must not hold web or email addresses, unless the operator allows them for this account."}}
}

// supportsMessage returns a problem if the request has a message for the candidate and the caller's account is on an
// upstream.
func supportsMessage(caller revocation.Caller, field string, message *string) error {
	if message == nil || !caller.Upstream {
		return nil
	}
	return newProblem(revocation.CodeNotSupported).withDetail("The account's upstream sends the emails, and cannot add a " + field + ".")
}

// parseNotBefore returns the time that was sent, rounded up to the microsecond. A time before 1970 counts as 1970. ok
// reports that nothing is wrong with it.
func parseNotBefore(field, sent string, now time.Time) (t time.Time, f fault, ok bool) {
	t, valid := revocation.ParseTime(sent)
	switch {
	case !valid:
		return t, fault{field, "invalid_format", field + " must be a time by RFC 3339, such as 2026-01-01T00:00:00Z."}, false
	case t.After(now.Add(maxAhead)):
		return t, fault{field, "out_of_range", field + " must be at most 90 days ahead."}, false
	}
	if epoch := time.Unix(0, 0); t.Before(epoch) {
		t = epoch
	}
	return t.Add(time.Microsecond - 1).Truncate(time.Microsecond).UTC(), fault{}, true
}

// shortText reads a JSON string by checkText. It returns nil, and adds a fault, for any other value.
func (d *decoder) shortText(field string, raw []byte) *string {
	return d.text(field, raw, checkText)
}

// message reads a JSON string by checkMessage, likewise.
func (d *decoder) message(field string, raw []byte) *string {
	return d.text(field, raw, checkMessage)
}

func (d *decoder) text(field string, raw []byte, check func(field, text string) (fault, bool)) *string {
	if raw[0] != '"' {
		d.fault(field, "wrong_type", field+" must be a string.")
		return nil
	}
	unquoted, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		unquoted = []byte{0xff} // half of a surrogate pair is no text
	}
	text := string(unquoted)
	if f, ok := check(field, text); !ok {
		d.fault(f.Field, f.Code, f.Detail)
		return nil
	}
	return &text
}

// notBefore reads a JSON string by parseNotBefore.
func (d *decoder) notBefore(field string, raw []byte) {
	if raw[0] != '"' {
		d.fault(field, "wrong_type", field+" must be a string.")
		return
	}
	unquoted, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		unquoted = nil
	}
	t, f, ok := parseNotBefore(field, string(unquoted), time.Now())
	if !ok {
		d.fault(f.Field, f.Code, f.Detail)
		return
	}
	d.body.notBefore = t
}
