package api

import (
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

func newJobOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "createJob", Method: http.MethodPost, Path: "/jobs",
		Tags: []string{"jobs"}, Security: needs(revocation.ScopeRevoke),
		Summary: "Revoke many candidates' invites",
		Description: `The body is read as a stream. The answer comes when all of them are durable; nothing is carried out before, and of an upload that breaks off, or is refused, nothing stays.

An item that cannot be read becomes one with the status INVALID, whose message says why, and the others go on; so does one that is larger than 64 KiB. Rows are numbered from 1 in the order of the input; blank lines, rows without a filled cell and the header row are not counted. The message names the line of the file, or the row of the sheet, besides. A byte order mark at the beginning is skipped. A report_id may come more than once.

The body is refused as a whole when it is not JSON (400), when it has no item, or no header row, or members that are not known (422), when it has too many items (413), and when it stays away for 15 seconds, or has nothing but white space for 30 (408). A packed body that unpacks to many times what its items take is refused too (413). A file that is no table with a column report_id gets an answer that names what it is, or its columns, cut to 64 characters. The whole is at most 64 KiB and 2 KiB for each item that a job can have, packed and unpacked; a value is at most 1 MiB (413) and nested at most 10,000 levels deep (400).`,
		Parameters: []*huma.Param{
			optional("notify_candidate", "The default of items that do not say; not with JSON, which has its own in the body, nor with a form, which has fields.", &huma.Schema{Type: "boolean", Default: false}),
			optional("label", "Comes back with the job; not with JSON, which has its own in the body, nor with a form, which has fields.", &huma.Schema{Type: "string", MaxLength: new(maxText)}),
			optional("sheet", "The sheet of a workbook, by its name; by default the first one that has a column report_id. With a table only.", &huma.Schema{Type: "string", MaxLength: new(maxText)}),
			{
				Name: "Content-Encoding", In: "header", Description: "gzip for a body that is packed.",
				Schema: &huma.Schema{Type: "string", Enum: []any{"gzip", "identity"}},
			},
			idempotencyKeyParam("Makes the request repeatable for at least 24 hours: the same key with the same query and the same content, compared byte by byte after it is unpacked (of a form, the values of the fields, and the bytes and the type of the file), returns the same job, by its present state. While the first upload runs, it is 409. It counts within an account."),
		},
		RequestBody: &huma.RequestBody{
			Required: true,
			Content: map[string]*huma.MediaType{
				mediaJSON: {
					Schema: named(schemas, "NewJob", newJobSchema(schemas)),
					Examples: map[string]*huma.Example{
						"ids":   {Value: json.RawMessage(`{"report_ids":[318,319],"notify_candidate":true}`)},
						"items": {Value: json.RawMessage(`{"label":"closed positions","items":[{"report_id":318,"notify_candidate":true,"client_reference":"ticket 4711"},{"report_id":319}]}`)},
					},
				},
				mediaForm:  {Schema: named(schemas, "NewJobForm", newJobFormSchema())},
				mediaXLSX:  {Schema: bytesOf("An .xlsx workbook, at most 20 MiB: a sheet with the columns of text/csv. Numbers, texts and the stored results of formulas count alike. A number from 16 digits on has been rounded by the spreadsheet, so that its row is INVALID.")},
				mediaBytes: {Schema: bytesOf("A table of text/csv or an .xlsx workbook, recognised by its content.")},
				mediaExcel: {Schema: bytesOf("The same: browsers call a CSV file so.")},
				mediaCSV: {
					Schema:  text("A header row that names report_id and, where there are any, notify_candidate and client_reference, in any order, any case, and with spaces, hyphens or underscores; then an item a row (RFC 4180). It is separated by commas, semicolons, tabs or |, which a first line sep= may name; lines end with LF, CRLF or CR; it is in UTF-8 or UTF-16. Other columns are ignored, and so is space around a cell. notify_candidate is true, false, yes, no, 1 or 0 in any case; empty means the default. A report_id of 318.0 is 318; one with an exponent has lost digits, and is INVALID."),
					Example: "report_id,notify_candidate,client_reference\n318,true,ticket 4711\n319,,\n",
				},
				mediaNDJSON: {
					Schema:  text("A Submission a line, in UTF-8."),
					Example: "{\"report_id\":318,\"notify_candidate\":true,\"client_reference\":\"ticket 4711\"}\n{\"report_id\":319}\n",
				},
			},
		},
		Responses: map[string]*huma.Response{
			"202": jobResponse(schemas, "The job, which is durable.", exampleQueued),
		},
	}
	addHeader(op.Responses["202"], "Location", text("Where to poll."), "/jobs/"+exampleQueued.ID.String())
	addHeader(op.Responses["202"], "Retry-After", text("When to poll, in seconds."), "1")
	addProblems(op, codeMalformedJSON, codeRequestTimeout, revocation.CodeUploadInProgress, codeTooLarge, codeUnsupportedMedia,
		revocation.CodeIdempotencyMismatch, revocation.CodeOutcomeUnknown)
	setExample(op, newProblem(codeUnsupportedMedia).withDetail(otherJobMedia))
	return op
}

// bytesOf describes bytes.
func bytesOf(description string) *huma.Schema {
	return &huma.Schema{Type: "string", Format: "binary", Description: description}
}

func newJobFormSchema() *huma.Schema {
	return &huma.Schema{
		Type: "object", AdditionalProperties: false, Required: []string{formFile},
		Description: "As a browser sends it. Fields come before the file; an empty one counts as not given.",
		Properties: map[string]*huma.Schema{
			"notify_candidate": {Type: "boolean", Default: false, Description: "The default of items that do not say."},
			"label":            {Type: "string", MaxLength: new(maxText), Description: "Comes back with the job."},
			"sheet":            {Type: "string", MaxLength: new(maxText), Description: "The sheet of a workbook."},
			formFile:           bytesOf("The list, with any of the other types; application/json has its options in itself. A table may be text/plain or text/tab-separated-values here, and have no type."),
		},
	}
}

func newJobSchema(schemas huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: "object", AdditionalProperties: false,
		Description: "Members may come in any order. What is wrong with an item makes that item INVALID, not the request.",
		OneOf:       []*huma.Schema{{Required: []string{listIDs}}, {Required: []string{listItems}}},
		Properties: map[string]*huma.Schema{
			listIDs:            {Type: "array", MinItems: new(1), Items: submissionSchema().Properties["report_id"]},
			listItems:          {Type: "array", MinItems: new(1), Items: named(schemas, "Submission", submissionSchema())},
			"notify_candidate": {Type: "boolean", Default: false, Description: "The default of items that do not say."},
			"label":            {Type: "string", Nullable: true, MaxLength: new(maxText), Description: "Comes back with the job. At most 255 characters, without NUL."},
		},
	}
}
