package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"rescind/internal/revocation"
)

const (
	mediaNDJSON = "application/x-ndjson"
	mediaCSV    = "text/csv"

	// streamPage is how many items a stream reads at once, and streamPiece about how many bytes it writes at once. They
	// bound its memory for every size of job and every speed of the client.
	streamPage  = 1000
	streamPiece = 64 << 10
)

var (
	resultMedia = []string{mediaJSON, mediaNDJSON, mediaCSV}
	varyAccept  = []string{"Accept"}
)

// jobResults serves GET /jobs/{id}/results: a page of the items, or a stream of all.
func (a *API) jobResults(x *requestContext) error {
	r := x.Request()
	x.Response().Header()["Vary"] = varyAccept
	media := negotiate(r.Header["Accept"], resultMedia)

	id, missing := pathID(x.Param("id"))
	q := readQuery(r.URL.RawQuery)
	f := revocation.ResultFilter{Account: x.key.Account, Job: id, Statuses: q.statuses("status"), Predicted: q.predictions("predicted")}
	mark := false
	switch media {
	case mediaJSON:
		f.Limit, f.After = q.limit(), q.rowCursor("cursor", id)
	case mediaCSV:
		f.Limit, mark = streamPage, q.bool("bom")
	default:
		f.Limit = streamPage
	}
	if err := q.faults(); err != nil {
		return err
	}
	if missing != nil {
		return missing
	}

	kind := a.reads
	if media != mediaJSON {
		kind = a.streams
	}
	release, refused := kind.acquire(x.key.Account)
	if refused != nil {
		return refused
	}
	defer release()
	page, err := a.readResults(x, f, maxPageWait)
	if err != nil {
		return err
	}
	if media == mediaJSON {
		x.respond(http.StatusOK, mediaJSON, jsonOf(pageOf(page.Entries, resultOf, cursorAfter(cursorResults, page.Next))))
		return nil
	}
	piece := make([]byte, 0, streamPiece+streamPiece/8)
	if mark {
		piece = append(piece, byteOrderMark...)
	}
	return a.streamResults(x, media, f, piece, page)
}

// streamResults sends the bytes in piece, the first page and the pages after it. Each item appears once, in its state when
// its page was read.
func (a *API) streamResults(x *requestContext, media string, f revocation.ResultFilter, piece []byte, page revocation.Page[revocation.Revocation]) error {
	appendOne := appendResultLine
	if media == mediaCSV {
		appendOne = appendResultRow
		piece = append(piece, resultColumns...)
		x.Response().Header()["Content-Disposition"] = []string{`attachment; filename="job-` + f.Job.String() + `-results.csv"`}
		media += "; charset=utf-8"
	}
	defer x.beginStream(media, a.service.Draining())()
	if x.Request().Method == http.MethodHead {
		return nil
	}
	for {
		for i := range page.Entries {
			piece = appendOne(piece, &page.Entries[i])
			if len(piece) < streamPiece {
				continue
			}
			if err := a.recheck(x); err != nil {
				return x.setErr(err)
			}
			if err := x.send(piece); err != nil {
				return err
			}
			piece = piece[:0]
		}
		if page.Next.IsZero() {
			return x.send(piece)
		}
		if x.stopping() {
			return x.setErr(errStopping)
		}
		if err := a.recheck(x); err != nil {
			return x.setErr(err)
		}
		f.After = page.Next.Row()
		var err error
		if page, err = a.readResults(x, f, maxStreamWait); err != nil {
			return x.setErr(err)
		}
	}
}

func (a *API) readResults(x *requestContext, f revocation.ResultFilter, maxWait time.Duration) (revocation.Page[revocation.Revocation], error) {
	return readPage(a, x, maxWait, func(ctx context.Context) (revocation.Page[revocation.Revocation], error) {
		return a.service.Results(ctx, f)
	})
}

// predictions takes a list of predicted outcomes that are separated by commas.
func (q *query) predictions(name string) []revocation.Status {
	return words(q, name, revocation.PredictedStatuses)
}

