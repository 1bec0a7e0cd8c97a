package rows

import (
	"slices"
	"strings"
	"unicode"
)

const (
	// maxName is how many characters of a column's name are shown.
	maxName = 64
	// maxIgnored is how many names of columns that are ignored are kept.
	maxIgnored = 50
)

// columns are the places of the columns that are known; below 0 for one that is not there.
type columns struct {
	places []int
	width  int
}

// normal is a column's name as names are compared: in lower case, without spaces, hyphens and underscores.
func normal(name string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || unicode.In(c, unicode.Pd, unicode.Cf, unicode.Cc) || c == '_' {
			return -1
		}
		return unicode.ToLower(c)
	}, name)
}

// findColumns finds the known columns in a header. twice is the name of a column that is there more than once.
func findColumns(header, known []string) (c columns, twice string) {
	c = columns{places: make([]int, len(known)), width: len(header)}
	for i := range c.places {
		c.places[i] = -1
	}
	for place, name := range header {
		name = normal(name)
		if i := slices.IndexFunc(known, func(k string) bool { return normal(k) == name }); i >= 0 {
			if c.places[i] >= 0 {
				twice = known[i]
			}
			c.places[i] = place
		}
	}
	return c, twice
}

// found is the number of known columns that are there.
func (c columns) found() (n int) {
	for _, place := range c.places {
		if place >= 0 {
			n++
		}
	}
	return n
}

// fit says how well a header suits: whether the first of the known columns is there counts most, then how many
// are, then how many cells there are.
func fit(header, known []string) int {
	c, _ := findColumns(header, known)
	n := c.found()*(MaxRow+2) + len(header)
	if c.places[0] >= 0 {
		n += (len(known) + 1) * (MaxRow + 2)
	}
	return n
}

// ShownName is the name of a column or a sheet as it can be shown: in one line, without characters that turn the
// direction of writing, cut to 64 characters.
func ShownName(name string) string {
	name = strings.TrimSpace(strings.Map(func(c rune) rune {
		if c == unicode.ReplacementChar || !unicode.IsGraphic(c) || unicode.Is(unicode.Zs, c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(name, " ")))
	cut := []rune(name)
	return string(cut[:min(len(cut), maxName)])
}

// nearest is the column of a header that may be meant by a known name which is not there; empty for none.
func nearest(header []string, known string) string {
	known = normal(known)
	for _, name := range header {
		n := normal(name)
		part := len(n) > 1 && strings.Contains(known, n) || strings.Contains(n, strings.TrimSuffix(known, "id"))
		if part || n != "" && distance(n, known) <= 2 {
			return ShownName(name)
		}
	}
	return ""
}

// distance is the number of characters that differ, are missing or are too many (Levenshtein), if it is small.
func distance(a, b string) int {
	const far = 3
	if len(a) > len(b)+far || len(b) > len(a)+far {
		return far
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
