package revocation

import (
	"regexp"
	"strings"
	"time"
)

var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$`)

// ParseTime parses a time in the format of RFC 3339 and nothing else. time.Parse also accepts hours of one digit and
// fractions after a comma, and refuses the t and z in small letters that RFC 3339, 5.6 allows.
func ParseTime(s string) (t time.Time, ok bool) {
	if !rfc3339.MatchString(s) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, strings.ToUpper(s))
	return t, err == nil
}
