package api

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"rescind/internal/revocation"
)

// resultColumns is the header row of a job's results as CSV (RFC 4180).
const resultColumns = "row,id,report_id,client_reference,status,message,timestamp,attempts,notification\r\n"

// appendResultRow appends an item as a row of CSV; a value that is not there is an empty cell.
func appendResultRow(b []byte, r *revocation.Revocation) []byte {
	b = strconv.AppendInt(b, int64(r.ID.Row()), 10)
	b = append(b, ',')
	b = append(b, r.ID.String()...)
	b = append(b, ',')
	if r.Status != revocation.StatusInvalid {
		b = strconv.AppendInt(b, r.ReportID, 10)
	}
	b = append(b, ',')
	if r.ClientReference != nil {
		b = appendCell(b, *r.ClientReference)
	}
	b = append(b, ',')
	b = append(b, r.Status...)
	b = append(b, ',')
	b = appendCell(b, r.Message())
	b = append(b, ',')
	b = appendCell(b, r.Timestamp)
	b = append(b, ',')
	b = strconv.AppendInt(b, int64(r.Attempts), 10)
	b = append(b, ',')
	b = append(b, r.Notification.Status...)
	return append(b, '\r', '\n')
}

// appendCell appends a text that came from elsewhere: defused, and between quotes where CSV asks for them or
// a reader might trim it.
func appendCell(b []byte, s string) []byte {
	quoted := strings.ContainsAny(s, "\",\r\n") || s != strings.TrimSpace(s)
	if quoted {
		b = append(b, '"')
	}
	if runsAsFormula(s) {
		b = append(b, '\'')
	}
	if !quoted {
		return append(b, s...)
	}
	for i := range len(s) {
		if s[i] == '"' {
			b = append(b, '"')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// runsAsFormula tells whether a spreadsheet may take the cell for a formula: by its first character, those
// passed over that spreadsheets may drop. An apostrophe before it makes it text. Since apostrophes are passed
// over too, whoever knows that can undo it without a doubt: where a cell is an apostrophe and a text that runs as
// a formula, the apostrophe is ours.
func runsAsFormula(s string) bool {
	s = strings.TrimLeftFunc(s, func(c rune) bool {
		return c == '\'' || c == '"' || unicode.In(c, unicode.Zs, unicode.Cf)
	})
	first, _ := utf8.DecodeRuneInString(s)
	return s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first)
}
