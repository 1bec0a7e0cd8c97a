package api

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"rescind/internal/revocation"
	"rescind/internal/rows"
)

const (
	// maxElement is the largest size of an element that is read, in bytes. A larger one becomes an INVALID item.
	maxElement = 64 << 10
	// maxToken is the largest distance between two values of a document, in bytes, and what the document takes in
	// memory. A larger value ends the upload.
	maxToken = 1 << 20
	// maxRest is how many bytes are read after the first fault of a document, to report faults that are close to it.
	maxRest = 64 << 10
)

var (
	// errRefused ends a document that continues for more than maxRest after its first fault.
	errRefused = errors.New("the rest of a refused document was not read")
	// errLarge ends a document that has a value larger than maxToken.
	errLarge = errors.New("a value is too large")
)

// readJobDocument reads a job that is one JSON object. It calls add with each item as it arrives, and returns add's
// errors unchanged. If the object has a selection and no items, it returns the selection. The options of the request, which
// stand before the object in a form, must not be members of the object too.
func readJobDocument(body io.Reader, request *jobRequest, add func(revocation.Item) error) (v revocation.JobValues, selected *revocation.Selection, err error) {
	start := bufio.NewReader(body)
	if mark, _ := start.Peek(len(byteOrderMark)); string(mark) == byteOrderMark { // the next read reports an error again
		_, _ = start.Discard(len(mark))
	}
	d := jobDocument{input: documentInput{src: start, left: -1}, key: request.key, add: add, seen: make(map[string]bool)}
	for _, name := range request.fields {
		d.seen[name] = true
	}
	d.text = jsontext.NewDecoder(&d.input, jsonOptions...)
	d.input.text = d.text
	err = d.read()
	if err != nil && d.input.err != nil {
		err = d.input.err // the Decoder reports a read error inside a value as a syntax error
	}
	switch malformed, ok := errors.AsType[syntaxError](err); {
	case ok:
		return v, nil, newProblem(codeMalformedJSON).withDetail(malformed.Error())
	case len(d.values.faults) > 0 && (err == nil || errors.Is(err, errRefused) || errors.Is(err, errLarge)):
		return v, nil, invalid(d.values.faults...)
	case errors.Is(err, errLarge):
		return v, nil, newProblem(codeTooLarge).withDetail("A value is larger than 1 MiB.")
	case err != nil:
		return v, nil, err
	case d.items == 0 && d.selected == nil:
		return v, nil, invalid(fault{d.list, "required", d.list + " must have at least one entry."})
	}
	read, v := &d.values.body, request.values
	v.Label, v.Reason, v.CandidateMessage = cmp.Or(v.Label, d.label), cmp.Or(v.Reason, read.reason), cmp.Or(v.CandidateMessage, read.candidateMessage)
	v.Notify, v.Preview, v.NotBefore = v.Notify || read.notify, v.Preview || d.preview, cmp.Or(v.NotBefore, read.notBefore)
	return v, d.selected, nil
}

// documentInput bounds how far a Decoder reads ahead of the values that it has returned. The Decoder holds that in memory.
type documentInput struct {
	src  io.Reader
	text *jsontext.Decoder
	read int64
	// left is how many bytes may still be read. It is negative for no limit.
	left int64
	// err is the first error of the input other than io.EOF.
	err error
}

func (in *documentInput) Read(b []byte) (n int, err error) {
	switch {
	case in.left == 0:
		err = errRefused
	case in.read-in.text.InputOffset() >= maxToken:
		err = errLarge
	default:
		if in.left > 0 {
			b = b[:min(int64(len(b)), in.left)]
		}
		n, err = in.src.Read(b)
	}
	in.read += int64(n)
	if in.left > 0 {
		in.left -= int64(n)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		in.err = err
	}
	return n, err
}

// The members that hold the items, or select them. A job has one of them.
const (
	listIDs    = "report_ids"
	listItems  = "items"
	listSelect = "select"
)

const listNeeded = "report_ids, items or select is needed."

// documentOptions are the members that hold options.
var documentOptions = []string{"notify_candidate", "label", "not_before", "preview", "reason", "candidate_message"}

// jobDocument reads the members as strictly as those of a submission. A fault of the document refuses the job. A fault of
// an element makes that element an INVALID item.
type jobDocument struct {
	input documentInput
	text  *jsontext.Decoder
	// key is the request's. The message for the candidates and a selection depend on it.
	key *revocation.APIKey
	add func(revocation.Item) error
	// values collects the members that a submission has too, and the faults.
	values  decoder
	label   *string
	preview bool
	// list is the name of the member that holds or selects the items. It is empty before that member is read.
	list     string
	items    int
	selected *revocation.Selection
	seen     map[string]bool
}

