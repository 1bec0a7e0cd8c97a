package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
)

const (
	// maxLine bounds a line, and maxRecord a record of several, as names with line breaks have them. What is
	// larger is taken for a quote that was never closed.
	maxLine   = 256 << 10
	maxRecord = 64 << 10
)

// brokenRecord stands for one that cannot be read: the CSV reader refuses it and goes on after it.
var brokenRecord = []byte("\"\"?\n")

var errQuote = errors.New("a quote is not closed, or stands within a cell")

// newRecords makes a CSV reader that loses one row to a quote that is not closed, and not all rows after it.
// A byte order mark at the beginning is skipped.
func newRecords(file io.Reader) *csv.Reader {
	lines := bufio.NewReaderSize(file, maxLine)
	if mark, _ := lines.Peek(3); bytes.Equal(mark, []byte("\ufeff")) {
		_, _ = lines.Discard(3)
	}
	reader := csv.NewReader(&records{lines: lines})
	reader.ReuseRecord = true
	reader.FieldsPerRecord = -1
	return reader
}

// records gives the file record by record, and whole ones only.
type records struct {
	lines *bufio.Reader
	// ahead are lines that were read in search of a closing quote.
	ahead [][]byte
	rest  []byte // of the record that is being given
}

func (r *records) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		record, err := r.next()
		if err != nil {
			return 0, err
		}
		r.rest = record
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// next gives lines up to the one in which the quotes that were opened are closed, or one broken record for a
// line whose quotes stay open.
func (r *records) next() ([]byte, error) {
	record, err := r.line()
	if err != nil {
		return nil, err
	}
	if bytes.Count(record, []byte{'"'})%2 == 0 {
		return record, nil
	}
	var taken [][]byte
	for len(record) < maxRecord {
		line, err := r.line()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		taken = append(taken, line)
		record = append(record, line...)
		if bytes.Count(line, []byte{'"'})%2 == 1 {
			return record, nil
		}
	}
	r.ahead = append(taken, r.ahead...)
	return brokenRecord, nil
}

func (r *records) line() ([]byte, error) {
	if len(r.ahead) > 0 {
		line := r.ahead[0]
		r.ahead = r.ahead[1:]
		return line, nil
	}
	line, err := r.lines.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.lines.ReadSlice('\n')
		}
		return brokenRecord, nil
	case errors.Is(err, io.EOF) && len(line) > 0:
		return append(bytes.Clone(line), '\n'), nil
	default:
		return bytes.Clone(line), err
	}
}