// rowCursor takes the cursor of a job's results, which is the id of an item, and returns the row of the item; 0 for none.
func (q *query) rowCursor(name string, job revocation.ID) (after int) {
	last := q.cursor(name, cursorResults)
	if last.IsZero() {
		return 0
	}
	if last.Row() == 0 || last.Row() > revocation.MaxJobItems || job.Item(last.Row()) != last {
		q.fault(name, "invalid_format", name+" must be the next_cursor of a response about this job.")
	}
	return last.Row()
}

// appendResult appends an item as an entry of its job's results, as resultSchema describes it. With a struct, a stream of
// results would take the API 17 % more processor time.
func appendResult(b []byte, r *revocation.Revocation) []byte {
	b = append(b, `{"row":`...)
	b = strconv.AppendInt(b, int64(r.ID.Row()), 10)
	b = append(b, `,"id":`...)
	b = appendID(b, r.ID)
	b = append(b, `,"report_id":`...)
	b = appendReportID(b, r)
	b = append(b, `,"client_reference":`...)
	b = appendOptional(b, r.ClientReference)
	b = append(b, `,"status":"`...)
	b = append(b, r.Status...)
	b = append(b, `","message":`...)
	b = appendString(b, r.Message())
	b = append(b, `,"timestamp":`...)
	if r.Timestamp == "" {
		b = append(b, "null"...)
	} else {
		b = appendString(b, r.Timestamp)
	}
	b = append(b, `,"attempts":`...)
	b = strconv.AppendInt(b, int64(r.Attempts), 10)
	b = append(b, `,"notification":"`...)
	b = append(b, r.Notification.Status...)
	b = append(b, `","reason":`...)
	b = appendOptional(b, r.Reason)
	b = append(b, `,"predicted":`...)
	if r.Predicted == "" {
		return append(b, "null}"...)
	}
	b = append(b, '"')
	b = append(b, r.Predicted...)
	return append(b, '"', '}')
}

// appendResultLine appends an item as a line of NDJSON.
func appendResultLine(b []byte, r *revocation.Revocation) []byte {
	return append(appendResult(b, r), '\n')
}

// resultBody is an item in a page.
type resultBody revocation.Revocation

func resultOf(r *revocation.Revocation) *resultBody { return (*resultBody)(r) }

// MarshalJSONTo writes the item with appendResult.
func (r *resultBody) MarshalJSONTo(out *jsontext.Encoder) error {
	return out.WriteValue(appendResult(out.AvailableBuffer(), (*revocation.Revocation)(r)))
}

// Schema returns a reference to the schema of what appendResult writes.
func (*resultBody) Schema(schemas huma.Registry) *huma.Schema {
	return named(schemas, "Result", resultSchema())
}

func resultSchema() *huma.Schema {
	return &huma.Schema{
		Type:        "object",
		Description: "An item of a job. GET /revocations/{id} returns all its members.",
		Required:    []string{"row", "id", "report_id", "client_reference", "status", "message", "timestamp", "attempts", "notification", "reason", "predicted"},
		Properties: map[string]*huma.Schema{
			"row":              {Type: "integer", Minimum: new(1.0), Description: "Its position in the input, from 1. Blank rows are not counted."},
			"id":               {Type: "string", Format: "uuid", Description: "The id of the revocation."},
			"report_id":        {Type: "integer", Format: "int64", Minimum: new(1.0), Nullable: true, Description: "null if the status is INVALID."},
			"client_reference": maybe(text("The client_reference that was sent.")),
			"status":           statusSchema(),
			"message":          text("The status as a sentence; for INVALID, the faults of the row."),
			"timestamp":        maybe(text("For NOT_ALLOWED: the account's latest plan change, in UTC, as 2025-01-15 10:32:45.")),
			"attempts":         amount("The number of ended attempts."),
			"notification":     notificationStatusSchema(),
			"reason":           maybe(text("The item's own reason, or else the job's.")),
			"predicted": {
				Type: "string", Nullable: true, Enum: append(oneOf(revocation.PredictedStatuses...), nil),
				Description: "The outcome that the preview of the job predicted; null in a job without a preview and in PREVIEWING.",
			},
		},
	}
}
