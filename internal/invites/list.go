// Package invites reads lists of invites and writes them to a store, for the command and for the API.
package invites

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"rescind/internal/revocation"
	"rescind/internal/rows"
)

// Options say how a list is read.
type Options struct {
	// JSON reads a JSON object from each line. Otherwise the list is a table, in any format that package rows recognises.
	JSON bool
	// Zone is the zone of times without one; nil makes such rows bad.
	Zone *time.Location
	// Sheet, MaxWorkbook, IfJSON, IfGzip and Yield are those of rows.Options.
	Sheet          string
	MaxWorkbook    int64
	IfJSON, IfGzip string
	Yield          func()
}

// RowError is why one row cannot be read. The rows after it can. It contains nothing of a cell.
type RowError struct {
	// Row counts the rows from 1, without blank ones and the header.
	Row int
	// Code is the kind of fault, as in a problem of the API.
	Code string
	// Reason begins with the name of the column, if one is concerned.
	Reason string
	// Place is where the row is in the file, such as Line 4.
	Place string
}

func (e *RowError) Error() string {
	return fmt.Sprintf("row %d: %s (%s)", e.Row, e.Reason, strings.ToLower(e.Place))
}

// Sentence returns the place and the reason as a sentence.
func (e *RowError) Sentence() string { return e.Place + ": " + e.Reason + "." }

// List is a list of invites that is being read. Open returns one; the caller must close it.
type List struct {
	zone  *time.Location
	table *rows.Table // nil for lines
	lines *rows.Lines
	read  int
	cells []string
	has   []bool
}

// Open recognises the format of a list and reads it up to the first row. It returns a *rows.FileError if src is no list of
// invites; other errors come from src.
func Open(src io.Reader, o Options) (*List, error) {
	if o.JSON {
		return &List{zone: o.Zone, lines: rows.NewLines(src), cells: make([]string, len(columns)), has: make([]bool, len(columns))}, nil
	}
	table, err := rows.Open(src, rows.Options{
		Columns: columns, Required: requiredColumns, Sheet: o.Sheet, MaxWorkbook: o.MaxWorkbook,
		IfJSON: o.IfJSON, IfGzip: o.IfGzip, Yield: o.Yield,
	})
	if err != nil {
		return nil, err
	}
	return &List{zone: o.Zone, table: table}, nil
}

// Info returns what was recognised of a table; nil for lines of JSON.
func (l *List) Info() *rows.Info {
	if l.table == nil {
		return nil
	}
	return &l.table.Info
}

// Read returns the number of rows that were read, bad ones included.
func (l *List) Read() int { return l.read }

// Close removes temporary files.
func (l *List) Close() error {
	if l.table == nil {
		return nil
	}
	return l.table.Close()
}

// Next returns the next invite. After a *RowError it continues with the next row. It returns io.EOF at the end. A
// *rows.FileError means that the file is damaged; other errors come from the source.
func (l *List) Next() (revocation.Invite, error) {
	if l.table == nil {
		return l.nextLine()
	}
	row, err := l.table.Next()
	unreadable, bad := errors.AsType[rows.Error](err)
	if err != nil && !bad {
		return revocation.Invite{}, err
	}
	l.read++
	if bad {
		return revocation.Invite{}, l.unreadable(unreadable, l.table.Place(row))
	}
	invite, f := parse(row.Cells, l.table.Has, l.zone)
	if f != nil {
		return invite, l.bad(f, l.table.Place(row))
	}
	return invite, nil
}

func (l *List) nextLine() (revocation.Invite, error) {
	line, err := l.lines.Next()
	unreadable, bad := errors.AsType[rows.Error](err)
	if err != nil && !bad {
		return revocation.Invite{}, err
	}
	l.read++
	place := "Line " + strconv.Itoa(l.lines.Line())
	if bad {
		return revocation.Invite{}, l.unreadable(unreadable, place)
	}
	if e := l.decode(line); e != nil {
		e.Row, e.Place = l.read, place
		return revocation.Invite{}, e
	}
	invite, f := parse(l.cells, func(column int) bool { return l.has[column] }, l.zone)
	if f != nil {
		return invite, l.bad(f, place)
	}
	return invite, nil
}

func (l *List) unreadable(err rows.Error, place string) *RowError {
	code := "invalid_format"
	if err == rows.ErrLong {
		code = "too_long"
	}
	return &RowError{Row: l.read, Code: code, Reason: err.Error(), Place: place}
}

func (l *List) bad(f *fault, place string) *RowError {
	return &RowError{Row: l.read, Code: f.code, Reason: columns[f.column] + ": " + f.detail, Place: place}
}
