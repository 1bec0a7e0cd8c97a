package rows

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Options describe the table that is expected.
type Options struct {
	// Columns are the names of the columns that are known. The first Required of them, at least one, must be there.
	Columns  []string
	Required int
	// Sheet is the sheet of a workbook to read; empty for the first that has the required columns.
	Sheet string
	// All has Row.All set.
	All bool
	// MaxWorkbook is how many bytes a workbook may have; 0 for no limit. It is copied to a temporary file first.
	MaxWorkbook int64
	// Yield is called after every few KiB that are unpacked of a workbook, which can keep a processor busy for long
	// without a read of the source; nil for no call.
	Yield func()
}

// Info is what was recognised of a file.
type Info struct {
	// Format is csv or xlsx.
	Format string
	// Separator is what separates the cells, and Encoding is utf-8, utf-16le or utf-16be; empty for xlsx.
	Separator, Encoding string
	// Mark reports whether a text began with a byte order mark.
	Mark bool
	// Sheet is the name of the sheet that is read, as ShownName; empty for csv.
	Sheet string
	// Columns are the known columns that are there, each with its name in the file, as ShownName.
	Columns map[string]string
	// Ignored are the names of the other columns, as ShownName, the first 50.
	Ignored []string
}

// The formats of a file.
const (
	FormatCSV  = "csv"
	FormatXLSX = "xlsx"
)

// Row is a row with at least one filled cell.
type Row struct {
	// Number counts the rows after the header from 1, without those that have no filled cell.
	Number int
	// Line is the row's place, from 1, as a program shows it: the line of the text, or the row of the sheet.
	Line int
	// Cells are in the order of Options.Columns, trimmed; empty where a column is not there, or the row is shorter.
	Cells []string
	// All are all cells of the row as they are in the file, with Options.All; with ErrWide too.
	All []string
}

// Table reads a list in a file that a program has written. Make it with Open, and close it.
type Table struct {
	// Info is what was recognised.
	Info Info
	// Header has the cells of the header row.
	Header  []string
	options Options
	columns columns
	source  source
	row     Row
}

// source is one format. Its rows come one after the other.
type source interface {
	// next reads the next record into row, which has Line, Cells and All then. An Error costs that record; row.Line
	// is set with one too. Records without a filled cell are left out.
	next(row *Row) error
	io.Closer
}

// Open recognises what src holds, and reads it up to the rows. A FileError is why it is no list; others are src's.
func Open(src io.Reader, o Options) (*Table, error) {
	w := newWindow(src)
	beginning, err := w.beginning()
	if err != nil {
		return nil, err
	}
	switch {
	case isZip(beginning):
		return openWorkbook(w.rest(), o)
	case isOLE(beginning):
		return nil, describeOLE(w.rest())
	}
	return openText(w, beginning, o)
}

// openText reads the dialect and the header.
func openText(w window, beginning []byte, o Options) (*Table, error) {
	var samples []string
	encoding := encodingOf(beginning)
	if encoding != utf8Encoding { // which an image may only look like
		samples = append(samples, string(beginning[:min(len(beginning), maxSample)]))
		w = newWindow(decoded(w.rest(), encoding))
	}
	c := &records{window: w, sep: ','}
	if err := c.findLineBreak(); err != nil {
		return nil, err
	}
	samples = append(samples, string(c.text(0, min(c.end-c.start, maxSample))))
	header, err := c.header(func(cells []string) int { return fit(cells, o.Columns) })
	if unreadable, ok := errors.AsType[Error](err); ok {
		return nil, describe(samples, o.missing(nil), "The header row cannot be read: "+unreadable.Error()+".")
	}
	if errors.Is(err, io.EOF) {
		return nil, &FileError{Column: o.Columns[0], Reason: NoColumn, Detail: "There is no header row. " + o.wanted()}
	}
	if err != nil {
		return nil, err
	}
	t := &Table{Header: header, options: o, Info: Info{
		Format: FormatCSV, Separator: string(c.sep), Encoding: encoding, Mark: c.marked,
	}}
	if err := t.find(header, func(missing []string) *FileError {
		return describe(samples, missing, notFound(header, string(c.sep), missing))
	}); err != nil {
		return nil, err
	}
	if o.Sheet != "" {
		return nil, &FileError{Reason: NoSheet, Detail: "The file is text, which has no sheets."}
	}
	t.source = &text{c, t}
	return t, nil
}

// find finds the columns in a header. none makes the error for those that are missing.
func (t *Table) find(header []string, none func(missing []string) *FileError) error {
	c, twice := findColumns(header, t.options.Columns)
	t.columns = c
	if twice != "" {
		return &FileError{Column: twice, Reason: ColumnTwice, Detail: "The header row names " + twice + " more than once."}
	}
	if missing := t.options.missing(&c); len(missing) > 0 {
		return none(missing)
	}
	t.Info.Columns = map[string]string{}
	for i, name := range t.options.Columns {
		if c.places[i] >= 0 {
			t.Info.Columns[name] = ShownName(header[c.places[i]])
		}
	}
	for place, name := range header {
		if len(t.Info.Ignored) < maxIgnored && !slices.Contains(c.places, place) && strings.TrimSpace(name) != "" {
			t.Info.Ignored = append(t.Info.Ignored, ShownName(name))
		}
	}
	t.row.Cells = make([]string, len(t.options.Columns))
	return nil
}

// missing are the required columns that are not there.
func (o *Options) missing(c *columns) (names []string) {
	for i, name := range o.Columns[:o.Required] {
		if c == nil || c.places[i] < 0 {
			names = append(names, name)
		}
	}
	return names
}

// Next returns the next row. It, but not its strings, changes with the next call. After an Error, with which the
// row's Number and Line are set, it continues with the row after that. io.EOF is the end. A FileError means that
// the file is damaged; other errors are those of the reader.
func (t *Table) Next() (*Row, error) {
	err := t.source.next(&t.row)
	if err == nil || errors.As(err, new(Error)) {
		t.row.Number++
	}
	return &t.row, err
}

// Place names the place of a row for people, as the beginning of a sentence or in the middle of one.
func (t *Table) Place(r *Row) string {
	if t.Info.Format == FormatXLSX {
		return "Row " + strconv.Itoa(r.Line) + " of the sheet"
	}
	return "Line " + strconv.Itoa(r.Line)
}

// Has reports whether a known column is there.
func (t *Table) Has(column int) bool { return t.columns.places[column] >= 0 }

// Close frees what the table holds. It does not close the reader that it was made of.
func (t *Table) Close() error { return t.source.Close() }

// text is a table in text.
type text struct {
	*records
	table *Table
}

func (t *text) next(row *Row) error {
	columns := &t.table.columns
	for {
		cells, err := t.Next()
		row.Line = t.at
		if err != nil {
			return err
		}
		if t.table.options.All {
			row.All = t.untrimmed(row.All[:0])
		}
		if len(cells) > columns.width && slices.ContainsFunc(cells[columns.width:], isFilled) {
			return ErrWide
		}
		some := false
		for i, place := range columns.places {
			row.Cells[i] = ""
			if place >= 0 && place < len(cells) {
				row.Cells[i] = cells[place]
				some = some || cells[place] != ""
			}
		}
		if !some && !slices.ContainsFunc(cells, isFilled) {
			continue
		}
		return nil
	}
}

func (t *text) Close() error { return nil }
