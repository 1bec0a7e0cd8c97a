// Package rows reads long lists row by row, in bounded memory: lines of text, and tables in CSV (in several dialects) and
// .xlsx. If a row cannot be read, the rows after it still can. The package also writes cells of CSV that are safe to
// open in a spreadsheet.
package rows

import (
	"bytes"
	"errors"
	"io"
)

// MaxRow is the maximum length of a row in bytes of UTF-8, without its line break.
const MaxRow = 64 << 10

// Error is why one row cannot be read. The rows after it can.
type Error string

func (e Error) Error() string { return string(e) }

const (
	// ErrQuote is returned only for rows of tables.
	ErrQuote Error = "a quote is not closed, or stands within a cell"
	// ErrLong means that the row is longer than MaxRow.
	ErrLong Error = "it is longer than 64 KiB"
	// ErrWide means that a filled cell has no column in the header. It is unknown which cell belongs to which column.
	ErrWide Error = "it has more cells than the header"
)

// errFull means that a line does not end within the window.
var errFull = errors.New("the window is full")

var mark = []byte("\ufeff")

// window is a buffer with the part of a text that is being read. Positions are relative to its start, so that they stay
// valid when the buffer moves.
type window struct {
	src        io.Reader
	buf        []byte
	start, end int
	begun      bool
	marked     bool  // it began with a byte order mark
	err        error // of src
	eol        byte  // what ends a line; a \r before \n belongs to the line break
	lines      int   // lines that were consumed
}

func newWindow(src io.Reader) window {
	return window{src: src, buf: make([]byte, MaxRow+len("\r\n")), eol: '\n'}
}

// line returns the end of the line that begins at from. The line includes its line break, which the last line may lack.
// line skips a byte order mark at the beginning of the text.
func (w *window) line(from int) (to int, err error) {
	for searched := from; ; {
		if i := bytes.IndexByte(w.buf[w.start+searched:w.end], w.eol); i >= 0 {
			to = searched + i + 1
			break
		}
		searched = w.end - w.start
		if errors.Is(w.err, io.EOF) && searched > from {
			to = searched
			break
		}
		if w.err != nil {
			return 0, w.err
		}
		if searched == len(w.buf) {
			return 0, errFull
		}
		w.fill()
	}
	if !w.begun {
		w.begun = true
		if bytes.HasPrefix(w.text(0, to), mark) {
			w.start += len(mark)
			w.marked = true
			to -= len(mark)
		}
	}
	return to, nil
}

// text returns the text between two positions. It is valid until the next call of line.
func (w *window) text(from, to int) []byte { return w.buf[w.start+from : w.start+to] }

// take consumes the given number of lines, which end at to.
func (w *window) take(to, lines int) {
	w.start += to
	w.lines += lines
}

// takeLine consumes a line of any length.
func (w *window) takeLine() error {
	w.begun = true
	w.lines++
	for {
		if i := bytes.IndexByte(w.buf[w.start:w.end], w.eol); i >= 0 {
			w.start += i + 1
			return nil
		}
		w.start = w.end
		switch {
		case errors.Is(w.err, io.EOF):
			return nil
		case w.err != nil:
			return w.err
		}
		w.fill()
	}
}

// maxEmptyReads is how often a reader may return neither bytes nor an error before fill returns io.ErrNoProgress.
const maxEmptyReads = 100

// fill reads more. There must be room in the buffer, or all of it must have been consumed.
func (w *window) fill() {
	if w.start > 0 && (w.start == w.end || w.end == len(w.buf)) {
		w.end = copy(w.buf, w.buf[w.start:w.end])
		w.start = 0
	}
	for range maxEmptyReads {
		n, err := w.src.Read(w.buf[w.end:])
		w.end += n
		w.err = err
		if n > 0 || err != nil {
			return
		}
	}
	w.err = io.ErrNoProgress
}

// rest returns a reader of all that was not consumed.
func (w *window) rest() io.Reader {
	held := bytes.NewReader(bytes.Clone(w.buf[w.start:w.end]))
	if w.err != nil {
		return io.MultiReader(held, failing{w.err})
	}
	return io.MultiReader(held, w.src)
}

// failing is a reader that returns an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (w *window) withoutBreak(line []byte) []byte {
	n := len(line)
	if n > 0 && line[n-1] == w.eol {
		n--
	}
	if w.eol == '\n' && n > 0 && line[n-1] == '\r' {
		n--
	}
	return line[:n]
}

func isBlank(line []byte) bool { return len(bytes.TrimLeft(line, " \t\r\n")) == 0 }

// Lines reads a text line by line. Make it with NewLines.
type Lines struct{ window }

// NewLines returns a reader of the lines of src. It skips a byte order mark at the beginning.
func NewLines(src io.Reader) *Lines { return &Lines{newWindow(src)} }

// Line returns the number, from 1, of the line that Next returned last.
func (l *Lines) Line() int { return l.lines }

// Next returns the next line that is not blank, without its line break. The line is valid until the next call. After an
// Error, Next continues with the line after it. It returns io.EOF at the end; other errors come from src.
func (l *Lines) Next() ([]byte, error) {
	for {
		to, err := l.line(0)
		if errors.Is(err, errFull) {
			if err := l.takeLine(); err != nil {
				return nil, err
			}
			return nil, ErrLong
		}
		if err != nil {
			return nil, err
		}
		line := l.withoutBreak(l.text(0, to))
		l.take(to, 1)
		switch {
		case isBlank(line):
		case len(line) > MaxRow:
			return nil, ErrLong
		default:
			return line, nil
		}
	}
}
