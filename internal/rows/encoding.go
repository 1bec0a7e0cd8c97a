package rows

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// The encodings of a text, as Info names them.
const (
	utf8Encoding    = "utf-8"
	utf16LEEncoding = "utf-16le"
	utf16BEEncoding = "utf-16be"
)

// beginning returns what is there of the text up to a line break, and reads until that is whole: at most the window.
// Half of a character of UTF-16 can look like a line break: so the very first byte does not count, nor one after
// what is neither UTF-8 nor has a zero.
func (w *window) beginning() ([]byte, error) {
	for from := 1; ; {
		held := w.text(0, w.end-w.start)
		for from < len(held) {
			i := bytes.IndexAny(held[from:], "\r\n")
			if i < 0 {
				break
			}
			from += i
			if utf8.Valid(held[:from]) || bytes.IndexByte(held[:from], 0) >= 0 {
				return held[:from], nil
			}
			from++
		}
		switch {
		case errors.Is(w.err, io.EOF) || len(held) == len(w.buf):
			return held, nil
		case w.err != nil:
			return nil, w.err
		}
		from = max(1, len(held))
		w.fill()
	}
}

// encodingOf finds the encoding of a text by its beginning. Without a byte order mark it is UTF-16 when a fair
// part of it are characters of ASCII, one of whose two bytes is 0: digits, separators and line breaks of a list
// always are, and so are the names of its columns.
func encodingOf(beginning []byte) string {
	switch {
	case bytes.HasPrefix(beginning, []byte("\xff\xfe")):
		return utf16LEEncoding
	case bytes.HasPrefix(beginning, []byte("\xfe\xff")):
		return utf16BEEncoding
	}
	const fair = 5
	var zeros [2]int
	for i, b := range beginning {
		if b == 0 {
			zeros[i%2]++
		}
	}
	switch units := len(beginning) / 2; {
	case zeros[1] > 0 && zeros[1]*fair >= units && zeros[0]*fair <= zeros[1]:
		return utf16LEEncoding
	case zeros[0] > 0 && zeros[0]*fair >= units && zeros[1]*fair <= zeros[0]:
		return utf16BEEncoding
	default:
		return utf8Encoding
	}
}

// decoded is text in UTF-8. What UTF-16 cannot hold, such as half of a surrogate pair, becomes U+FFFD.
func decoded(text io.Reader, encoding string) io.Reader {
	order := unicode.LittleEndian
	if encoding == utf16BEEncoding {
		order = unicode.BigEndian
	}
	return transform.NewReader(text, unicode.UTF16(order, unicode.IgnoreBOM).NewDecoder())
}
