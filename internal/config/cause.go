package config

import (
	"net/mail"
	"net/url"
	"strings"
)

// causeEncode describes the most likely fault of a URL with a password that cannot be parsed.
const causeEncode = "has a user or password with a character that must be percent-encoded (# as %23, / as %2F, ? as %3F, % as %25)"

// notEncoded reports whether the user or the password of a URL seems to contain a character that must be percent-encoded
// and is not. Such a character ends the part of the URL with the host, so the @ before the host comes after that part.
func notEncoded(value string) bool {
	scheme, rest, found := strings.Cut(value, "://")
	if !found || scheme == "file" {
		return false
	}
	authority, after := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, after = rest[:end], rest[end:]
	}
	if before, _, found := strings.Cut(after, "@"); found {
		// The value of a parameter may contain an @.
		if _, parameters, query := strings.Cut(before, "?"); !query || !strings.Contains(parameters, "=") || strings.Contains(before, "#") {
			return true
		}
	}
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return false
	}
	_, err := url.Parse("x://" + authority[:at] + "@host")
	return err != nil
}

// notQuoted reports whether value would be a valid sender if its display name were quoted.
func notQuoted(value string) bool {
	at := strings.LastIndexByte(value, '<')
	if at <= 0 {
		return false
	}
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(strings.TrimSpace(value[:at]))
	_, err := mail.ParseAddress(`"` + quoted + `" ` + value[at:])
	return err == nil
}
