package api

import (
	"errors"
	"unicode/utf8"
)

// maxDepth is how deep a jsonCheck follows brackets; it keeps a bit for each.
const maxDepth = 8 << 20

// jsonCheck tells JSON from what is none, byte by byte and in little memory, however large or deep a value is: it
// is for values of which nothing else is wanted than that they end well.
type jsonCheck struct {
	state checkState
	// objects has a bit for each bracket that is open: 1 for an object's.
	objects []uint64
	depth   int
	// isName tells that the string at hand names a member.
	isName bool
	// rest is what is still to come of a word; hex, how many digits of an escape.
	rest string
	hex  int
	// letter is what has come of one that takes several bytes.
	letter []byte
}

// checkState is what a jsonCheck expects next.
type checkState int

const (
	expectValue checkState = iota
	expectFirstValue
	expectFirstName
	expectName
	expectColon
	afterValue
	inString
	inEscape
	inHex
	inWord
	afterMinus
	afterZero
	inInteger
	afterPoint
	inFraction
	afterExponent
	afterExponentSign
	inExponent
)

// isJSON tells whether text is one JSON value, however deep; errLarge when it is deeper than can be told.
func isJSON(text []byte) (bool, error) {
	var c jsonCheck
	err := c.write(text)
	if errors.Is(err, errLarge) {
		return false, err
	}
	return err == nil && c.ended(), nil
}

// write takes what comes next. Its errors are errSyntax, errUTF8 and, for more than maxDepth, errLarge.
func (c *jsonCheck) write(text []byte) error {
	for _, b := range text {
		if err := c.take(b); err != nil {
			return err
		}
	}
	return nil
}

// ended tells whether what was taken is one whole value.
func (c *jsonCheck) ended() bool {
	return c.depth == 0 && (c.state == afterValue || c.endsNumber())
}

// endsNumber tells whether a number may end here.
func (c *jsonCheck) endsNumber() bool {
	switch c.state {
	case afterZero, inInteger, inFraction, inExponent:
		return true
	default:
		return false
	}
}

func (c *jsonCheck) take(b byte) error {
	switch c.state {
	case inString:
		return c.takeText(b)
	case inEscape:
		return c.takeEscape(b)
	case inHex:
		if c.hex--; c.hex == 0 {
			c.state = inString
		}
		return require(isDigit(b) || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F')
	case inWord:
		ok := b == c.rest[0]
		if c.rest = c.rest[1:]; c.rest == "" {
			c.state = afterValue
		}
		return require(ok)
	case afterMinus, afterZero, inInteger, afterPoint, inFraction, afterExponent, afterExponentSign, inExponent:
		if c.takeNumber(b) {
			return nil
		}
		if !c.endsNumber() {
			return errSyntax
		}
		c.state = afterValue
	}
	if isSpace(b) {
		return nil
	}
	return c.takeStructure(b)
}

// require is errSyntax unless all is well.
func require(ok bool) error {
	if !ok {
		return errSyntax
	}
	return nil
}

// takeText takes a byte within quotes.
func (c *jsonCheck) takeText(b byte) error {
	if b >= utf8.RuneSelf || len(c.letter) > 0 {
		c.letter = append(c.letter, b)
		if !utf8.FullRune(c.letter) {
			return nil
		}
		r, size := utf8.DecodeRune(c.letter)
		c.letter = c.letter[:0]
		if r == utf8.RuneError && size == 1 {
			return errUTF8
		}
		return nil
	}
	switch {
	case b < ' ':
		return errSyntax
	case b == '\\':
		c.state = inEscape
	case b == '"' && c.isName:
		c.state, c.isName = expectColon, false
	case b == '"':
		c.state = afterValue
	}
	return nil
}

func (c *jsonCheck) takeEscape(b byte) error {
	c.state = inString
	switch b {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		c.state, c.hex = inHex, 4
		return nil
	default:
		return errSyntax
	}
}

// takeNumber takes a byte of a number; false when it does not belong to it.
func (c *jsonCheck) takeNumber(b byte) bool {
	switch {
	case isDigit(b) && (c.state == inInteger || c.state == inFraction || c.state == inExponent):
	case isDigit(b) && c.state == afterMinus:
		c.state = inInteger
		if b == '0' {
			c.state = afterZero
		}
	case isDigit(b) && c.state == afterPoint:
		c.state = inFraction
	case isDigit(b) && (c.state == afterExponent || c.state == afterExponentSign):
		c.state = inExponent
	case b == '.' && (c.state == afterZero || c.state == inInteger):
		c.state = afterPoint
	case (b == 'e' || b == 'E') && (c.state == afterZero || c.state == inInteger || c.state == inFraction):
		c.state = afterExponent
	case (b == '+' || b == '-') && c.state == afterExponent:
		c.state = afterExponentSign
	default:
		return false
	}
	return true
}

// takeStructure takes what stands between names and values, and the first byte of either.
func (c *jsonCheck) takeStructure(b byte) error {
	switch c.state {
	case expectFirstValue:
		if b == ']' {
			return c.close(false)
		}
		return c.begin(b)
	case expectFirstName:
		if b == '}' {
			return c.close(true)
		}
		return c.name(b)
	case expectName:
		return c.name(b)
	case expectColon:
		c.state = expectValue
		return require(b == ':')
	case afterValue:
		switch {
		case b == ']' || b == '}':
			return c.close(b == '}')
		case c.depth == 0 || b != ',':
			return errSyntax
		case c.inObject():
			c.state = expectName
		default:
			c.state = expectValue
		}
		return nil
	default:
		return c.begin(b)
	}
}

func (c *jsonCheck) name(b byte) error {
	c.state, c.isName = inString, true
	return require(b == '"')
}

// begin takes the first byte of a value.
func (c *jsonCheck) begin(b byte) error {
	switch {
	case b == '"':
		c.state = inString
	case b == '{':
		c.state = expectFirstName
		return c.open(true)
	case b == '[':
		c.state = expectFirstValue
		return c.open(false)
	case b == 't':
		c.state, c.rest = inWord, "true"[1:]
	case b == 'f':
		c.state, c.rest = inWord, "false"[1:]
	case b == 'n':
		c.state, c.rest = inWord, "null"[1:]
	case b == '-':
		c.state = afterMinus
	case b == '0':
		c.state = afterZero
	case isDigit(b):
		c.state = inInteger
	default:
		return errSyntax
	}
	return nil
}

func (c *jsonCheck) open(object bool) error {
	if c.depth == maxDepth {
		return errLarge
	}
	word, bit := c.depth/64, uint64(1)<<(c.depth%64)
	if word == len(c.objects) {
		c.objects = append(c.objects, 0)
	}
	c.objects[word] &^= bit
	if object {
		c.objects[word] |= bit
	}
	c.depth++
	return nil
}

func (c *jsonCheck) close(object bool) error {
	if c.depth == 0 || c.inObject() != object {
		return errSyntax
	}
	c.depth--
	c.state = afterValue
	return nil
}

// inObject tells whether the innermost bracket is an object's.
func (c *jsonCheck) inObject() bool {
	innermost := c.depth - 1
	return c.objects[innermost/64]>>(innermost%64)&1 == 1
}
