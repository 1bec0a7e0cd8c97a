package main

import (
	"strings"
	"unicode"
)

// printable makes text from elsewhere safe to print: control characters, line breaks among them, and marks that
// turn the direction of writing become spaces.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

// sentence ends a text as a sentence ends.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}
