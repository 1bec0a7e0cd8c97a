package api

import (
	"strconv"
	"strings"
	"time"
)

// maxWait is the longest time that a request can ask to wait.
const maxWait = 30 * time.Second

// preference holds the supported preferences of a request's Prefer headers (RFC 7240).
type preference struct {
	// async reports whether respond-async was given.
	async bool
	// waits reports whether wait was given. wait is from 0 to maxWait, in whole seconds.
	waits bool
	wait  time.Duration
}

// parsePrefer parses the Prefer headers. It ignores unknown and malformed preferences. If a preference is repeated, the
// first one counts.
func parsePrefer(headers []string) (p preference) {
	for _, header := range headers {
		for header != "" {
			var one string
			one, header = cutUnquoted(header, ',')
			one, _ = cutUnquoted(one, ';')
			name, value, _ := strings.Cut(one, "=")
			name, value = strings.TrimSpace(name), unquoted(strings.TrimSpace(value))
			switch {
			case strings.EqualFold(name, "respond-async") && value == "":
				p.async = true
			case strings.EqualFold(name, "wait") && !p.waits:
				p.wait, p.waits = wholeSeconds(value)
			}
		}
	}
	return p
}

// applied returns the value of Preference-Applied, or "" for none.
func (p preference) applied() string {
	wait := ""
	if p.waits {
		wait = "wait=" + strconv.Itoa(int(p.wait/time.Second))
	}
	switch {
	case p.async && p.waits:
		return "respond-async, " + wait
	case p.async:
		return "respond-async"
	default:
		return wait
	}
}

// cutUnquoted cuts s at the first separator that is not inside a quoted string.
func cutUnquoted(s string, separator byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == separator && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func unquoted(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// wholeSeconds parses decimal digits as seconds, and returns at most maxWait; ok is false for other values.
func wholeSeconds(s string) (d time.Duration, ok bool) {
	if s == "" {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		d = min(d*10+time.Duration(c-'0')*time.Second, maxWait)
	}
	return d, true
}
