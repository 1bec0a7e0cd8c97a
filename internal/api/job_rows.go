package api

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"rescind/internal/revocation"
	"rescind/internal/rows"
)

// readNDJSON reads one item from each line that is not blank, and calls add with it. It returns add's errors
// unchanged.
func readNDJSON(body io.Reader, add func(revocation.Item) error) error {
	lines := rows.NewLines(body)
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		unreadable, ok := errors.AsType[rows.Error](err)
		if err != nil && !ok {
			return err
		}
		var item revocation.Item
		if ok {
			item.Invalid = rowSentence(unreadable)
		} else {
			item = itemOf(decodeItem(line))
		}
		if item.Invalid != "" {
			item.Invalid = "Line " + strconv.Itoa(lines.Line()) + ": " + item.Invalid
		}
		if err := add(item); err != nil {
			return err
		}
	}
}

// rowSentence describes why a row cannot be read.
func rowSentence(err rows.Error) string {
	switch err {
	case rows.ErrLong:
		return "The row is longer than 64 KiB."
	case rows.ErrWide:
		return "The row has more cells than the header."
	}
	return "The row cannot be read: " + err.Error() + "."
}

// itemOf returns the item for the decoded values and faults of an element or a row.
func itemOf(body submissionBody, faults []fault, err error) revocation.Item {
	if malformed, ok := errors.AsType[syntaxError](err); ok {
		return revocation.Item{Invalid: rowSyntax[malformed]}
	}
	if len(faults) > 0 {
		return revocation.Item{ClientReference: body.clientReference, Reason: body.reason, Invalid: sentences(faults)}
	}
	item := revocation.Item{ReportID: body.reportID, ClientReference: body.clientReference, Reason: body.reason}
	if body.hasNotify {
		item.Notify = &body.notify
	}
	return item
}

// rowSyntax maps the syntax errors, which describe a body, to sentences about a row.
var rowSyntax = map[syntaxError]string{
	errSyntax: "The row is not valid JSON, or is nested too deep.",
	errUTF8:   "The row is not valid UTF-8.",
	errSecond: "The row continues after its first JSON value.",
}

// maxSentences bounds the number of faults in the message of an INVALID row.
const maxSentences = 4

// sentences describes the faults of a row, each with the name of its field.
func sentences(faults []fault) string {
	var b strings.Builder
	for i, f := range faults {
		switch {
		case i == maxSentences:
			return b.String() + " There are more faults."
		case i > 0:
			b.WriteByte(' ')
		}
		switch {
		case f.Field == "body":
			b.WriteString("It must be a JSON object.")
		case strings.HasPrefix(f.Detail, f.Field):
			b.WriteString(f.Detail)
		default:
			b.WriteString(f.Field + ": " + f.Detail)
		}
	}
	return b.String()
}
