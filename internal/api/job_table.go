package api

import (
	"cmp"
	"errors"
	"io"
	"strings"

	"rescind/internal/revocation"
	"rescind/internal/rows"
)

// maxWorkbook is the largest size of an .xlsx file, in bytes.
const maxWorkbook = 20 << 20

// The columns of a table, in the order of a row's cells.
const (
	columnReportID = iota
	columnNotify
	columnClientReference
	columnReason
)

var jobColumns = []string{
	columnReportID: "report_id", columnNotify: "notify_candidate", columnClientReference: "client_reference",
	columnReason: "reason",
}

// sendGzip says how a file that is packed by gzip is sent.
const sendGzip = "Send it with Content-Encoding: gzip."

// readTable reads a table in any format that package rows recognises, and calls add with each item. It returns add's
// errors unchanged. sheet names the sheet of a workbook; it is empty for the first sheet with a column report_id. yield
// is called after every few KiB of a workbook.
func readTable(body io.Reader, sheet string, yield func(), add func(revocation.Item) error) (*revocation.File, error) {
	table, err := rows.Open(body, rows.Options{
		Columns: jobColumns, Required: 1, Sheet: sheet, MaxWorkbook: maxWorkbook, Yield: yield,
		IfJSON: "Send it with Content-Type: application/json or application/x-ndjson.", IfGzip: sendGzip,
	})
	if err != nil {
		return nil, fileProblem(err)
	}
	err = readRows(table, add)
	if closed := table.Close(); err == nil {
		err = closed
	}
	return fileOf(&table.Info), err
}

// fileOf returns what the job stores about the table.
func fileOf(i *rows.Info) *revocation.File {
	f := &revocation.File{Format: i.Format, Columns: i.Columns, Ignored: append([]string{}, i.Ignored...)}
	if i.Format == rows.FormatXLSX {
		f.Sheet = &i.Sheet
	} else {
		f.Separator, f.Encoding = &i.Separator, &i.Encoding
	}
	return f
}

func readRows(table *rows.Table, add func(revocation.Item) error) error {
	for {
		row, err := table.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		unreadable, ok := errors.AsType[rows.Error](err)
		if err != nil && !ok {
			return fileProblem(err)
		}
		var item revocation.Item
		if ok {
			item.Invalid = rowSentence(unreadable)
		} else {
			item = rowItem(row.Cells)
		}
		if item.Invalid != "" {
			item.Invalid = table.Place(row) + ": " + item.Invalid
		}
		if err := add(item); err != nil {
			return err
		}
	}
}

// fileProblem returns the problem for a *rows.FileError, which means that the file cannot be read. It returns other
// errors unchanged.
func fileProblem(err error) error {
	failed, ok := errors.AsType[*rows.FileError](err)
	if !ok {
		return err
	}
	switch failed.Reason {
	case rows.TooLarge:
		return newProblem(codeTooLarge).withDetail(failed.Detail)
	case rows.Damaged:
		return invalid(fault{"body", "invalid_format", failed.Detail})
	case rows.NoSheet:
		return invalid(fault{"sheet", "unknown_value", failed.Detail})
	case rows.ColumnTwice:
		return invalid(fault{failed.Column, "duplicate_field", failed.Detail})
	default:
		return invalid(fault{cmp.Or(failed.Column, jobColumns[columnReportID]), "required", failed.Detail})
	}
}

// rowItem returns the item in the cells of a row.
func rowItem(cells []string) revocation.Item {
	var d decoder
	d.reportIDCell(cells[columnReportID])
	if cell := cells[columnNotify]; cell != "" {
		notify, ok := rows.Bool(cell)
		if !ok {
			d.fault("notify_candidate", "wrong_type", "notify_candidate must be true, false, yes, no, 1 or 0, or empty.")
		}
		d.body.notify, d.body.hasNotify = notify, true
	}
	d.body.clientReference = d.textCell("client_reference", cells[columnClientReference])
	d.body.reason = d.textCell("reason", cells[columnReason])
	return itemOf(d.body, d.faults, nil)
}

func (d *decoder) reportIDCell(cell string) {
	id, err := rows.Integer(cell)
	switch {
	case cell == "":
		d.fault("report_id", "required", "report_id is needed.")
	case errors.Is(err, rows.ErrLostDigits):
		d.fault("report_id", "wrong_type", "report_id is a power of ten, because the spreadsheet has lost digits. Format the column as text and enter it again.")
	case errors.Is(err, rows.ErrNoInteger):
		d.fault("report_id", "wrong_type", "report_id must be an integer, in digits only.")
	case err != nil || id < 1:
		d.fault("report_id", "out_of_range", "report_id must be from 1 to 9223372036854775807.")
	default:
		d.body.reportID = id
	}
}

// textCell reads a cell by checkText. It returns nil for an empty cell, and for one with a fault.
func (d *decoder) textCell(field, cell string) *string {
	if cell == "" {
		return nil
	}
	if f, ok := checkText(field, cell); !ok {
		d.fault(f.Field, f.Code, f.Detail)
		return nil
	}
	text := strings.Clone(cell) // cell would keep the whole row in memory
	return &text
}
