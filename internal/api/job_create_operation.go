package api

import (
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/invites"
	"rescind/internal/revocation"
)

func newJobOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "createJob", Method: http.MethodPost, Path: "/jobs",
		Tags: []string{"jobs"}, Security: needs(revocation.ScopeRevoke),
		Summary: "Revoke many candidates' invites",
		Description: `The service reads the body as a stream. It responds when all items are durable, and carries out no item before. If the upload breaks off or is refused, the service keeps no part of it.

An item that cannot be read, or is larger than 64 KiB, gets the status INVALID and a message with the reason. The other items are not affected. Rows are numbered from 1 in the order of the input; blank lines, rows without a filled cell and the header row are not counted. The message also names the line of the file or the row of the sheet. A byte order mark at the beginning is skipped. A report_id may appear more than once.

A job has report_ids, items or a selection. A selection becomes the list of the invites that match all its members and are not revoked, at the moment of the request, in ascending order of report_id. It needs the scope invites too, and its job is always previewed. If no invite matches, the request is refused (422). The criteria are not stored.

With preview, or if the account has limits that the job exceeds, the service predicts the outcome of each item and carries out none until the job is confirmed. reason and candidate_message never stand in a URL: they are members of JSON and fields of a form.

The service refuses the whole body if it is not JSON (400); if it has no item, no header row or unknown members (422); if it has too many items (413); and if no bytes arrive for 15 seconds, or only white space for 30 seconds (408). It also refuses a compressed body that decompresses to many times the size of its items (413). If a file is not a table with a column report_id, the problem names the format of the file or its columns, cut to 64 characters. The body, compressed and decompressed, is at most 64 KiB plus 2 KiB for each item that a job can have; JSON may have 4 MiB if that is less. A value is at most 1 MiB (413) and nested at most 10,000 levels deep (400).`,
		Parameters: []*huma.Param{
			optional("notify_candidate", "The default of items that have no notify_candidate. JSON and forms have it in the body instead.", &huma.Schema{Type: "boolean", Default: false}),
			optional("label", "Returned with the job. JSON and forms have it in the body instead.", &huma.Schema{Type: "string", MaxLength: new(maxText)}),
			optional("not_before", "Nothing is done before this time, at most 90 days ahead; a past time counts as now. JSON and forms have it in the body instead.", &huma.Schema{Type: "string", Format: "date-time"}),
			optional("preview", "Whether the job is previewed and waits for a confirmation. JSON and forms have it in the body instead.", &huma.Schema{Type: "boolean", Default: false}),
			optional("sheet", "The name of the workbook's sheet to read. The default is the first sheet with a column report_id. For tables only.", &huma.Schema{Type: "string", MaxLength: new(maxText)}),
			{
				Name: "Content-Encoding", In: "header", Description: "gzip if the body is compressed.",
				Schema: &huma.Schema{Type: "string", Enum: []any{"gzip", "identity"}},
			},
			idempotencyKeyParam("Makes the request repeatable for at least 24 hours: the same key with the same query and the same content returns the same job in its present state. The content is compared byte by byte after decompression; of a form, the values of the fields and the bytes and type of the file are compared. While the first upload runs, the response is 409. Keys of different accounts are independent."),
		},
		RequestBody: &huma.RequestBody{
			Required: true,
			Content: map[string]*huma.MediaType{
				mediaJSON: {
					Schema: named(schemas, "NewJob", newJobSchema(schemas)),
					Examples: map[string]*huma.Example{
						"ids":     {Value: json.RawMessage(`{"report_ids":[318,319],"notify_candidate":true}`)},
						"preview": {Value: json.RawMessage(`{"report_ids":[318,319],"notify_candidate":true,"preview":true,"reason":"the role is filled","candidate_message":"Thank you for your time.\nThe role is filled."}`)},
						"select":  {Value: json.RawMessage(`{"select":{"assessment_name":"Backend","sent_before":"2026-03-01T00:00:00Z","state":"PENDING"},"notify_candidate":true,"reason":"the role is filled"}`)},
						"items":   {Value: json.RawMessage(`{"label":"closed positions","items":[{"report_id":318,"notify_candidate":true,"client_reference":"ticket 4711","reason":"withdrew"},{"report_id":319}]}`)},
					},
				},
				mediaForm:  {Schema: named(schemas, "NewJobForm", newJobFormSchema())},
				mediaXLSX:  {Schema: bytesOf("An .xlsx workbook of at most 20 MiB with a sheet that has the columns of text/csv. Cells may be numbers, texts or stored results of formulas. A spreadsheet rounds numbers of 16 digits and more, so a row with such a report_id is INVALID.")},
				mediaBytes: {Schema: bytesOf("A table of text/csv or an .xlsx workbook, recognised by its content.")},
				mediaExcel: {Schema: bytesOf("The same as application/octet-stream. Some browsers send CSV files with this type.")},
				mediaCSV: {
					Schema:  text("A header row, then one item in each row (RFC 4180). The header row must name report_id and may name notify_candidate, client_reference and reason, in any order and case, with spaces, hyphens or underscores. The separator is a comma, semicolon, tab or |; a first line sep= may name it. Lines end with LF, CRLF or CR. The encoding is UTF-8 or UTF-16. Other columns are ignored, and so is space around a cell. notify_candidate is true, false, yes, no, 1 or 0 in any case; empty means the default. A report_id of 318.0 is 318; one with an exponent has lost digits and is INVALID."),
					Example: "report_id,notify_candidate,client_reference,reason\n318,true,ticket 4711,withdrew\n319,,,\n",
				},
				mediaNDJSON: {
					Schema:  text("One Item in each line, in UTF-8."),
					Example: "{\"report_id\":318,\"notify_candidate\":true,\"client_reference\":\"ticket 4711\",\"reason\":\"withdrew\"}\n{\"report_id\":319}\n",
				},
			},
		},
		Responses: map[string]*huma.Response{
			"202": jobResponse(schemas, "The job. It is durable.", exampleQueued),
		},
	}
	addHeader(op.Responses["202"], "Location", text("Where to poll."), "/jobs/"+exampleQueued.ID.String())
	addHeader(op.Responses["202"], "Retry-After", text("When to poll, in seconds."), "1")
	addProblems(op, codeMalformedJSON, codeRequestTimeout, revocation.CodeUploadInProgress, codeTooLarge, codeUnsupportedMedia,
		revocation.CodeIdempotencyMismatch, revocation.CodeNotSupported, revocation.CodeOutcomeUnknown)
	setExample(op, newProblem(codeUnsupportedMedia).withDetail(otherJobMedia))
	setExample(op, problemOf(supportsMessage(revocation.Caller{Upstream: true}, "candidate_message", new(""))))
	return op
}

