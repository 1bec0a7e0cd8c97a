package main

import (
	"strings"
	"unicode"
)

// printable makes text from other sources safe to print. It replaces control characters, including line breaks, and marks
// that change the direction of text by spaces.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

// sentence adds a full stop unless the text is empty or has one.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}
