package invites

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// decode reads a JSON object into the cells of a row.
func (l *List) decode(line []byte) *RowError {
	clear(l.cells)
	clear(l.has)
	if !utf8.Valid(line) {
		return &RowError{Code: "invalid_characters", Reason: "not valid UTF-8"}
	}
	d := jsontext.NewDecoder(bytes.NewReader(line))
	if d.PeekKind() != jsontext.KindBeginObject {
		if d.SkipValue() != nil {
			return errNotJSON()
		}
		return &RowError{Code: "wrong_type", Reason: "not a JSON object"}
	}
	if _, err := d.ReadToken(); err != nil {
		return errNotJSON()
	}
	var wrong *RowError
	for d.PeekKind() != jsontext.KindEndObject {
		name, err := d.ReadToken()
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return &RowError{Code: "duplicate_field", Reason: "a member is given more than once"}
		}
		if err != nil {
			return errNotJSON()
		}
		column := slices.Index(columns, name.String())
		raw, err := d.ReadValue()
		if err != nil {
			return errNotJSON()
		}
		if column < 0 {
			wrong = &RowError{Code: "unknown_field", Reason: "there is a member that no invite has"}
			continue
		}
		if e := l.cell(column, raw); e != nil {
			wrong = e
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return errNotJSON()
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errNotJSON()
	}
	for column, there := range l.has[:requiredColumns] {
		if wrong == nil && !there {
			wrong = &RowError{Code: "required", Reason: columns[column] + ": is needed"}
		}
	}
	return wrong
}

func errNotJSON() *RowError { return &RowError{Code: "invalid_format", Reason: "not valid JSON"} }

// cell reads the value of a member. null is an empty cell.
func (l *List) cell(column int, raw jsontext.Value) *RowError {
	l.has[column] = true
	switch kind := raw.Kind(); {
	case kind == jsontext.KindNull && column != reportID:
	case column == reportID && kind == jsontext.KindNumber && !bytes.ContainsAny(raw, ".eE"):
		l.cells[column] = string(raw)
	case column != reportID && kind == jsontext.KindString:
		text, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			return &RowError{Code: "invalid_characters", Reason: columns[column] + ": must not hold half of a surrogate pair"}
		}
		l.cells[column] = string(text)
	case column == reportID:
		return &RowError{Code: "wrong_type", Reason: columns[column] + ": must be an integer"}
	default:
		return &RowError{Code: "wrong_type", Reason: columns[column] + ": must be a string"}
	}
	return nil
}
