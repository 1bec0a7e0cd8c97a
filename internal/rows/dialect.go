package rows

import (
	"bytes"
	"errors"
	"io"
	"slices"
)

// separators are the separators that are recognized, the most common one first.
const separators = ",;\t|"

// findLineBreak sets the line break of the text to the first one outside quotes in the window. A \r before \n belongs to
// it.
func (c *records) findLineBreak() error {
	quoted, at := false, 0
	for {
		held := c.text(0, c.end-c.start)
		for ; at < len(held); at++ {
			switch b := held[at]; {
			case b == '"':
				quoted = !quoted
			case quoted:
			case b == '\n':
				c.eol = '\n'
				return nil
			case b == '\r':
				after := bytes.TrimLeft(held[at:], "\r")
				if len(after) == 0 && c.err == nil && len(held) < len(c.buf) {
					goto more
				}
				if !bytes.HasPrefix(after, []byte("\n")) {
					c.eol = '\r'
				}
				return nil
			}
		}
	more:
		switch {
		case errors.Is(c.err, io.EOF) || len(held) == len(c.buf):
			if bytes.IndexByte(held, '\n') < 0 && bytes.IndexByte(held, '\r') >= 0 {
				c.eol = '\r'
			}
			return nil
		case c.err != nil:
			return c.err
		}
		c.fill()
	}
}

// takeSep consumes a first line with sep=, as Excel writes it, and reports whether there was one.
func (c *records) takeSep() (bool, error) {
	to, err := c.begin()
	if err != nil {
		return false, err
	}
	line := bytes.Trim(c.withoutBreak(c.text(0, to)), `"`)
	if len(line) != len("sep=;") || !bytes.EqualFold(line[:4], []byte("sep=")) || !canSeparate(line[4]) {
		return false, nil
	}
	c.sep = line[4]
	c.take(to, 1)
	return true, nil
}

// canSeparate reports whether b can separate cells: no letter, no digit, no quote.
func canSeparate(b byte) bool {
	return b == '\t' || b > ' ' && b < 0x7f && b != '"' && b != '_' && b != '-' &&
		(b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z')
}

// header finds the separator, unless the text names it, and consumes the first record with a filled cell. It chooses the
// separator for which fit returns the highest value.
func (c *records) header(fit func(cells []string) int) ([]string, error) {
	candidates := []byte(separators)
	switch named, err := c.takeSep(); {
	case err != nil:
		return nil, err
	case named:
		candidates = []byte{c.sep}
	}
	for {
		to, err := c.begin()
		if err != nil {
			return nil, err
		}
		var header []string
		var failed error
		best, sep, isEmpty := -1, candidates[0], false
		for _, c.sep = range candidates {
			_, _, err := c.parse(to)
			switch {
			case errors.As(err, new(Error)):
				failed = err
				continue
			case err != nil:
				return nil, err
			}
			cells := c.split()
			isEmpty = isEmpty || !slices.ContainsFunc(cells, isFilled)
			if n := fit(cells); n > best {
				best, sep, header = n, c.sep, slices.Clone(cells)
			}
		}
		c.sep = sep
		end, lines := to, 1
		if best >= 0 && !isEmpty {
			end, lines, err = c.parse(to)
			if err != nil {
				return nil, err
			}
		}
		c.take(end, lines)
		switch {
		case isEmpty:
		case best < 0:
			return nil, failed
		default:
			return header, nil
		}
	}
}

func isFilled(cell string) bool { return cell != "" }
