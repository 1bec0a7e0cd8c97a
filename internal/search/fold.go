// Package search finds invites by texts. It folds texts, so that they compare without case, and makes the statements that
// read a page. Both stores run the same statements.
package search

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// maxFolded bounds a folded text, in bytes. An index of PostgreSQL takes no longer ones. Only texts of more than 500
// characters can be longer.
const maxFolded = 2400

// Fold returns the form of a text in which it is compared: two texts have the same form if they differ in case only, or in
// how characters are composed (Unicode, canonical caseless matching, in form C). White space around a text does not count:
// people copy addresses with it, and no import stores it. Of a text with a long form, Fold returns the first 2,400 bytes.
func Fold(s string) string {
	s = strings.TrimSpace(s)
	if isASCII(s) {
		s = strings.ToLower(s)
	} else {
		s = norm.NFC.String(cases.Fold().String(norm.NFD.String(s)))
	}
	if len(s) <= maxFolded {
		return s
	}
	end := maxFolded
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// above returns the smallest text that is above all texts that begin with prefix, by bytes. ok is false if there is none.
func above(prefix string) (text string, ok bool) {
	for prefix != "" {
		last, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch last {
		case utf8.MaxRune:
			continue
		case surrogates - 1:
			last = afterSurrogates
		default:
			last++
		}
		return prefix + string(last), true
	}
	return "", false
}

// The code points from surrogates to afterSurrogates are no characters.
const (
	surrogates      = 0xD800
	afterSurrogates = 0xE000
)
