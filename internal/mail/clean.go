package mail

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"rescind/internal/revocation"
)

const (
	// maxName bounds the names of candidates, assessments and companies, in characters.
	maxName = 200
	// maxAddress is the longest address that SMTP can carry (RFC 5321, section 4.5.3.1.3).
	maxAddress = 254
	// maxNote bounds the message to a candidate, in characters.
	maxNote = 1000
	// maxSubject leaves room for a name and a sentence around it.
	maxSubject = maxName + 100
)

// clean returns untrusted text as one line: it replaces line breaks and other control characters by spaces, removes
// characters that override the direction of the text around them, and cuts the text to limit characters.
func clean(s string, limit int) string { return cut(oneLine(s), limit) }

// cleanName is clean for a name. The result has at most maxName characters and no address that mail programs link.
func cleanName(s string) string { return cut(revocation.WithoutLinks(oneLine(s)), maxName) }

// cleanNote is clean for a text of several lines. It keeps line breaks and links: the API decides about links when it accepts
// the text.
func cleanNote(s string) note {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = oneLine(line)
	}
	return note(strings.TrimSpace(cut(strings.Join(lines, "\n"), maxNote)))
}

func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return ' '
		case unicode.Is(unicode.Bidi_Control, r) && r != leftToRightMark && r != rightToLeftMark && r != arabicLetterMark:
			return -1
		}
		return r // U+FFFD for an invalid byte
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

func cut(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:limit-1])) + "…"
}

// The marks that right-to-left names need. They affect only the characters beside them.
const (
	leftToRightMark  = '\u200e'
	rightToLeftMark  = '\u200f'
	arabicLetterMark = '\u061c'
)

// inHeader changes s so that no part of it is an encoded word (RFC 2047), which could decode to any text.
func inHeader(s string) string { return strings.ReplaceAll(s, "=?", "= ?") }
