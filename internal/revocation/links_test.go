package revocation_test

import (
	"strings"
	"testing"

	"rescind/internal/revocation"
)

func TestHasLink(t *testing.T) {
	for text, want := range map[string]bool{
		"See https://evil.example/x":      true,
		"HTTP://EVIL":                     true,
		"www.evil.example":                true,
		"evil.com":                        true,
		"first line\nevil.com\nlast line": true,
		"write to ada@evil":               true,
		"mailto:ada@evil":                 true,
		"javascript:alert(1)":             true,
		"tel:+49301234":                   true,
		`\\evil\share`:                    true,
		"http://192.0.2.1/x":              true,
		"192.0.2.1":                       true,
		"evil。com":                        true,
		"evil.\u200bcom":                  true,
		"https\u200b:\u200b//evil":        true,
		"пример.рф":                       true,
		"ｅｖｉｌ．ｃｏｍ":                        true,

		"":                                      false,
		"Thank you.\nYour invite has ended.":    false,
		"Liebe Bewerber:innen, vielen Dank!":    false,
		"Note: the interview is at 10:30 (CET)": false,
		"Python 3.12, J.R.R. Tolkien, z.B.":     false,
		"Thanks ...\r\n- The team":              false,
		"50 % of 3/4 & more + x = y? #1":        false,
	} {
		if got := revocation.HasLink(text); got != want {
			t.Errorf("HasLink(%q) = %v, want %v", text, got, want)
		}
		// A name with a link is spaced, so the two definitions agree in that direction.
		if line := strings.ReplaceAll(text, "\n", " "); want && revocation.WithoutLinks(line) == line {
			t.Errorf("WithoutLinks leaves %q as it is", line)
		}
	}
}
