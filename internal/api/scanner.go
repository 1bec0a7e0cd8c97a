package api

import (
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxNesting is how deep a body's values may be nested. Nothing that is accepted comes near it.
const maxNesting = 64

// byteOrderMark may stand before JSON text, as some programs write it. It has no meaning and is skipped.
const byteOrderMark = "\ufeff"

// scanner walks over JSON text (RFC 8259) that is known to be valid UTF-8. Unlike encoding/json it leaves it
// to its caller to see each member's name, the ones that come twice too, and each value as it was written.
type scanner struct {
	text []byte
	at   int
}

// syntaxError is a sentence on why the text is not JSON. It says nothing of what the text holds.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

const (
	errSyntax  syntaxError = "The body is not valid JSON."
	errEmpty   syntaxError = "The body is empty."
	errUTF8    syntaxError = "The body is not valid UTF-8."
	errSecond  syntaxError = "The body goes on after its first JSON value."
	errNesting syntaxError = "The body's values are nested too deep."
)

// next skips white space and gives the byte after it, without taking it; 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take skips white space and then the byte c; false when another one stands there.
func (s *scanner) take(c byte) bool {
	if s.next() != c || s.at == len(s.text) {
		return false
	}
	s.at++
	return true
}

// value takes any value and gives it as it was written, without the space around it.
func (s *scanner) value(depth int) (raw []byte, err error) {
	c := s.next()
	start := s.at
	switch {
	case c == '{' || c == '[':
		if depth == maxNesting {
			return nil, errNesting
		}
		if c == '{' {
			err = s.object(func([]byte) error {
				_, err := s.value(depth + 1)
				return err
			})
		} else {
			err = s.array(depth + 1)
		}
	case c == '"':
		_, err = s.string()
	case c == '-' || isDigit(c):
		err = s.number()
	case c == 't':
		err = s.literal("true")
	case c == 'f':
		err = s.literal("false")
	case c == 'n':
		err = s.literal("null")
	default:
		err = errSyntax
	}
	return s.text[start:s.at], err
}

// object takes an object. For each member it calls member with the name as it was written between its
// quotes; member must take the value.
func (s *scanner) object(member func(name []byte) error) error {
	if !s.take('{') {
		return errSyntax
	}
	if s.take('}') {
		return nil
	}
	for {
		if s.next() != '"' {
			return errSyntax
		}
		name, err := s.string()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return errSyntax
		}
		if err := member(name); err != nil {
			return err
		}
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return errSyntax
		}
	}
}

func (s *scanner) array(depth int) error {
	s.at++ // the bracket
	if s.take(']') {
		return nil
	}
	for {
		if _, err := s.value(depth); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return errSyntax
		}
	}
}

// string takes a string and gives what stands between its quotes, escapes as they are.
func (s *scanner) string() (raw []byte, err error) {
	s.at++ // the quote
	start := s.at
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			raw = s.text[start:s.at]
			s.at++
			return raw, nil
		case c < ' ':
			return nil, errSyntax
		case c == '\\':
			if !s.escape() {
				return nil, errSyntax
			}
		default:
			s.at++
		}
	}
	return nil, errSyntax
}

func (s *scanner) escape() bool {
	s.at++ // the backslash
	if s.at == len(s.text) {
		return false
	}
	c := s.text[s.at]
	s.at++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		_, ok := hexUnit(s.text[s.at:])
		s.at = min(s.at+4, len(s.text))
		return ok
	default:
		return false
	}
}

// number takes a number by JSON's grammar: no leading zeros, no plus, digits on both sides of a point.
func (s *scanner) number() error {
	if s.text[s.at] == '-' {
		s.at++
	}
	if s.at < len(s.text) && s.text[s.at] == '0' {
		s.at++
	} else if !s.digits() {
		return errSyntax
	}
	if s.at < len(s.text) && s.text[s.at] == '.' {
		s.at++
		if !s.digits() {
			return errSyntax
		}
	}
	if s.at < len(s.text) && (s.text[s.at] == 'e' || s.text[s.at] == 'E') {
		s.at++
		if s.at < len(s.text) && (s.text[s.at] == '+' || s.text[s.at] == '-') {
			s.at++
		}
		if !s.digits() {
			return errSyntax
		}
	}
	return nil
}

// digits takes at least one.
func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.text) && isDigit(s.text[s.at]) {
		s.at++
	}
	return s.at > start
}

func (s *scanner) literal(word string) error {
	if len(s.text)-s.at < len(word) || string(s.text[s.at:s.at+len(word)]) != word {
		return errSyntax
	}
	s.at += len(word)
	return nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// hexUnit reads the four digits of a \u escape.
func hexUnit(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(b[:4]), 16, 16)
	return rune(unit), err == nil
}

// unescape gives the text of a string as scanner.string gave it. ok is false when it holds half of a
// surrogate pair, which no text can hold.
func unescape(raw []byte) (text string, ok bool) {
	if !slices.Contains(raw, '\\') {
		return string(raw), true
	}
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			b = append(b, raw[i])
			continue
		}
		i++
		switch c := raw[i]; c {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, _ := hexUnit(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				if i+2 >= len(raw) || raw[i+1] != '\\' || raw[i+2] != 'u' {
					return "", false
				}
				low, _ := hexUnit(raw[i+3:])
				i += 6
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					return "", false
				}
			}
			b = utf8.AppendRune(b, r)
		default: // the quote, the backslash and the slash stand for themselves
			b = append(b, c)
		}
	}
	return string(b), true
}
