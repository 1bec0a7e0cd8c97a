package mail

import "regexp"

// withoutLinks puts a space into whatever a mail program might take for the address of a web page, a mailbox or another
// thing to open, in a single line of text. A name is written by strangers, and the mail that shows it is trusted. The
// text stays readable; what is no address, such as initials and version numbers, stays as it is.
func withoutLinks(s string) string {
	for _, address := range addresses {
		// Two of them may share a character, so that one pass would miss every second one.
		for again := true; again; {
			spaced := address.ReplaceAllString(s, "$1 $2")
			again = spaced != s
			s = spaced
		}
	}
	return s
}

// Each splits an address in two where one space makes it none. Invisible characters (Cf) count for nothing, because some
// programs drop them.
var addresses = compileAll(
	// https://host, mailto:someone: a scheme, its colon and more.
	`(\pL\p{Cf}*[:：])(\p{Cf}*[^\s\p{Cf}])`,
	// \\server\share.
	`(\\\p{Cf}*)(\\)`,
	// someone@host.
	`([^\s\p{Cf}]\p{Cf}*[@＠])(\p{Cf}*[^\s\p{Cf}])`,
	// www.host, host.com, and the same with the other dots that separate the labels of a name (RFC 3490, section 3.1): a
	// dot, and behind it a label that a domain can end with, of two characters or more that are not all digits.
	`([\pL\pN\pM_-]\p{Cf}*[.․。﹒．｡])(\p{Cf}*[\pN\p{Cf}_-]*(?:\pL[\p{Cf}\pM]*[\pL\pN_-]|[\pN_-][\p{Cf}\pM]*\pL))`,
	// 192.0.2.1: the second dot of three between numbers.
	`(\d\.\d+\.)(\d+\.\d)`,
)

func compileAll(expressions ...string) []*regexp.Regexp {
	all := make([]*regexp.Regexp, len(expressions))
	for i, expression := range expressions {
		all[i] = regexp.MustCompile(expression)
	}
	return all
}
