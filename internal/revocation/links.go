package revocation

import "regexp"

// WithoutLinks returns a single line of text with a space in everything that a mail program might link: addresses of web
// pages, mailboxes and the like. Anyone may have written a name, and the recipient trusts the mail that shows it. The
// text stays readable. Other text, such as initials and version numbers, does not change.
func WithoutLinks(s string) string {
	for _, address := range spacedAddresses {
		// Two addresses may share a character, so one pass would miss every second one.
		for again := true; again; {
			spaced := address.ReplaceAllString(s, "$1 $2")
			again = spaced != s
			s = spaced
		}
	}
	return s
}

// HasLink reports whether a text has a part that a mail program might link as the address of a web page or a mailbox. It
// is true of what WithoutLinks changes, except for a colon inside of a word, as in the German "Bewerber:innen".
func HasLink(s string) bool {
	for _, address := range messageAddresses {
		if address.MatchString(s) {
			return true
		}
	}
	return false
}

// Each expression has two groups. A space between them makes sure that the match is not an address. Invisible
// characters (Cf) are ignored, because some programs remove them.
const (
	// https://host, mailto:someone: a scheme, its colon and more.
	scheme = `(\pL\p{Cf}*[:：])(\p{Cf}*[^\s\p{Cf}])`
	// The same for a colon that does not divide a word: what follows has a character that is in addresses and in no word.
	schemeOfAddress = `(\pL\p{Cf}*[:：])(\S*[/\\@＠?=&+#%(])`
	// \\server\share.
	share = `(\\\p{Cf}*)(\\)`
	// someone@host.
	mailbox = `([^\s\p{Cf}]\p{Cf}*[@＠])(\p{Cf}*[^\s\p{Cf}])`
	// www.host, host.com, and the same with the other dots that separate the labels of a name (RFC 3490, section 3.1): a
	// dot, and behind it a label that a domain can end with, of two characters or more that are not all digits.
	host = `([\pL\pN\pM_-]\p{Cf}*[.․。﹒．｡])(\p{Cf}*[\pN\p{Cf}_-]*(?:\pL[\p{Cf}\pM]*[\pL\pN_-]|[\pN_-][\p{Cf}\pM]*\pL))`
	// 192.0.2.1: the second dot of three between numbers.
	numbers = `(\d\.\d+\.)(\d+\.\d)`
)

var (
	spacedAddresses  = compileAll(scheme, share, mailbox, host, numbers)
	messageAddresses = compileAll(schemeOfAddress, share, mailbox, host, numbers)
)

func compileAll(expressions ...string) []*regexp.Regexp {
	all := make([]*regexp.Regexp, len(expressions))
	for i, expression := range expressions {
		all[i] = regexp.MustCompile(expression)
	}
	return all
}
