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

// beginning returns the text up to the first line break, or as much as fits into the window. A byte of a UTF-16 character
// can have the value of a line break. So the first byte does not count, nor a byte after text that is not UTF-8 and has
// no zero byte.
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

// encodingOf returns the encoding of a text from its beginning. Without a byte order mark, the text is UTF-16 if at least a
// fifth of its characters are ASCII, which have one byte 0. That holds for a list: its digits, separators, line breaks
// and column names are ASCII.
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

// decoded returns a reader of the text in UTF-8. Invalid UTF-16, such as half of a surrogate pair, becomes U+FFFD.
func decoded(text io.Reader, encoding string) io.Reader {
	order := unicode.LittleEndian
	if encoding == utf16BEEncoding {
		order = unicode.BigEndian
	}
	return transform.NewReader(text, unicode.UTF16(order, unicode.IgnoreBOM).NewDecoder())
}