func (d *jobDocument) read() error {
	switch d.text.PeekKind() {
	case jsontext.KindBeginObject:
		if err := readObject(d.text, func(_ *jsontext.Decoder, name string) error { return d.member(name) }); err != nil {
			return err
		}
		if d.list == "" {
			d.values.fault(listIDs, "required", listNeeded)
		}
	case jsontext.KindInvalid:
		if _, err := d.text.ReadToken(); !errors.Is(err, io.EOF) {
			return syntaxOf(err)
		}
		return errEmpty
	default:
		if err := d.refuse("body", "wrong_type", "The body must be a JSON object."); err != nil {
			return err
		}
	}
	return atEnd(d.text)
}

// refuse adds a fault of the document and skips the next value.
func (d *jobDocument) refuse(field, code, detail string) error {
	d.values.fault(field, code, detail)
	d.limitRest()
	_, err := d.value()
	return err
}

// limitRest limits the rest of the input to maxRest bytes.
func (d *jobDocument) limitRest() {
	if d.input.left < 0 {
		d.input.left = maxRest
	}
}

// value reads the next value. It is valid until the next call.
func (d *jobDocument) value() (jsontext.Value, error) {
	raw, err := d.text.ReadValue()
	if err != nil {
		return nil, syntaxOf(err)
	}
	if !utf8.Valid(raw) {
		return nil, errUTF8
	}
	return raw, nil
}

func (d *jobDocument) member(name string) error {
	isList := name == listIDs || name == listItems || name == listSelect
	var err error
	switch {
	case !isList && !slices.Contains(documentOptions, name):
		err = d.refuse(shownName(name), "unknown_field", "There is no such member.")
	case d.seen[name]:
		err = d.refuse(name, "duplicate_field", name+" is given more than once.")
	case isList && d.list != "":
		err = d.refuse(name, "duplicate_field", "Only one of report_ids, items and select can be given.")
	case name == listSelect:
		d.list = name
		err = d.selection()
	case isList && d.text.PeekKind() != jsontext.KindBeginArray:
		d.list = name
		err = d.refuse(name, "wrong_type", name+" must be an array.")
	case isList:
		d.list = name
		err = d.elements()
	default:
		err = d.scalar(name)
	}
	d.seen[name] = true
	return err
}

func (d *jobDocument) scalar(name string) error {
	raw, err := d.value()
	if err != nil {
		return err
	}
	switch name {
	case "notify_candidate":
		d.values.notify(raw)
	case "preview":
		d.preview = raw.Kind() == jsontext.KindTrue
		if !d.preview && raw.Kind() != jsontext.KindFalse {
			d.values.fault(name, "wrong_type", name+" must be true or false.")
		}
	default:
		if raw.Kind() != jsontext.KindNull { // which means none
			err = d.optional(name, raw)
		}
	}
	if err != nil {
		return err
	}
	if len(d.values.faults) > 0 {
		d.limitRest()
	}
	return nil
}

// optional reads the value of a member that may also be null.
func (d *jobDocument) optional(name string, raw jsontext.Value) error {
	read := &d.values.body
	switch name {
	case "label":
		d.label = d.values.shortText(name, raw)
	case "reason":
		read.reason = d.values.shortText(name, raw)
	case "candidate_message":
		read.candidateMessage = d.values.message(name, raw)
		for _, f := range checkLinks(d.key.Caller, name, read.candidateMessage) {
			d.values.fault(f.Field, f.Code, f.Detail)
		}
		return supportsMessage(d.key.Caller, name, read.candidateMessage)
	case "not_before":
		d.values.notBefore(name, raw)
	}
	return nil
}

// elements reads the array of items.
func (d *jobDocument) elements() error {
	if _, err := d.text.ReadToken(); err != nil {
		return syntaxOf(err)
	}
	for d.text.PeekKind() != jsontext.KindEndArray {
		raw, err := d.value()
		if err != nil {
			return err
		}
		d.items++
		if len(d.values.faults) > 0 {
			continue // the job is refused, but the rest must still be checked for JSON syntax
		}
		if err := d.add(d.item(raw)); err != nil {
			return err
		}
	}
	_, err := d.text.ReadToken()
	return syntaxOf(err)
}

func (d *jobDocument) item(raw jsontext.Value) revocation.Item {
	if len(raw) > maxElement {
		return revocation.Item{Invalid: rowSentence(rows.ErrLong)}
	}
	if d.list == listItems {
		return itemOf(decodeItem(raw))
	}
	var one decoder
	one.reportID(raw)
	return itemOf(one.body, one.faults, nil)
}
