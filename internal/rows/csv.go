package rows

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// records reads records of cells with a separator in between and, where they hold separators, quotes or line
// breaks, quotes around them (RFC 4180).
//
// Quotes that are opened and never closed are the fault that matters: all that follows would be one cell. So a
// cell may continue in the next lines only if it turns out to be closed properly, within MaxRow; otherwise
// the line that opened it is lost, and the next one is read anew.
type records struct {
	window
	sep byte
	// joined holds the cells of the record one after the other, ends where each ends in it.
	joined []byte
	ends   []int
	quoted bool // within quotes
	cells  []string
	at     int // the line on which the last record began
}

// newRecords reads text in UTF-8. Its separator is a comma and its lines end with \n until they are set.
func newRecords(src io.Reader) *records { return &records{window: newWindow(src), sep: ','} }

// Next returns the cells of the next record, without the space around them. The slice, but not its strings,
// changes with the next call; the strings of one record share their memory. Blank lines are no records. After
// an Error it continues with the line after the first of that record. io.EOF is the end; other errors are src's.
func (c *records) Next() ([]string, error) {
	to, err := c.begin()
	if err != nil {
		return nil, err
	}
	end, lines, err := c.parse(to)
	switch {
	case err == nil:
		c.take(end, lines)
		return c.split(), nil
	case errors.As(err, new(Error)):
		c.take(to, 1)
	}
	return nil, err
}

// begin takes blank lines, and returns the end of the first line that is not blank.
func (c *records) begin() (to int, err error) {
	for {
		to, err := c.line(0)
		c.at = c.lines + 1
		switch {
		case errors.Is(err, errFull):
			if err := c.takeLine(); err != nil {
				return 0, err
			}
			return 0, ErrLong
		case err != nil || !isBlank(c.text(0, to)):
			return to, err
		}
		c.take(to, 1)
	}
}

// parse reads the record that begins with the line up to first, and returns where it ends and its number of
// lines. It takes nothing.
func (c *records) parse(first int) (end, lines int, err error) {
	c.joined, c.ends, c.quoted = c.joined[:0], c.ends[:0], false
	lines = 1
	for from, to := 0, first; ; lines++ {
		if !c.scan(c.text(from, to)) {
			return 0, 0, ErrQuote
		}
		if len(c.withoutBreak(c.text(0, to))) > MaxRow {
			return 0, 0, ErrLong
		}
		if !c.quoted {
			return to, lines, nil
		}
		next, err := c.line(to)
		if errors.Is(err, io.EOF) || errors.Is(err, errFull) {
			return 0, 0, ErrQuote
		}
		if err != nil {
			return 0, 0, err
		}
		from, to = to, next
	}
}

// scan reads a line from where the one before ended: at the beginning of the record, or within quotes. It
// reports whether a record can have such a line.
func (c *records) scan(line []byte) bool {
	end := len(c.withoutBreak(line))
	for i := 0; ; {
		if !c.quoted {
			quote := i + c.spaces(line[i:end])
			if quote == end || line[quote] != '"' {
				cell, more := line[i:end], false
				if n := bytes.IndexByte(cell, c.sep); n >= 0 {
					cell, more = cell[:n], true
				}
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
		i += c.spaces(line[i:end])
		if i == end {
			return true
		}
		if line[i] != c.sep {
			return false
		}
		i++
	}
}

// spaces counts the spaces that b begins with. A tab is one where it does not separate cells.
func (c *records) spaces(b []byte) (n int) {
	for n < len(b) && (b[n] == ' ' || b[n] == '\t' && c.sep != '\t') {
		n++
	}
	return n
}

func (c *records) split() []string {
	c.cells = c.cells[:0]
	start, joined := 0, string(c.joined)
	for _, end := range c.ends {
		c.cells = append(c.cells, strings.TrimSpace(joined[start:end]))
		start = end
	}
	return c.cells
}

// untrimmed appends the cells of the last record with the space around them.
func (c *records) untrimmed(cells []string) []string {
	start, joined := 0, string(c.joined)
	for _, end := range c.ends {
		cells = append(cells, joined[start:end])
		start = end
	}
	return cells
}
