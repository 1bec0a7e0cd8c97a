package api

import (
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"rescind/internal/revocation"
	"rescind/internal/rows"
)

// readNDJSON reads a submission a line.
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
			item = itemOf(decodeSubmission(line))
		}
		if err := add(item); err != nil {
			return err
		}
	}
}

// readCSV reads a table whose first row names its columns.
func readCSV(body io.Reader, add func(revocation.Item) error) error {
	records := rows.NewCSV(body)
	header, err := records.Next()
	if unreadable, ok := errors.AsType[rows.Error](err); ok {
		return invalid(fault{"report_id", "required", "The header row cannot be read: " + unreadable.Error() + "."})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	columns, faults := findColumns(header)
	if len(faults) > 0 {
		return invalid(faults...)
	}
	for {
		cells, err := records.Next()
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
			item = columns.item(cells)
		}
		if err := add(item); err != nil {
			return err
		}
	}
}

// rowSentence says of a row why it cannot be read as such.
func rowSentence(err rows.Error) string {
	if err == rows.ErrLong {
		return "The row is longer than 64 KiB."
	}
	return "The row cannot be read: " + err.Error() + "."
}

// columns are the places of those that are known; a place below 0 is that of a column which is not there.
type columns struct {
	reportID, notify, clientReference int
	// width is how many columns there are in all.
	width int
}

func findColumns(header []string) (columns, []fault) {
	c := columns{-1, -1, -1, len(header)}
	var d decoder
	for i, name := range header {
		var place *int
		switch name {
		case "report_id":
			place = &c.reportID
		case "notify_candidate":
			place = &c.notify
		case "client_reference":
			place = &c.clientReference
		default:
			continue
		}
		if *place >= 0 {
			d.fault(name, "duplicate_field", "The header row names "+name+" more than once.")
		}
		*place = i
	}
	if c.reportID < 0 {
		d.fault("report_id", "required", "The first row must be a header that names the column report_id.")
	}
	return c, d.faults
}

// item reads a row. A row that is shorter or longer than the header would have to be guessed at: where cells are
// missing or too many, others may stand in the wrong place.
func (c columns) item(cells []string) revocation.Item {
	if len(cells) <= max(c.reportID, c.notify, c.clientReference) {
		return revocation.Item{Invalid: "The row has fewer cells than the header."}
	}
	if len(cells) > c.width && strings.Join(cells[c.width:], "") != "" {
		return revocation.Item{Invalid: "The row has more cells than the header."}
	}
	var d decoder
	d.reportIDCell(cells[c.reportID])
	if c.notify >= 0 {
		switch cell := cells[c.notify]; cell {
		case "":
		case "true", "false":
			d.notify([]byte(cell))
		default:
			d.fault("notify_candidate", "wrong_type", "notify_candidate must be true or false, or empty.")
		}
	}
	if c.clientReference >= 0 {
		d.clientReferenceCell(cells[c.clientReference])
	}
	return itemOf(d.body, d.faults, nil)
}

func (d *decoder) reportIDCell(cell string) {
	digits := strings.TrimPrefix(cell, "-")
	switch {
	case cell == "":
		d.fault("report_id", "required", "report_id is needed.")
	case strings.Trim(digits, "0123456789") != "" || digits == "":
		d.fault("report_id", "wrong_type", "report_id must be an integer, in digits alone.")
	default:
		d.reportID([]byte(cell))
	}
}

func (d *decoder) clientReferenceCell(cell string) {
	switch {
	case cell == "":
	case !utf8.ValidString(cell) || strings.IndexByte(cell, 0) >= 0:
		d.fault("client_reference", "invalid_characters", "client_reference must be UTF-8 without NUL.")
	case utf8.RuneCountInString(cell) > maxText:
		d.fault("client_reference", "too_long", "client_reference must have at most 255 characters.")
	default:
		kept := strings.Clone(cell) // or it would keep the whole row in memory
		d.body.clientReference = &kept
	}
}

// itemOf makes an item of what a decoder says of an element or a row.
func itemOf(body submissionBody, faults []fault, err error) revocation.Item {
	if malformed, ok := errors.AsType[syntaxError](err); ok {
		return revocation.Item{Invalid: rowSyntax[malformed]}
	}
	if len(faults) > 0 {
		return revocation.Item{ClientReference: body.clientReference, Invalid: sentences(faults)}
	}
	item := revocation.Item{ReportID: body.reportID, ClientReference: body.clientReference}
	if body.saysNotify {
		item.Notify = &body.notify
	}
	return item
}

// rowSyntax says of a row what syntaxErrors say of a body.
var rowSyntax = map[syntaxError]string{
	errSyntax: "The row is not valid JSON, or is nested too deep.",
	errUTF8:   "The row is not valid UTF-8.",
	errSecond: "The row goes on after its first JSON value.",
}

// maxSentences bounds what is kept of a row that is wrong all over.
const maxSentences = 4

// sentences tell all faults of a row, each with the name of its field.
func sentences(faults []fault) string {
	var b strings.Builder
	for i, f := range faults {
		switch {
		case i == maxSentences:
			return b.String() + " There is more."
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
