package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"rescind/internal/invites"
	"rescind/internal/revocation"
)

const (
	// maxRowErrors is how many bad rows a response names.
	maxRowErrors = 100
	// importEnd bounds the last transaction of an import.
	importEnd = 10 * time.Second

	otherImportMedia = "The body must be text/csv, an .xlsx workbook or application/x-ndjson. It may have Content-Encoding: gzip. A table may also be application/octet-stream."
)

// importResult is what became of the rows of an import.
type importResult struct {
	read, written, bad int
	errors             []*invites.RowError // the first maxRowErrors
}

// putInvites serves PUT /invites.
func (a *API) putInvites(x *requestContext) error {
	options, gzipped, err := readImportRequest(x.Request())
	if err != nil {
		return err
	}
	release, refused := a.uploads.acquire(x.key.Account)
	if refused != nil {
		x.leaveBody()
		return refused
	}
	defer release()
	result, err := a.importInvites(x, options, gzipped)
	// The upload may have used up the time to write the response. If the deadline cannot be set, the write fails too.
	_ = x.extendWrite()
	if err != nil {
		return err
	}
	if result.written == 0 {
		return nothingImported(result)
	}
	x.respond(http.StatusOK, mediaJSON, jsonOf(importOf(result)))
	return nil
}

// readImportRequest reads how a body is to be read.
func readImportRequest(r *http.Request) (o invites.Options, gzipped bool, err error) {
	gzipped, known := isGzipped(r.Header)
	media, _ := jobMedia(r.Header["Content-Type"])
	o.JSON = media == mediaNDJSON
	if !known || !o.JSON && !slices.Contains(tableMedia, media) {
		return o, false, newProblem(codeUnsupportedMedia).withDetail(otherImportMedia)
	}
	q := readQuery(r.URL.RawQuery)
	if sent := q.take("timezone"); sent != "" {
		zone, ok := invites.Zone(sent)
		if o.Zone = zone; !ok {
			q.fault("timezone", "unknown_value", "timezone must be the name of a time zone, such as Europe/Berlin.")
		}
	}
	if !o.JSON {
		if sheet := q.label("sheet"); sheet != nil {
			o.Sheet = *sheet
		}
	}
	o.MaxWorkbook, o.IfGzip = maxWorkbook, sendGzip
	o.IfJSON = "Send one object on each line, with Content-Type: application/x-ndjson."
	return o, gzipped, q.faults()
}

// importInvites writes the invites in the body. What was written stays, also when it fails.
func (a *API) importInvites(x *requestContext, options invites.Options, gzipped bool) (result importResult, err error) {
	r := x.Request()
	limit := uploadBase + int64(a.jobMaxItems)*uploadPerItem
	if r.ContentLength > limit {
		return result, newProblem(codeTooLarge)
	}
	// An account that has no invites here is refused before its body is read.
	if err := a.invites.UpsertInvites(r.Context(), x.key.Account, nil); err != nil {
		x.leaveBody()
		return result, err
	}
	ctx, end := a.service.Supervise(r.Context(), func() error { return a.recheck(x) })
	slot := &cpuSlot{all: a.cpuSlots}
	defer slot.release()
	u := newUpload(x, slot, gzipped, limit, nil)
	defer u.wire.stopWith(ctx)()
	writer := invites.NewWriter(a.invites, x.key.Account, revocation.ByKey(x.key.ID))
	options.Yield = slot.yield
	err = result.readInvites(ctx, u, options, writer)
	slot.release()
	if u.wire.broken != nil {
		// net/http cancelled the request's context, so later errors are only consequences of this one.
		err = u.wire.broken
	}
	// What was written has its event, also when the connection broke.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), importEnd)
	defer cancel()
	result.written, err = writer.Close(last, result.bad, err)
	err = end(err)
	if err != nil && !u.wire.ended {
		x.leaveBody()
	}
	return result, importProblem(err, result.written)
}

// importProblem returns the problem for an import that ended with an error after some invites were written.
func importProblem(err error, written int) error {
	err = uploadProblem(err)
	if err == nil || written == 0 {
		return err
	}
	p := problemOf(err)
	if p.Code == revocation.CodeUnavailable {
		return p.withDetail("The service cannot reach its database now. A part of the invites is written. Send the same body again.")
	}
	return p
}

// readInvites reads a body and gives the writer its invites.
func (result *importResult) readInvites(ctx context.Context, u *upload, options invites.Options, writer *invites.Writer) error {
	list, err := invites.Open(u, options)
	if err != nil {
		return fileProblem(err)
	}
	defer func() { _ = list.Close() }() // it removes a temporary file
	for {
		invite, err := list.Next()
		bad, isBad := errors.AsType[*invites.RowError](err)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case isBad:
			result.bad++
			if len(result.errors) < maxRowErrors {
				result.errors = append(result.errors, bad)
			}
		case err != nil:
			return fileProblem(err)
		}
		u.items++
		result.read = list.Read()
		if !isBad && writer.Add(invite) {
			if err := u.wire.slot.without(func() error { return writer.Flush(ctx) }); err != nil {
				return err
			}
		}
	}
}

// nothingImported returns the problem for a body of which no row could be taken.
func nothingImported(result importResult) *problem {
	if result.read == 0 {
		return invalid(fault{"body", "required", "At least one invite is needed."})
	}
	var faults []fault
	for _, e := range result.errors[:min(len(result.errors), maxFaults)] {
		faults = append(faults, fault{"body", e.Code, e.Sentence()})
	}
	return invalid(faults...).withDetail("No row could be taken; errors names the first of them.")
}

// importBody is what became of the rows of an import that wrote at least one.
type importBody struct {
	Read    int            `json:"read" minimum:"0" doc:"The number of rows, without blank ones and the header."`
	Written int            `json:"written" minimum:"1" doc:"The number of rows that are written."`
	Errors  []rowErrorBody `json:"errors" nullable:"false" doc:"The first 100 rows that could not be read."`
}

type rowErrorBody struct {
	Row    int    `json:"row" minimum:"1" doc:"The number of the row, from 1."`
	Code   string `json:"code" doc:"The kind of fault, as in a problem."`
	Detail string `json:"detail" doc:"The line or the row of the sheet, the column and the fault."`
}

func importOf(result importResult) importBody {
	body := importBody{Read: result.read, Written: result.written}
	for _, e := range result.errors {
		body.Errors = append(body.Errors, rowErrorBody{e.Row, e.Code, e.Sentence()})
	}
	return body
}
