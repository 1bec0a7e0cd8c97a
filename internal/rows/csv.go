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
// After a quote that is never closed, the rest of the file would be one cell. So a cell may continue in the next lines
// only if it is closed properly within MaxRow. Otherwise the line with the quote is an error, and reading continues
// with the next line.
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

// newRecords returns a reader of text in UTF-8. By default, the separator is a comma and lines end with \n.
func newRecords(src io.Reader) *records { return &records{window: newWindow(src), sep: ','} }

// Next returns the cells of the next record, without the space around them. It skips blank lines. The slice is valid
// until the next call, its strings remain valid; the strings of one record share their memory. After an Error, Next
// continues with the line after the first line of that record. It returns io.EOF at the end; other errors come from
// src.
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

// begin skips blank lines, and returns the end of the first line that is not blank.
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

// parse parses the record whose first line ends at first, and returns its end and its number of lines. It does not
// consume the record.
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

// scan parses a line, which is at the beginning of a record or continues a cell in quotes. It reports whether the line
// is valid there.
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

// spaces returns the number of spaces that b begins with. A tab counts as a space unless it separates cells.
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
