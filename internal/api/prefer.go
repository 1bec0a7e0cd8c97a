package api

import (
	"strconv"
	"strings"
	"time"
)

// maxWait bounds how long a request can ask to wait.
const maxWait = 30 * time.Second

// preference is what the Prefer headers of a request ask for, as far as it is known here (RFC 7240).
type preference struct {
	// async is respond-async.
	async bool
	// waits tells that wait was given; it is 0 to maxWait, in whole seconds.
	waits bool
	wait  time.Duration
}

// parsePrefer reads the Prefer headers. What it does not know, or cannot read, it passes over; of the same
// preference twice, the first counts.
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

// applied is the value of Preference-Applied; empty for none.
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

// cutUnquoted cuts s at the first separator that does not stand inside a quoted string.
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

// wholeSeconds reads digits and nothing else; ok is false for other values.
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
