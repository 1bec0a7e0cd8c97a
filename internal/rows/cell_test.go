package rows_test

import (
	"encoding/csv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"rescind/internal/rows"
)

func TestAppendCell(t *testing.T) {
	for text, want := range map[string]string{
		"":             `""`,
		"plain":        `"plain"`,
		"a=1":          `"a=1"`,
		"é, 😀":         `"é, 😀"`,
		" ":            `" "`,
		`say "hi"`:     `"say ""hi"""`,
		"two\r\nlines": "\"two\r\nlines\"",
		"'plain":       `"'plain"`,
		"a;b|c\td":     "\"a;b|c\td\"",
		"\xff=1":       "\"\xff=1\"",

		"=1+1":             `"'=1+1"`,
		"+49 30":           `"'+49 30"`,
		"-5":               `"'-5"`,
		"@sum(a1)":         `"'@sum(a1)"`,
		"＝1":               `"'＝1"`,
		`=cmd|"/c x"!`:     `"'=cmd|""/c x""!"`,
		"\tx":              "\"'\tx\"",
		"\rx":              "\"'\rx\"",
		"\nx":              "\"'\nx\"",
		"  =1":             `"'  =1"`,
		`"=1"`:             `"'""=1"""`,
		"'=1":              `"''=1"`,
		` '" =1`:           `"' '"" =1"`,
		"\u201c=1":         "\"'\u201c=1\"",
		"\u00a0=1":         "\"'\u00a0=1\"",
		"\ufeff=1":         "\"'\ufeff=1\"",
		"\u3000=1":         "\"'\u3000=1\"",
		"\x00=1":           "\"'\x00=1\"",
		"\x1b\x7f=1":       "\"'\x1b\x7f=1\"",
		"\v=1":             "\"'\v'=1\"",
		"\f=1":             "\"'\f'=1\"",
		"\u0085=1":         "\"'\u0085'=1\"",
		"\u2028=1":         "\"'\u2028'=1\"",
		"\u2029=1":         "\"'\u2029'=1\"",
		"\t=1":             "\"'\t'=1\"",
		";=1":              `";'=1"`,
		"x;=cmd|'/c x'!A0": `"x;'=cmd|'/c x'!A0"`,
		"x\t=1+1":          "\"x\t'=1+1\"",
		"x|=1":             `"x|'=1"`,
		"x\n=1":            "\"x\n'=1\"",
		"x\r\n=1":          "\"x\r\n'=1\"",
		"x\u0085@1":        "\"x\u0085'@1\"",
		`x; "=1`:           `"x;' ""=1"`,
		"x;'=1":            `"x;''=1"`,
		"x;\x00=1":         "\"x;'\x00=1\"",
		"x;y;-1":           `"x;y;'-1"`,
	} {
		if got := string(rows.AppendCell([]byte("a,"), text)); got != "a,"+want {
			t.Errorf("%q is written %q, want %q", text, got, "a,"+want)
		}
	}
}

// TestAppendCell_anyText splits what is written at every character at which a spreadsheet may, and checks each cell
// as one that trims it does. It also undoes the apostrophes.
func TestAppendCell_anyText(t *testing.T) {
	const breaks = ";|\t\n\v\f\r\u0085\u2028\u2029"
	text := rapid.StringOf(rapid.OneOf(
		rapid.SampledFrom([]rune("=+-@＝＋－＠'\" \u00a0\u200b\ufeff\x00ax,“"+breaks)),
		rapid.Rune(),
	))
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "text")
		line := string(rows.AppendCell([]byte("1,"), s)) + ",2\r\n"
		records, err := csv.NewReader(strings.NewReader(line)).ReadAll()
		if err != nil || len(records) != 1 || len(records[0]) != 3 {
			t.Fatalf("%q is no cell: %v", line, err)
		}
		cell := strings.ReplaceAll(line[len(`1,"`):len(line)-len("\",2\r\n")], `""`, `"`)
		parts := strings.FieldsFunc(cell, func(c rune) bool { return strings.ContainsRune(breaks, c) })
		for _, part := range append(parts, cell) {
			if trimmed := strings.TrimFunc(part, ignored); strings.IndexFunc(trimmed, isSign) == 0 {
				t.Errorf("%q runs as a formula in %q", part, cell)
			}
		}
		if got := undone(cell, breaks); got != s {
			t.Errorf("%q is read back as %q", s, got)
		}
	})
}

// undone takes the apostrophes out that AppendCell has added.
func undone(cell, breaks string) string {
	var b strings.Builder
	for before := ""; cell != ""; before = "x;" {
		part := cell
		if at := strings.IndexAny(cell, breaks); at >= 0 {
			_, size := utf8.DecodeRuneInString(cell[at:])
			part = cell[:at+size]
		}
		cell = cell[len(part):]
		if rest, found := strings.CutPrefix(part, "'"); found {
			plain := len(`""`) + len(before+rest) + strings.Count(rest, `"`)
			if len(rows.AppendCell(nil, before+rest)) > plain {
				part = rest
			}
		}
		b.WriteString(part)
	}
	return b.String()
}

func isSign(c rune) bool { return strings.ContainsRune("=+-@＝＋－＠", c) }

// ignored are the characters that a spreadsheet may drop before a formula. An apostrophe is not among them.
func ignored(c rune) bool {
	return c == '"' || c == '“' || unicode.IsSpace(c) || unicode.In(c, unicode.Cc, unicode.Cf, unicode.Z)
}
