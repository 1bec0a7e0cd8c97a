package rows

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// CSV reads records of cells with commas in between and, where they hold commas, quotes or line breaks, quotes
// around them (RFC 4180). Make it with NewCSV.
//
// Quotes that are opened and never closed are the fault that matters: all that follows would be one cell. So a
// cell may go on in the next lines only as far as it turns out to be closed properly, within MaxRow; otherwise
// the line that opened it is lost, and the next one is read anew.
type CSV struct {
	window
	// joined holds the cells of the record one after the other, ends where each ends in it.
	joined []byte
	ends   []int
	quoted bool // within quotes
	cells  []string
}

// NewCSV makes a reader of src. A byte order mark at its beginning is passed over.
func NewCSV(src io.Reader) *CSV { return &CSV{window: newWindow(src)} }

// Next gives the cells of the next record, without the space around them. The slice, but not its strings,
// changes with the next call; the strings of one record share their memory. Blank lines are no records. After
// an Error it goes on with the line after the first of that record. io.EOF is the end; other errors are src's.
func (c *CSV) Next() ([]string, error) {
	for {
		to, err := c.line(0)
		switch {
		case errors.Is(err, errFull):
			if err := c.takeLine(); err != nil {
				return nil, err
			}
			return nil, ErrLong
		case err != nil:
			return nil, err
		case !isBlank(c.text(0, to)):
			return c.record(to)
		}
		c.take(to)
	}
}

// record takes the record that begins with the line up to first.
func (c *CSV) record(first int) ([]string, error) {
	c.joined, c.ends, c.quoted = c.joined[:0], c.ends[:0], false
	for from, to := 0, first; ; {
		if !c.scan(c.text(from, to)) {
			break
		}
		if len(withoutBreak(c.text(0, to))) > MaxRow {
			c.take(first)
			return nil, ErrLong
		}
		if !c.quoted {
			c.take(to)
			return c.split(), nil
		}
		next, err := c.line(to)
		if errors.Is(err, io.EOF) || errors.Is(err, errFull) {
			break
		}
		if err != nil {
			return nil, err
		}
		from, to = to, next
	}
	c.take(first)
	return nil, ErrQuote
}

// scan reads a line, from where the one before left off: at the beginning of the record, or within quotes. It
// gives false for a line that no record has.
func (c *CSV) scan(line []byte) bool {
	end := len(withoutBreak(line))
	for i := 0; ; {
		if !c.quoted {
			quote := i + spaces(line[i:end])
			if quote == end || line[quote] != '"' {
				cell, _, more := bytes.Cut(line[i:end], []byte{','})
				if bytes.IndexByte(cell, '"') >= 0 {
					return false
				}
				c.joined = append(c.joined, cell...)
				c.ends = append(c.ends, len(c.joined))
				if !more {
					return true
				}
				i += len(cell) + 1
				continue
			}
			c.quoted = true
			i = quote + 1
		}
		length := bytes.IndexByte(line[i:end], '"')
		if length < 0 { // the line break is part of the cell
			c.joined = append(c.joined, line[i:]...)
			return true
		}
		c.joined = append(c.joined, line[i:i+length]...)
		i += length + 1
		if i < end && line[i] == '"' { // two stand for one
			c.joined = append(c.joined, '"')
			i++
			continue
		}
		c.quoted = false
		c.ends = append(c.ends, len(c.joined))
		i += spaces(line[i:end])
		if i == end {
			return true
		}
		if line[i] != ',' {
			return false
		}
		i++
	}
}

// spaces counts those that b begins with.
func spaces(b []byte) int { return len(b) - len(bytes.TrimLeft(b, " \t")) }

func (c *CSV) split() []string {
	c.cells = c.cells[:0]
	start, joined := 0, string(c.joined)
	for _, end := range c.ends {
		c.cells = append(c.cells, strings.TrimSpace(joined[start:end]))
		start = end
	}
	return c.cells
}
