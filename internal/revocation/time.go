package revocation

import (
	"regexp"
	"time"
)

var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`)

// ParseTime parses a time in the format of RFC 3339 and nothing else. time.Parse also accepts hours of one digit and
// fractions after a comma.
func ParseTime(s string) (t time.Time, ok bool) {
	if !rfc3339.MatchString(s) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, s)
	return t, err == nil
}
