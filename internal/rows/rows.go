// Package rows reads long lists row by row, in memory that does not grow with them: lines of text, and tables in
// the formats in which programs write them (CSV in its dialects, .xlsx). A row that cannot be read costs that row
// alone. It also writes cells of CSV that are safe to open in a spreadsheet.
package rows

import (
	"bytes"
	"errors"
	"io"
)

// MaxRow is how long a row may be, in bytes of UTF-8, its line break not counted.
const MaxRow = 64 << 10

// Error is why one row cannot be read. The rows after it can.
type Error string

func (e Error) Error() string { return string(e) }

const (
	// ErrQuote is returned for rows of tables alone.
	ErrQuote Error = "a quote is not closed, or stands within a cell"
	// ErrLong means more than MaxRow.
	ErrLong Error = "it is longer than 64 KiB"
	// ErrWide means a filled cell that no column of the header stands for. Which cell is which would be a guess.
	ErrWide Error = "it has more cells than the header"
)

// errFull means that a line does not end within the window.
var errFull = errors.New("the window is full")

var mark = []byte("\ufeff")

// window is the part of a text that is being read. Places in it are counted from its start, so that they stay
// true while it moves on.
type window struct {
	src        io.Reader
	buf        []byte
	start, end int
	begun      bool
	marked     bool  // it began with a byte order mark
	err        error // of src
	eol        byte  // what ends a line; a \r before \n belongs to the line break
	lines      int   // lines that were taken
}

func newWindow(src io.Reader) window {
	return window{src: src, buf: make([]byte, MaxRow+len("\r\n")), eol: '\n'}
}

// line returns the place after the line that begins at from. The line break belongs to the line; the last one
// may lack it. A byte order mark at the beginning of the text is skipped.
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

// text is what stands between two places, until the next call of line.
func (w *window) text(from, to int) []byte { return w.buf[w.start+from : w.start+to] }

// take moves the start to a place that is the end of a line, and counts the lines up to there.
func (w *window) take(to, lines int) {
	w.start += to
	w.lines += lines
}

// takeLine moves the start beyond a line of any length.
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

// maxEmptyReads is how often a reader may return nothing at all before it counts as broken.
const maxEmptyReads = 100

// fill reads more. There is room, or else all that is there has been taken.
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

// rest is all that was not taken.
func (w *window) rest() io.Reader {
	held := bytes.NewReader(bytes.Clone(w.buf[w.start:w.end]))
	if w.err != nil {
		return io.MultiReader(held, failing{w.err})
	}
	return io.MultiReader(held, w.src)
}

// failing is a reader that has ended with an error.
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

// NewLines makes a reader of src. A byte order mark at its beginning is skipped.
func NewLines(src io.Reader) *Lines { return &Lines{newWindow(src)} }

// Line is the number in the text, from 1, of the line that Next returned last.
func (l *Lines) Line() int { return l.lines }

// Next returns the next line that is not blank, without its line break; it is valid until the next call.
// After an Error it continues with the line after that. io.EOF is the end; other errors are src's.
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
