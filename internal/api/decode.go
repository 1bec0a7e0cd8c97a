package api

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// submissionBody is what a caller asks for: a revocation's values, read and checked.
type submissionBody struct {
	reportID int64
	notify   bool
	// saysNotify tells that notify is the caller's and not the default.
	saysNotify      bool
	clientReference *string
}

const (
	// maxText bounds a client reference or a label, in characters.
	maxText = 255
	// maxFaults bounds an answer to a body that is wrong all over.
	maxFaults = 64
	// otherName stands in for a name that is not repeated in an answer: it could hold anything.
	otherName = "(other)"
)

// shownName is a name of the caller's, if it can be repeated in an answer.
func shownName(name string) string {
	if plain(name, 64) {
		return name
	}
	return otherName
}

// decoder reads a submission strictly: it takes nothing that it does not know, nothing twice and nothing
// that only resembles the right type, and it tells everything that is wrong at once.
type decoder struct {
	scanner
	body   submissionBody
	seen   struct{ reportID, notify, clientReference bool }
	faults []fault
}

// decodeSubmission reads one submission. An error is a syntaxError: the text is not one JSON value in UTF-8.
// With faults, nothing of the body must be used but its client reference.
func decodeSubmission(text []byte) (submissionBody, []fault, error) {
	d := decoder{scanner: scanner{text: text}}
	if err := d.document(); err != nil {
		return submissionBody{}, nil, err
	}
	return d.body, d.faults, nil
}

func (d *decoder) document() error {
	if !utf8.Valid(d.text) {
		return errUTF8
	}
	switch d.next() {
	case 0:
		if d.at == len(d.text) {
			return errEmpty
		}
		return errSyntax
	case '{':
		if err := d.object(d.member); err != nil {
			return err
		}
		if !d.seen.reportID {
			d.fault("report_id", "required", "report_id is needed.")
		}
	default:
		if _, err := d.value(0); err != nil {
			return err
		}
		d.fault("body", "wrong_type", "The body must be a JSON object.")
	}
	if d.next(); d.at != len(d.text) {
		return errSecond
	}
	return nil
}

func (d *decoder) member(rawName []byte) error {
	name, ok := unescapeName(rawName)
	raw, err := d.value(1)
	if err != nil {
		return err
	}
	switch {
	case !ok:
		d.fault(otherName, "unknown_field", "There is no such member.")
	case string(name) == "report_id":
		if d.first(&d.seen.reportID, "report_id") {
			d.reportID(raw)
		}
	case string(name) == "notify_candidate":
		if d.first(&d.seen.notify, "notify_candidate") {
			d.notify(raw)
		}
	case string(name) == "client_reference":
		if d.first(&d.seen.clientReference, "client_reference") {
			d.body.clientReference = d.shortText("client_reference", raw)
		}
	default:
		d.fault(shownName(string(name)), "unknown_field", "There is no such member.")
	}
	return nil
}

// unescapeName is unescape for names, which hardly ever hold an escape.
func unescapeName(raw []byte) ([]byte, bool) {
	if slices.Contains(raw, '\\') {
		name, ok := unescape(raw)
		return []byte(name), ok
	}
	return raw, true
}

func (d *decoder) first(seen *bool, name string) bool {
	if *seen {
		d.fault(name, "duplicate_field", name+" is given more than once.")
		return false
	}
	*seen = true
	return true
}

func (d *decoder) reportID(raw []byte) {
	if raw[0] != '-' && !isDigit(raw[0]) {
		d.fault("report_id", "wrong_type", "report_id must be an integer.")
		return
	}
	id, fitting := int64(0), raw[0] != '-'
	for _, c := range raw {
		switch {
		case c == '.' || c == 'e' || c == 'E':
			d.fault("report_id", "wrong_type", "report_id must be an integer, written without a fraction or an exponent.")
			return
		case !fitting:
		case id > (math.MaxInt64-int64(c-'0'))/10:
			fitting = false
		default:
			id = id*10 + int64(c-'0')
		}
	}
	if !fitting || id == 0 {
		d.fault("report_id", "out_of_range", "report_id must be from 1 to 9223372036854775807.")
		return
	}
	d.body.reportID = id
}

func (d *decoder) notify(raw []byte) {
	switch raw[0] {
	case 't', 'f':
		d.body.notify, d.body.saysNotify = raw[0] == 't', true
	default:
		d.fault("notify_candidate", "wrong_type", "notify_candidate must be true or false.")
	}
}

// shortText reads a string of at most 255 characters; nil for one that cannot be taken.
func (d *decoder) shortText(field string, raw []byte) *string {
	if raw[0] != '"' {
		d.fault(field, "wrong_type", field+" must be a string.")
		return nil
	}
	text, ok := unescape(raw[1 : len(raw)-1])
	switch {
	case !ok || strings.IndexByte(text, 0) >= 0:
		d.fault(field, "invalid_characters", field+" must not hold NUL or half of a surrogate pair.")
	case utf8.RuneCountInString(text) > maxText:
		d.fault(field, "too_long", field+" must have at most 255 characters.")
	default:
		return &text
	}
	return nil
}

// fault notes one; the same once more would tell the caller nothing.
func (d *decoder) fault(field, code, detail string) {
	f := fault{Field: field, Code: code, Detail: detail}
	if len(d.faults) < maxFaults && !slices.Contains(d.faults, f) {
		d.faults = append(d.faults, f)
	}
}
