package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"rescind/internal/client"
	"rescind/internal/rows"
)

// reportColumns are appended to the columns of the file.
var reportColumns = []string{"status", "message", "timestamp", "notification", "revocation_id"}

// report is a file with the rows of a list and their outcomes. It gets its name when it is complete.
type report struct {
	name string
	file *os.File
	row  []byte
}

// newReport creates the file before anything is revoked, so that an error comes early.
func newReport(name string, in *input) (*report, error) {
	switch in.media {
	case mediaCSV, mediaXLSX:
	default:
		return nil, errors.New("--report: only a table has rows and columns; for other files use: rescind job results")
	}
	if was, err := os.Stat(name); err == nil {
		if list, err := in.Stat(); err == nil && os.SameFile(was, list) {
			return nil, errors.New("--report: that is the file with the list, which the report would overwrite")
		}
		if !was.Mode().IsRegular() {
			return nil, fmt.Errorf("--report: %s is not a file", name)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".rescind-report-*")
	if err != nil {
		return nil, fmt.Errorf("--report: %w", err)
	}
	return &report{name: name, file: f}, nil
}

// discard removes a report that is not complete.
func (r *report) discard() {
	if r.file != nil {
		_ = r.file.Close()
		_ = os.Remove(r.file.Name())
	}
}

// write writes the report of a job that has ended. Its memory does not grow with the size of the file.
func (r *report) write(p *process, in *input, sheet string, job client.Job) error {
	var list io.Reader = io.NewSectionReader(in, 0, in.size)
	if in.gzip {
		unpacked, err := gzip.NewReader(bufio.NewReader(list))
		if err != nil {
			return err
		}
		list = unpacked
	}
	// With the columns that the service recognised, the file is split into the same rows.
	o := rows.Options{Columns: []string{"report_id"}, Required: 1, Sheet: sheet, All: true}
	if job.File != nil {
		for _, name := range slices.Sorted(maps.Keys(job.File.Columns)) {
			if name != o.Columns[0] {
				o.Columns = append(o.Columns, name)
			}
		}
	}
	table, err := rows.Open(list, o)
	if err != nil {
		return err
	}
	defer func() { _ = table.Close() }() // it was only read
	w := bufio.NewWriterSize(r.file, 1<<16)
	if err := r.rows(w, table, &results{p: p, job: job.ID}); err != nil {
		return err
	}
	if err := errors.Join(w.Flush(), r.file.Close()); err != nil {
		return err
	}
	err = os.Rename(r.file.Name(), r.name)
	if err == nil {
		r.file = nil
	}
	return err
}

func (r *report) rows(w *bufio.Writer, table *rows.Table, outcomes *results) error {
	separator := byte(',')
	if s := table.Info.Separator; s != "" {
		separator = s[0]
	}
	if table.Info.Mark || table.Info.Encoding != "utf-8" {
		_, _ = w.WriteString("\ufeff") // for programs that do not assume UTF-8; Flush returns the error
	}
	width := len(table.Header)
	line := func(cells []string, outcome ...string) {
		r.row = r.row[:0]
		for i := range width + len(outcome) {
			if i > 0 {
				r.row = append(r.row, separator)
			}
			switch {
			case i >= width:
				r.row = rows.AppendCell(r.row, outcome[i-width])
			case i < len(cells):
				r.row = rows.AppendCell(r.row, cells[i])
			}
		}
		_, _ = w.Write(append(r.row, '\r', '\n')) // Flush returns the error
	}
	line(table.Header, reportColumns...)
	for {
		row, err := table.Next()
		if errors.Is(err, io.EOF) {
			return outcomes.ended()
		}
		if err != nil && !errors.As(err, new(rows.Error)) {
			return err
		}
		cells := row.All
		if err != nil && !errors.Is(err, rows.ErrWide) {
			cells = nil // the row cannot be split into cells
		}
		outcome, err := outcomes.next(row.Number)
		if err != nil {
			return err
		}
		line(cells, string(outcome.Status), outcome.Message, outcome.Timestamp, outcome.Notification, outcome.ID)
	}
}

// results reads the items of a job in order, page by page.
type results struct {
	p      *process
	job    string
	page   []client.Result
	cursor string
	last   bool
}

// errOtherRows means that the items of the job are not the rows of the file.
var errOtherRows = errors.New("the job has other rows than the file, which may have changed meanwhile")

func (r *results) next(row int) (client.Result, error) {
	for len(r.page) == 0 {
		if r.last {
			return client.Result{}, errOtherRows
		}
		page, err := r.p.client.Results(r.p.ctx, r.job, "", pageSize, r.cursor)
		if err != nil {
			return client.Result{}, err
		}
		r.page, r.last = page.Data, page.NextCursor == nil
		if !r.last {
			r.cursor = *page.NextCursor
		}
	}
	result := r.page[0]
	r.page = r.page[1:]
	if result.Row != row {
		return client.Result{}, errOtherRows
	}
	return result, nil
}

// ended returns errOtherRows if the job has more items.
func (r *results) ended() error {
	if len(r.page) > 0 || !r.last {
		return errOtherRows
	}
	return nil
}
