package main

import (
	"errors"
	"maps"
	"slices"
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

// notEmpty returns an error if one of the flags was given without a text. A script whose variable is empty would otherwise select
// more than it means to.
func notEmpty(flags map[string]*string) error {
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if text := flags[name]; text != nil && strings.TrimSpace(*text) == "" {
			return errors.New(name + " is empty: give it a value, or leave it out")
		}
	}
	return nil
}
