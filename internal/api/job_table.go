package api

import (
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"rescind/internal/revocation"
	"rescind/internal/rows"
)

// maxWorkbook is how many bytes an .xlsx can have.
const maxWorkbook = 20 << 20

// The columns that a table can have, in the order of a row's cells.
const (
	columnReportID = iota
	columnNotify
	columnClientReference
)

var jobColumns = []string{
	columnReportID: "report_id", columnNotify: "notify_candidate", columnClientReference: "client_reference",
}

// readTable reads a table in any of the formats that rows recognises; sheet is the sheet of a workbook, empty for the
// first that suits.
func readTable(body io.Reader, sheet string, add func(revocation.Item) error) (*revocation.File, error) {
	table, err := rows.Open(body, rows.Options{Columns: jobColumns, Required: 1, Sheet: sheet, MaxWorkbook: maxWorkbook})
	if err != nil {
		return nil, fileProblem(err)
	}
	err = readRows(table, add)
	if closed := table.Close(); err == nil {
		err = closed
	}
	return fileOf(&table.Info), err
}

// fileOf is what is kept of a table with its job.
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

// fileProblem is the problem of a file that cannot be read as a whole. Other errors stay as they are.
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
		return invalid(fault{jobColumns[columnReportID], "required", failed.Detail})
	}
}

// rowItem reads the cells of a row.
func rowItem(cells []string) revocation.Item {
	var d decoder
	d.reportIDCell(cells[columnReportID])
	if cell := cells[columnNotify]; cell != "" {
		wish, ok := rows.Bool(cell)
		if !ok {
			d.fault("notify_candidate", "wrong_type", "notify_candidate must be true, false, yes, no, 1 or 0, or empty.")
		}
		d.body.notify, d.body.saysNotify = wish, true
	}
	d.clientReferenceCell(cells[columnClientReference])
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
		d.fault("report_id", "wrong_type", "report_id must be an integer, in digits alone.")
	case err != nil || id < 1:
		d.fault("report_id", "out_of_range", "report_id must be from 1 to 9223372036854775807.")
	default:
		d.body.reportID = id
	}
}

func (d *decoder) clientReferenceCell(cell string) {
	switch {
	case cell == "":
	case !utf8.ValidString(cell) || strings.IndexByte(cell, 0) >= 0:
		d.fault("client_reference", "invalid_characters", "client_reference must be UTF-8 without NUL.")
	case utf8.RuneCountInString(cell) > maxText:
		d.fault("client_reference", "too_long", "client_reference must have at most 255 characters.")
	default:
		kept := strings.Clone(cell) // or it would keep the whole row in memory
		d.body.clientReference = &kept
	}
}
