package rows

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxColumn is how many columns a sheet has at most.
const maxColumn = 1 << 14

var escape = regexp.MustCompile(`_x[0-9A-Fa-f]{4}_`)

// sheet reads the rows of a sheet.
type sheet struct {
	*part
	table *Table
	// number and column are those of the last row and cell: rows and cells may leave them out.
	number, column int
	done           bool
	cells          []cell // of a row, in their order
	value, text    []byte // of a cell
	all            []string
}

// cell is a cell as it is stored in a sheet.
type cell struct {
	column int
	kind   string // the attribute t
	style  int
	value  string
}

func (b *workbook) openSheet(name string) (*sheet, error) {
	p, err := b.openPart(name)
	if err != nil {
		return nil, err
	}
	return &sheet{part: p}, nil
}

// Close closes the workbook too.
func (s *sheet) Close() error {
	_ = s.content.Close() // it was only read
	return s.book.Close()
}

// findHeader reads the first row with a filled cell, and finds the columns in it.
func (s *sheet) findHeader(name string) error {
	t := s.table
	var header []string
	for header == nil {
		err := s.record()
		if errors.Is(err, io.EOF) {
			return &FileError{Reason: NoColumn, Column: t.options.Columns[0], Detail: "There is no header row. " + t.options.wanted()}
		}
		if err != nil {
			return err
		}
		if err := s.resolve(func(int) bool { return true }); err != nil {
			return err
		}
		if slices.ContainsFunc(s.all, isFilled) {
			header = slices.Clone(s.all)
		}
	}
	t.Header, t.Info = header, Info{Format: FormatXLSX, Sheet: ShownName(name)}
	return t.find(header, func(missing []string) *FileError {
		return &FileError{Reason: NoColumn, Column: missing[0], Detail: notFound(header, "", missing)}
	})
}

// next implements source.
func (s *sheet) next(row *Row) error {
	t := s.table
	for {
		if err := s.record(); err != nil {
			return err
		}
		row.Line = s.number
		known := func(column int) bool { return t.options.All || slices.Contains(t.columns.places, column) }
		if err := s.resolve(known); err != nil {
			return err
		}
		if !slices.ContainsFunc(s.all, isFilled) {
			if t.options.All || len(s.cells) == 0 {
				continue
			}
			if err := s.resolve(func(int) bool { return true }); err != nil {
				return err
			}
			if !slices.ContainsFunc(s.all, isFilled) {
				continue
			}
		}
		size := 0
		for i := range s.all {
			size += len(s.all[i])
		}
		if size > MaxRow {
			return ErrLong
		}
		for i, place := range t.columns.places {
			row.Cells[i] = ""
			if place >= 0 && place < len(s.all) {
				row.Cells[i] = s.all[place]
			}
		}
		if t.options.All {
			row.All = append(row.All[:0], s.all...)
		}
		return nil
	}
}

// resolve sets s.all to the texts of the wanted cells of the row, each at the index of its column.
func (s *sheet) resolve(wanted func(column int) bool) error {
	s.all = s.all[:0]
	for i := range s.cells {
		c := &s.cells[i]
		if !wanted(c.column) {
			continue
		}
		text, err := s.textOf(c)
		if err != nil {
			return err
		}
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		for len(s.all) <= c.column {
			s.all = append(s.all, "")
		}
		s.all[c.column] = text
	}
	return nil
}

// textOf returns the text of a cell.
func (s *sheet) textOf(c *cell) (string, error) {
	switch c.kind {
	case "s":
		n, err := strconv.Atoi(strings.TrimSpace(c.value))
		if err != nil {
			return "", errDamaged
		}
		text, err := s.book.strings.get(n)
		return unescaped(text), err
	case "inlineStr", "str":
		return unescaped(c.value), nil
	case "b":
		if strings.TrimSpace(c.value) == "1" {
			return "TRUE", nil
		}
		return "FALSE", nil
	case "", "n":
		isDate := c.style >= 0 && c.style < len(s.book.dates) && s.book.dates[c.style]
		return s.book.number(c.value, isDate), nil
	default: // a date in ISO 8601, or an error
		return c.value, nil
	}
}

// record reads the next row that has cells with a value. It returns io.EOF after the last row.
func (s *sheet) record() error {
	s.cells = s.cells[:0]
	if s.done {
		return io.EOF
	}
	for {
		t, err := s.token()
		if errors.Is(err, io.EOF) {
			return errDamaged
		}
		if err != nil {
			return err
		}
		switch e := t.(type) {
		case xml.StartElement:
			switch e.Name.Local {
			case "row":
				s.number, s.column = s.number+1, -1
				if r, err := strconv.Atoi(attribute(e, "r")); err == nil && r > 0 {
					s.number = r
				}
			case "c":
				if err := s.cell(e); err != nil {
					return err
				}
			}
		case xml.EndElement:
			switch e.Name.Local {
			case "row":
				if len(s.cells) > 0 {
					return nil
				}
			case "sheetData":
				s.done = true
				return s.finish()
			}
		}
	}
}

// finish reads the rest of the part, so that its checksum is verified. It returns io.EOF.
func (s *sheet) finish() error {
	s.element = maxUnpacked
	if _, err := io.Copy(io.Discard, s.part); err != nil {
		return err
	}
	return io.EOF
}

// cell reads the rest of a cell after its start element.
func (s *sheet) cell(start xml.StartElement) error {
	s.column++
	c := cell{}
	for _, a := range start.Attr {
		switch a.Name.Local {
		case "r":
			if n, ok := columnOf(a.Value); ok {
				s.column = n
			}
		case "t":
			c.kind = a.Value
		case "s":
			c.style, _ = strconv.Atoi(a.Value) // 0 if it is invalid
		}
	}
	c.column = s.column
	if c.column >= maxColumn {
		return errDamaged
	}
	s.value = s.value[:0]
	text, isValue := richText{b: s.text[:0]}, false
	for {
		t, err := s.token()
		if errors.Is(err, io.EOF) {
			return errDamaged
		}
		if err != nil {
			return err
		}
		switch e := t.(type) {
		case xml.StartElement:
			isValue = e.Name.Local == "v"
		case xml.CharData:
			if isValue {
				s.value = append(s.value, e[:min(len(e), maxString-len(s.value))]...)
			}
		case xml.EndElement:
			isValue = false
			if e.Name.Local == "c" {
				s.text = text.b
				if c.kind == "inlineStr" {
					c.value = string(text.b)
				} else {
					c.value = string(s.value)
				}
				if c.value != "" {
					s.cells = append(s.cells, c)
				}
				return nil
			}
		}
		text.take(t)
	}
}

// columnOf returns the column, from 0, of a reference such as AB12.
func columnOf(reference string) (int, bool) {
	n := 0
	for i := range len(reference) {
		c := reference[i] &^ 0x20
		if c < 'A' || c > 'Z' {
			return n - 1, i > 0
		}
		if n = n*26 + int(c-'A') + 1; n > maxColumn {
			return maxColumn, true
		}
	}
	return n - 1, n > 0
}
