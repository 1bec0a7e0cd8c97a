package rows

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// AppendCell appends s to b as a cell of CSV (RFC 4180). The cell is always between quotes, so that no reader trims
// it, and no spreadsheet runs any part of it as a formula.
//
// An apostrophe makes a cell a text. AppendCell writes one before s when s begins with a sign that starts a formula
// (=, +, -, @, and their full-width forms), or with a control character, a tab or a line break; white space,
// invisible characters and quotes before the sign do not count. Some spreadsheets split at a semicolon, a tab or a
// vertical bar instead of a comma. For them the quotes stand inside a cell and do not protect it, and a line break
// begins a row. So AppendCell writes an apostrophe after each of these characters too, where a formula follows.
//
// A reader can undo this without loss: an apostrophe was added exactly where one stands at such a place and what
// follows it would get an apostrophe.
func AppendCell(b []byte, s string) []byte {
	b = append(b, '"')
	for first := true; ; first = false {
		part, separator := s, 0
		if at := strings.IndexFunc(s, separates); at >= 0 {
			_, separator = utf8.DecodeRuneInString(s[at:])
			part = s[:at+separator]
		}
		if runs(part, first) {
			b = append(b, '\'')
		}
		b = appendDoubled(b, part)
		if separator == 0 {
			return append(b, '"')
		}
		s = s[len(part):]
	}
}

// separates reports whether some spreadsheet may begin a cell after c, although c stands between quotes. A comma is
// not among them: a program that splits at commas understands the quotes.
func separates(c rune) bool {
	switch c {
	case ';', '|', '\t', '\n', '\v', '\f', '\r', '\u0085', '\u2028', '\u2029':
		return true
	}
	return false
}

// runs reports whether a spreadsheet may take a cell that begins with s for a formula. At the beginning of a text
// a control character is enough, because some spreadsheets drop it with more than itself.
func runs(s string, first bool) bool {
	for _, c := range s {
		switch {
		case strings.ContainsRune("=+-@＝＋－＠", c):
			return true
		case unicode.In(c, unicode.Cc, unicode.Zl, unicode.Zp):
			if first {
				return true
			}
		case !unicode.In(c, unicode.Quotation_Mark, unicode.White_Space, unicode.Cf, unicode.Zs):
			return false
		}
	}
	return false
}

// appendDoubled appends s with each of its quotes doubled.
func appendDoubled(b []byte, s string) []byte {
	for {
		at := strings.IndexByte(s, '"')
		if at < 0 {
			return append(b, s...)
		}
		b = append(b, s[:at+1]...)
		b = append(b, '"')
		s = s[at+1:]
	}
}
