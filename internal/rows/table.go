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
	// All makes Table.Next set Row.All.
	All bool
	// MaxWorkbook is how many bytes a workbook may have; 0 for no limit. It is copied to a temporary file first.
	MaxWorkbook int64
	// IfJSON and IfGzip are sentences for a *FileError: how the caller accepts a file of JSON, and one packed by gzip. If they
	// are empty, the error advises to save the list in another format.
	IfJSON, IfGzip string
	// Yield is called after every few KiB that are unpacked of a workbook, which can keep a processor busy for long
	// without a read of the source; nil for no call.
	Yield func()
}

// Info is what was recognized in a file.
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
	// Number counts the rows after the header from 1, without rows that have no filled cell.
	Number int
	// Line is the row's place, from 1, as a program shows it: the line of the text, or the row of the sheet.
	Line int
	// Cells are in the order of Options.Columns, trimmed; empty where a column is not there, or the row is shorter.
	Cells []string
	// All has all cells of the row as they are in the file, if Options.All is true. It is also set with ErrWide.
	All []string
}

// Table reads a list from a file. Open returns one; the caller must close it.
type Table struct {
	// Info is what was recognized.
	Info Info
	// Header has the cells of the header row.
	Header  []string
	options Options
	columns columns
	source  source
	row     Row
}

// source reads the rows of one format.
type source interface {
	// next reads the next record into row: Line, Cells and All. It skips records without a filled cell. After an Error,
	// with which row.Line is set too, it continues with the next record.
	next(row *Row) error
	io.Closer
}

// Open recognizes the format of src and reads it up to the header. It returns a *FileError if src is not a list; other
// errors come from src.
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

// openText recognizes the dialect and reads the header.
func openText(w window, beginning []byte, o Options) (*Table, error) {
	var samples []string
	encoding := encodingOf(beginning)
	if encoding != utf8Encoding { // an image may be mistaken for UTF-16
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
		return nil, o.describe(samples, o.missing(nil), "The header row cannot be read: "+unreadable.Error()+".")
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
		return o.describe(samples, missing, notFound(header, string(c.sep), missing))
	}); err != nil {
		return nil, err
	}
	if o.Sheet != "" {
		return nil, &FileError{Reason: NoSheet, Detail: "The file is text, which has no sheets."}
	}
	t.source = &text{c, t}
	return t, nil
}

// find finds the columns in a header. none returns the error for missing columns.
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

// missing returns the names of the required columns that are not in c.
func (o *Options) missing(c *columns) (names []string) {
	for i, name := range o.Columns[:o.Required] {
		if c == nil || c.places[i] < 0 {
			names = append(names, name)
		}
	}
	return names
}

// Next returns the next row. The row is valid until the next call; its strings remain valid. With an Error, the row's
// Number and Line are set, and the next call continues with the row after it. Next returns io.EOF at the end. A
// *FileError means that the file is damaged; other errors come from the reader.
func (t *Table) Next() (*Row, error) {
	err := t.source.next(&t.row)
	if err == nil || errors.As(err, new(Error)) {
		t.row.Number++
	}
	return &t.row, err
}

// Place returns a description of where a row is, for the beginning of a sentence.
func (t *Table) Place(r *Row) string {
	if t.Info.Format == FormatXLSX {
		return "Row " + strconv.Itoa(r.Line) + " of the sheet"
	}
	return "Line " + strconv.Itoa(r.Line)
}

// Has reports whether the file has the known column with this index.
func (t *Table) Has(column int) bool { return t.columns.places[column] >= 0 }

// Close removes temporary files. It does not close the reader that was given to Open.
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