// bytesOf returns the schema of binary content.
func bytesOf(description string) *huma.Schema {
	return &huma.Schema{Type: "string", Format: "binary", Description: description}
}

// jobOptionSchemas returns the schemas of the options that JSON and forms share. Options that are not boolean may be null if
// nullable is true.
func jobOptionSchemas(nullable bool) map[string]*huma.Schema {
	return map[string]*huma.Schema{
		"notify_candidate":  {Type: "boolean", Default: false, Description: "The default of items that have no notify_candidate."},
		"preview":           {Type: "boolean", Default: false, Description: "Whether the job is previewed and waits for a confirmation."},
		"label":             {Type: "string", Nullable: nullable, MaxLength: new(maxText), Description: "Returned with the job. At most 255 characters, without NUL."},
		"reason":            {Type: "string", Nullable: nullable, MaxLength: new(maxText), Description: "Why the items are revoked. Returned to callers of the API and never mailed. An item's own reason counts instead. At most 255 characters, without NUL."},
		"candidate_message": {Type: "string", Nullable: nullable, MaxLength: new(maxMessage), Description: "Plain text in the emails to the candidates. At most 1000 characters, without control characters except line breaks, and without web and email addresses unless the operator allows them for the account. Not supported if the account is on an upstream."},
		"not_before":        {Type: "string", Format: "date-time", Nullable: nullable, Description: "Nothing is done before this time, at most 90 days ahead. A past time counts as now."},
	}
}

func newJobFormSchema() *huma.Schema {
	properties := jobOptionSchemas(false)
	properties["sheet"] = &huma.Schema{Type: "string", MaxLength: new(maxText), Description: "The name of the workbook's sheet to read."}
	properties[formFile] = bytesOf("The list, with one of the other types. Each option of application/json is a member of it or a field. Here a table may also be text/plain or text/tab-separated-values, or have no type.")
	return &huma.Schema{
		Type: "object", AdditionalProperties: false, Required: []string{formFile},
		Description: "A form as a browser sends it. The fields come before the file. An empty field counts as not given.",
		Properties:  properties,
	}
}

func itemSchema() *huma.Schema {
	s := submissionSchema()
	return &huma.Schema{
		Type: "object", AdditionalProperties: false, Required: s.Required,
		Properties: map[string]*huma.Schema{
			"report_id": s.Properties["report_id"], "notify_candidate": s.Properties["notify_candidate"],
			"client_reference": s.Properties["client_reference"],
			"reason":           {Type: "string", MaxLength: new(maxText), Description: "Why this item is revoked; the default is the job's reason. At most 255 characters, without NUL."},
		},
	}
}

func newJobSchema(schemas huma.Registry) *huma.Schema {
	properties := jobOptionSchemas(true)
	properties[listIDs] = &huma.Schema{Type: "array", MinItems: new(1), Items: submissionSchema().Properties["report_id"]}
	properties[listItems] = &huma.Schema{Type: "array", MinItems: new(1), Items: named(schemas, "Item", itemSchema())}
	properties[listSelect] = named(schemas, "Selection", selectionSchema())
	return &huma.Schema{
		Type: "object", AdditionalProperties: false,
		Description: "Members may come in any order. A fault in an item makes that item INVALID. It does not refuse the request.",
		OneOf:       []*huma.Schema{{Required: []string{listIDs}}, {Required: []string{listItems}}, {Required: []string{listSelect}}},
		Properties:  properties,
	}
}

func selectionSchema() *huma.Schema {
	return &huma.Schema{
		Type: "object", AdditionalProperties: false, MinProperties: new(1),
		Description: "An invite must match all members and not be revoked. No member may be empty or null. Straight after an upgrade, until all invites can be found by their texts, candidate_emails and assessment_name are 503 unavailable.",
		Properties: map[string]*huma.Schema{
			selectEmails: {
				Type: "array", MinItems: new(1), MaxItems: new(revocation.MaxSelectionEmails),
				Items:       &huma.Schema{Type: "string", MaxLength: new(invites.MaxEmail)},
				Description: "Only invites to these addresses, compared without case. White space around an address does not count.",
			},
			"assessment_id": text("As in GET /invites."), "assessment_name": text("As in GET /invites."), "state": text("As in GET /invites."),
			"sent_after": instant("As in GET /invites."), "sent_before": instant("As in GET /invites."),
		},
	}
}
