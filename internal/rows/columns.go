package rows

import (
	"slices"
	"strings"
	"unicode"
)

const (
	// maxName is how many characters of a column's name are shown at most.
	maxName = 64
	// maxIgnored is how many names of ignored columns are kept at most.
	maxIgnored = 50
)

// columns has the place of each known column in the header; -1 for one that is missing.
type columns struct {
	places []int
	width  int
}

// normal returns a column's name in the form in which names are compared: in lower case, without spaces, hyphens and
// underscores.
func normal(name string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || unicode.In(c, unicode.Pd, unicode.Cf, unicode.Cc) || c == '_' {
			return -1
		}
		return unicode.ToLower(c)
	}, name)
}

// findColumns finds the known columns in a header. twice is the name of a column that occurs more than once.
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

// found returns the number of known columns in the header.
func (c columns) found() (n int) {
	for _, place := range c.places {
		if place >= 0 {
			n++
		}
	}
	return n
}

// fit returns how likely a record is the header. A record with the first known column has the highest values; then the
// number of known columns counts, then the number of cells.
func fit(header, known []string) int {
	c, _ := findColumns(header, known)
	n := c.found()*(MaxRow+2) + len(header)
	if c.places[0] >= 0 {
		n += (len(known) + 1) * (MaxRow + 2)
	}
	return n
}

// ShownName returns the name of a column or a sheet in a form that is safe to show: one line of at most 64 characters,
// without characters that change the direction of writing.
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

// nearest returns the column of a header that may be meant by a known name that is missing, or "".
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

// distance returns the Levenshtein distance of a and b in bytes. It is exact only if it is small.
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
