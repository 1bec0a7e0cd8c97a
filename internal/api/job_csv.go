package api

import (
	"strconv"

	"rescind/internal/revocation"
	"rescind/internal/rows"
)

// resultColumns is the header row of a job's results as CSV (RFC 4180).
const resultColumns = "row,id,report_id,client_reference,status,message,timestamp,attempts,notification,reason,predicted\r\n"

// appendResultRow appends an item as a row of CSV. A missing value is an empty cell. Texts from callers and upstreams are
// escaped so that a spreadsheet does not run them as formulas.
func appendResultRow(b []byte, r *revocation.Revocation) []byte {
	b = strconv.AppendInt(b, int64(r.ID.Row()), 10)
	b = append(b, ',')
	b = append(b, r.ID.String()...)
	b = append(b, ',')
	if r.Status != revocation.StatusInvalid {
		b = strconv.AppendInt(b, r.ReportID, 10)
	}
	b = append(b, ',')
	if r.ClientReference != nil {
		b = rows.AppendCell(b, *r.ClientReference)
	}
	b = append(b, ',')
	b = append(b, r.Status...)
	b = append(b, ',')
	b = rows.AppendCell(b, r.Message())
	b = append(b, ',')
	if r.Timestamp != "" {
		b = rows.AppendCell(b, r.Timestamp)
	}
	b = append(b, ',')
	b = strconv.AppendInt(b, int64(r.Attempts), 10)
	b = append(b, ',')
	b = append(b, r.Notification.Status...)
	b = append(b, ',')
	if r.Reason != nil {
		b = rows.AppendCell(b, *r.Reason)
	}
	b = append(b, ',')
	b = append(b, r.Predicted...)
	return append(b, '\r', '\n')
}
