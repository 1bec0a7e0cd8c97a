package revocation

import (
	"regexp"
	"time"
)

var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`)

// ParseTime takes a time as RFC 3339 writes it, to the letter: the standard library also takes hours of one
// digit and fractions after a comma.
func ParseTime(s string) (t time.Time, ok bool) {
	if !rfc3339.MatchString(s) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, s)
	return t, err == nil
}
