package api

import (
	"errors"
	"io"
)

const (
	jsonBuffer = 32 << 10
	// maxElement bounds one value that a jsonStream gives, in bytes; it checks and passes over what is larger.
	maxElement = 64 << 10
	// hurried is how much a jsonStream still reads of a text that is lost.
	hurried = 64 << 10
)

var (
	errEnough = errors.New("enough was read of a text that is lost")
	// errSkipped is told of a value that is JSON but larger than maxElement, and was passed over.
	errSkipped = errors.New("a value is too large to be kept")
	// errLarge is told of a value that nobody can tell to be JSON.
	errLarge = errors.New("a value is nested too deep to be followed")
)

// jsonStream takes JSON text apart while it comes, as far as its brackets, commas and colons, and gives the
// values in between as they were written. Whether those are JSON is left to the scanner, but for what is too large
// for it.
type jsonStream struct {
	src     io.Reader
	buf     []byte
	at, end int
	err     error // of src
	// spare is how much may still be read; negative: all.
	spare int
	raw   []byte
	// large checks a value that is larger than raw may be; nil while it is not.
	large *jsonCheck
}

func newJSONStream(src io.Reader) *jsonStream {
	return &jsonStream{src: src, buf: make([]byte, jsonBuffer), spare: -1}
}

// hurry has the stream end soon, with errEnough.
func (s *jsonStream) hurry() {
	if s.spare < 0 {
		s.spare = hurried
	}
}

// ended tells that the text has no more, once more or next has said so.
func (s *jsonStream) ended() bool { return s.at == s.end && errors.Is(s.err, io.EOF) }

// more reads on when all that is there has been taken; false at the end.
func (s *jsonStream) more() (bool, error) {
	for s.at == s.end {
		switch {
		case errors.Is(s.err, io.EOF):
			return false, nil
		case s.err != nil:
			return false, s.err
		case s.spare == 0:
			return false, errEnough
		}
		space := s.buf
		if s.spare > 0 {
			space = space[:min(len(space), s.spare)]
		}
		s.at = 0
		s.end, s.err = s.src.Read(space)
		if s.spare > 0 {
			s.spare -= s.end
		}
	}
	return true, nil
}

// skipMark skips a byte order mark at the beginning of the text.
func (s *jsonStream) skipMark() error {
	for i := range len(byteOrderMark) {
		switch ok, err := s.more(); {
		case err != nil:
			return err
		case i == 0 && (!ok || s.buf[s.at] != byteOrderMark[0]):
			return nil
		case !ok || s.buf[s.at] != byteOrderMark[i]:
			return errSyntax
		}
		s.at++
	}
	return nil
}

// next skips white space and gives the byte after it, without taking it; 0 at the end.
func (s *jsonStream) next() (byte, error) {
	for {
		if ok, err := s.more(); !ok {
			return 0, err
		}
		for ; s.at < s.end; s.at++ {
			if c := s.buf[s.at]; !isSpace(c) {
				return c, nil
			}
		}
	}
}

// take takes the byte c, after white space.
func (s *jsonStream) take(c byte) error {
	got, err := s.next()
	if err != nil {
		return err
	}
	if got != c || s.ended() {
		return errSyntax
	}
	s.at++
	return nil
}

// list takes what stands between brackets, with commas in between; entry must take one.
func (s *jsonStream) list(opening, closing byte, entry func() error) error {
	if err := s.take(opening); err != nil {
		return err
	}
	if c, err := s.next(); err != nil || c == closing {
		return s.take(closing)
	}
	for {
		if err := entry(); err != nil {
			return err
		}
		if c, err := s.next(); err != nil || c == closing {
			return s.take(closing)
		}
		if err := s.take(','); err != nil {
			return err
		}
	}
}

// value takes a value: up to the bracket or the quote that closes it, or to what ends a number or a word. It
// stays as it is until the next call. errSkipped when it is larger than maxElement, but JSON.
func (s *jsonStream) value() ([]byte, error) {
	c, err := s.next()
	if err != nil {
		return nil, err
	}
	if s.ended() || endsWord(c) {
		return nil, errSyntax
	}
	s.raw, s.large = s.raw[:0], nil
	depth, quoted, escaped := 0, false, false
	for {
		for ; s.at < s.end; s.at++ {
			c := s.buf[s.at]
			if !quoted && depth == 0 && len(s.raw) > 0 && endsWord(c) {
				return s.taken()
			}
			if err := s.keep(c); err != nil {
				return nil, err
			}
			switch {
			case escaped:
				escaped = false
				continue
			case quoted && c == '\\':
				escaped = true
				continue
			case c == '"':
				quoted = !quoted
			case quoted:
				continue
			case c == '{' || c == '[':
				depth++
				continue
			case c == '}' || c == ']':
				depth--
			default:
				continue
			}
			if !quoted && depth == 0 {
				s.at++
				return s.taken()
			}
		}
		switch ok, err := s.more(); {
		case ok:
		case err == nil && !quoted && depth == 0: // a word at the end
			return s.taken()
		case err == nil:
			return nil, errSyntax
		default:
			return nil, err
		}
	}
}

// keep keeps a byte of a value, or has it checked at once when there is no more room. It is errEnough where nobody
// asks any more what a value is.
func (s *jsonStream) keep(c byte) error {
	switch {
	case s.large == nil && len(s.raw) < maxElement:
		s.raw = append(s.raw, c)
		return nil
	case s.spare >= 0:
		return errEnough
	case s.large == nil:
		s.large = &jsonCheck{}
		if err := s.large.write(s.raw); err != nil {
			return err
		}
	}
	return s.large.take(c)
}

// taken gives the value whose end was found.
func (s *jsonStream) taken() ([]byte, error) {
	switch {
	case s.large == nil:
		return s.raw, nil
	case !s.large.ended():
		return nil, errSyntax
	default:
		return nil, errSkipped
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// endsWord tells whether c ends a number or a word, and cannot begin a value.
func endsWord(c byte) bool {
	return c == ',' || c == ']' || c == '}' || c == ':' || isSpace(c)
}
