package api

import (
	"errors"
	"io"
	"unicode/utf8"

	"rescind/internal/revocation"
	"rescind/internal/rows"
)

// readJobDocument reads a job as one JSON object whose items are taken one by one, while the rest is still on
// its way. add's errors are given as they are.
func readJobDocument(body io.Reader, add func(revocation.Item) error) (jobValues, error) {
	d := jobDocument{text: newJSONStream(body), add: add, seen: make(map[string]bool)}
	err := d.read()
	switch malformed, ok := errors.AsType[syntaxError](err); {
	case ok:
		return jobValues{}, newProblem(codeMalformedJSON).says(malformed.Error())
	case len(d.values.faults) > 0 && (err == nil || errors.Is(err, errEnough) || errors.Is(err, errLarge)):
		return jobValues{}, invalid(d.values.faults...)
	case errors.Is(err, errLarge):
		return jobValues{}, newProblem(codeTooLarge).says("A value is nested deeper than is accepted here.")
	case err != nil:
		return jobValues{}, err
	case d.items == 0:
		return jobValues{}, invalid(fault{d.list, "required", d.list + " must have at least one entry."})
	}
	return jobValues{label: d.label, notify: d.values.body.notify}, nil
}

// The members that hold the items.
const (
	listIDs   = "report_ids"
	listItems = "items"
)

// jobDocument reads the members as strictly as a submission's. What is wrong with the document as a whole goes
// to the caller as faults, of which more are looked for only nearby; what is wrong with an item, to that item.
type jobDocument struct {
	text *jsonStream
	add  func(revocation.Item) error
	// values takes notify_candidate, and the faults.
	values decoder
	label  *string
	// list is the member that holds the items, empty before it came.
	list  string
	items int
	seen  map[string]bool
}

func (d *jobDocument) read() error {
	if err := d.text.skipMark(); err != nil {
		return err
	}
	switch c, err := d.text.next(); {
	case err != nil:
		return err
	case d.text.ended():
		return errEmpty
	case c != '{':
		if err := d.lose("body", "wrong_type", "The body must be a JSON object."); err != nil {
			return err
		}
	default:
		if err := d.text.list('{', '}', d.member); err != nil {
			return err
		}
		if d.list == "" {
			d.values.fault(listIDs, "required", "report_ids or items is needed.")
		}
	}
	if _, err := d.text.next(); err != nil {
		return err
	}
	if !d.text.ended() {
		return errSecond
	}
	return nil
}

// lose notes what is wrong with the document as a whole, which is not read for long any more, and takes the value
// that comes next, any that is JSON.
func (d *jobDocument) lose(field, code, detail string) error {
	d.values.fault(field, code, detail)
	d.text.hurry()
	if _, err := d.value(); !errors.Is(err, errSkipped) {
		return err
	}
	return nil
}

// value takes the next one, any that is JSON.
func (d *jobDocument) value() ([]byte, error) {
	raw, err := d.text.value()
	if err != nil {
		return nil, err
	}
	if err := checkValue(raw); err != nil {
		if err := onlyTooDeep(raw, err); err != nil {
			return nil, err
		}
	}
	return raw, nil
}

// member takes a name and its value.
func (d *jobDocument) member() error {
	name, err := d.name()
	if err != nil {
		return err
	}
	isList := name == listIDs || name == listItems
	switch {
	case !isList && name != "notify_candidate" && name != "label":
		err = d.lose(shownName(name), "unknown_field", "There is no such member.")
	case d.seen[name]:
		err = d.lose(name, "duplicate_field", name+" is given more than once.")
	case isList && d.list != "":
		err = d.lose(name, "duplicate_field", "report_ids and items cannot both be given.")
	case isList:
		d.list = name
		err = d.elements()
	default:
		err = d.scalar(name)
	}
	d.seen[name] = true
	if len(d.values.faults) > 0 {
		d.text.hurry()
	}
	return err
}

// name takes a member's name and the colon. A name that no text can hold, or that is very long, is given as one
// that is unknown.
func (d *jobDocument) name() (string, error) {
	switch c, err := d.text.next(); {
	case err != nil:
		return "", err
	case c != '"':
		return "", errSyntax
	}
	raw, err := d.value()
	if errors.Is(err, errSkipped) {
		return otherName, d.text.take(':')
	}
	if err != nil {
		return "", err
	}
	name, ok := unescapeName(raw[1 : len(raw)-1])
	if !ok {
		name = []byte(otherName)
	}
	return string(name), d.text.take(':')
}

// scalar takes the value of notify_candidate or label. One that is very large is a label that is too long, or has
// the wrong type, which its first byte shows.
func (d *jobDocument) scalar(name string) error {
	first, err := d.text.next()
	if err != nil {
		return err
	}
	raw, err := d.value()
	skipped := errors.Is(err, errSkipped)
	if skipped {
		raw = []byte{first}
	}
	switch {
	case err != nil && !skipped:
		return err
	case name == "notify_candidate":
		d.values.notify(raw)
	case skipped && first == '"':
		d.values.fault(name, "too_long", name+" must have at most 255 characters.")
	case raw[0] != 'n': // null is none
		d.label = d.values.shortText(name, raw)
	}
	return nil
}

// elements takes the array of items.
func (d *jobDocument) elements() error {
	if c, err := d.text.next(); err == nil && c != '[' {
		return d.lose(d.list, "wrong_type", d.list+" must be an array.")
	}
	return d.text.list('[', ']', func() error {
		item, err := d.item(d.text.value())
		if err != nil {
			return err
		}
		d.items++
		if len(d.values.faults) > 0 {
			return nil // the job is lost; what is left is whether the body is JSON
		}
		return d.add(item)
	})
}

// item reads an element as the text gave it. Its errors are those that end the document.
func (d *jobDocument) item(raw []byte, err error) (revocation.Item, error) {
	if errors.Is(err, errSkipped) {
		return revocation.Item{Invalid: rowSentence(rows.ErrLong)}, nil
	}
	if err != nil {
		return revocation.Item{}, err
	}
	var one decoder
	if d.list == listItems {
		one.body, one.faults, err = decodeSubmission(raw)
	} else if err = checkValue(raw); err == nil {
		one.reportID(raw)
	}
	if err != nil {
		if err := onlyTooDeep(raw, err); err != nil {
			return revocation.Item{}, err
		}
	}
	return itemOf(one.body, one.faults, err), nil
}

// checkValue tells why raw is not one JSON value in UTF-8.
func checkValue(raw []byte) error {
	if !utf8.Valid(raw) {
		return errUTF8
	}
	s := scanner{text: raw}
	if _, err := s.value(0); err != nil {
		return err
	}
	if s.at != len(raw) {
		return errSyntax
	}
	return nil
}

// onlyTooDeep gives no error when all that is wrong with raw is how deep it is nested, which makes an item invalid,
// but not the document.
func onlyTooDeep(raw []byte, err error) error {
	if !errors.Is(err, errNesting) {
		return err
	}
	ok, err := isJSON(raw)
	if err == nil && !ok {
		err = errSyntax
	}
	return err
}
