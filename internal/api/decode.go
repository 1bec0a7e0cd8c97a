package api

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// submissionBody holds the values of one submission, read and checked.
type submissionBody struct {
	reportID int64
	notify   bool
	// hasNotify reports whether notify was sent and is not the default.
	hasNotify        bool
	clientReference  *string
	reason           *string
	candidateMessage *string
	notBefore        time.Time // zero for none
}

const (
	// maxText is the largest length of a client reference, a reason or a label, in characters.
	maxText = 255
	// maxFaults is the largest number of faults in one problem.
	maxFaults = 64
	// otherName replaces a member's name that a response must not repeat, because it could hold anything.
	otherName = "(other)"
	// byteOrderMark may stand before any text. RFC 8259, section 8.1, allows a reader to ignore it.
	byteOrderMark = "\ufeff"
)

// shownName returns name if a response may repeat it, and otherName if not.
func shownName(name string) string {
	if plain(name, 64) {
		return name
	}
	return otherName
}

// syntaxError is a sentence on why a text is not JSON. It holds nothing of the text.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

const (
	errSyntax syntaxError = "The body is not valid JSON, or is nested too deep."
	errEmpty  syntaxError = "The body is empty."
	errUTF8   syntaxError = "The body is not valid UTF-8."
	errSecond syntaxError = "The body continues after its first JSON value."
)

// jsonOptions leave two checks to this package. It reports a repeated member by its name, and invalid UTF-8 in a value
// apart from an escaped half of a surrogate pair, which is JSON but not text.
var jsonOptions = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// jsonReader is a jsontext.Decoder with its input, made once and used for many texts.
type jsonReader struct {
	jsontext.Decoder
	input bytes.Buffer
}

var jsonReaders = sync.Pool{New: func() any { return new(jsonReader) }}

// decoder collects the values of a submission and everything that is wrong with them. It accepts no unknown member, no
// repeated one, and no value that only resembles the right type.
type decoder struct {
	body   submissionBody
	seen   struct{ reportID, notify, clientReference, reason, candidateMessage, notBefore bool }
	faults []fault
	// item reports whether the members are those of an item of a job.
	item bool
}

// decodeSubmission reads one submission. The error is a syntaxError if text is not exactly one JSON value in UTF-8.
// With faults, only the texts of the body may be used; a text with a fault is nil.
func decodeSubmission(text []byte) (submissionBody, []fault, error) {
	return decode(text, decoder{})
}

// decodeItem is decodeSubmission for an item of a job, which has fewer members.
func decodeItem(text []byte) (submissionBody, []fault, error) {
	return decode(text, decoder{item: true})
}

func decode(text []byte, d decoder) (submissionBody, []fault, error) {
	isObject, err := readDocument(text, d.member)
	switch {
	case err != nil:
		return submissionBody{}, nil, err
	case !isObject:
		d.faults = append(d.faults, notAnObject)
	case !d.seen.reportID:
		d.fault("report_id", "required", "report_id is needed.")
	}
	return d.body, d.faults, nil
}

// notAnObject is the fault of a body that is another JSON value.
var notAnObject = fault{"body", "wrong_type", "The body must be a JSON object."}

// readDocument reads a text that must be one JSON object, and calls member as readObject does. isObject is false for another
// JSON value. The error is a syntaxError if text is not exactly one JSON value in UTF-8.
func readDocument(text []byte, member func(text *jsontext.Decoder, name string) error) (isObject bool, err error) {
	if !utf8.Valid(text) {
		return false, errUTF8
	}
	r := jsonReaders.Get().(*jsonReader)
	defer jsonReaders.Put(r)
	r.input = *bytes.NewBuffer(text)
	r.Reset(&r.input, jsonOptions...)
	if isObject = r.PeekKind() == jsontext.KindBeginObject; isObject {
		err = readObject(&r.Decoder, member)
	} else if err = r.SkipValue(); errors.Is(err, io.EOF) {
		err = errEmpty
	} else if err != nil {
		err = errSyntax
	}
	if err == nil {
		err = atEnd(&r.Decoder)
	}
	return isObject, err
}

// readObject reads an object. It calls member with each name, and member must read the value. The error of member ends
// it and is returned as it is; another is errSyntax or comes from the input.
func readObject(text *jsontext.Decoder, member func(text *jsontext.Decoder, name string) error) error {
	if _, err := text.ReadToken(); err != nil {
		return syntaxOf(err)
	}
	for text.PeekKind() != jsontext.KindEndObject {
		raw, err := text.ReadValue()
		if err != nil {
			return syntaxOf(err)
		}
		if !utf8.Valid(raw) {
			return errUTF8
		}
		if err := member(text, memberName(raw)); err != nil {
			return err
		}
	}
	_, err := text.ReadToken()
	return syntaxOf(err)
}

// memberName returns the name that raw quotes, and otherName for one that is not text.
func memberName(raw jsontext.Value) string {
	name, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return otherName
	}
	return string(name)
}

// atEnd returns errSecond unless only white space follows.
func atEnd(text *jsontext.Decoder) error {
	switch _, err := text.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil, isSyntax(err):
		return errSecond
	default:
		return err
	}
}

// isSyntax reports whether err means that the text is not JSON. Other errors come from the input.
func isSyntax(err error) bool {
	_, ok := errors.AsType[*jsontext.SyntacticError](err)
	return ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// syntaxOf returns errSyntax for an error of the text, and others as they are.
func syntaxOf(err error) error {
	if err != nil && isSyntax(err) {
		return errSyntax
	}
	return err
}

func (d *decoder) member(text *jsontext.Decoder, name string) error {
	raw, err := text.ReadValue()
	if err != nil {
		return syntaxOf(err)
	}
	switch {
	case name == "report_id":
		if d.first(&d.seen.reportID, name) {
			d.reportID(raw)
		}
	case name == "notify_candidate":
		if d.first(&d.seen.notify, name) {
			d.notify(raw)
		}
	case name == "client_reference":
		if d.first(&d.seen.clientReference, name) {
			d.body.clientReference = d.shortText(name, raw)
		}
	case name == "reason":
		if d.first(&d.seen.reason, name) {
			d.body.reason = d.shortText(name, raw)
		}
	case name == "candidate_message" && !d.item:
		if d.first(&d.seen.candidateMessage, name) {
			d.body.candidateMessage = d.message(name, raw)
		}
	case name == "not_before" && !d.item:
		if d.first(&d.seen.notBefore, name) {
			d.notBefore(name, raw)
		}
	default:
		d.fault(shownName(name), "unknown_field", "There is no such member.")
	}
	return nil
}

func (d *decoder) first(seen *bool, name string) bool {
	if *seen {
		d.fault(name, "duplicate_field", name+" is given more than once.")
		return false
	}
	*seen = true
	return true
}

// reportID reads a JSON value, or the digits of a cell with or without a minus sign.
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

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (d *decoder) notify(raw []byte) {
	switch raw[0] {
	case 't', 'f':
		d.body.notify, d.body.hasNotify = raw[0] == 't', true
	default:
		d.fault("notify_candidate", "wrong_type", "notify_candidate must be true or false.")
	}
}

// fault adds a fault, unless the decoder has an equal one already.
func (d *decoder) fault(field, code, detail string) {
	f := fault{Field: field, Code: code, Detail: detail}
	if len(d.faults) < maxFaults && !slices.Contains(d.faults, f) {
		d.faults = append(d.faults, f)
	}
}
