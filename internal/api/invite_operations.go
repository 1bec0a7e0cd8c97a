package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

const onlyDatabase = " The response is 422 not_supported for an account whose invites are at an upstream."

func putInvitesOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "putInvites", Method: http.MethodPut, Path: "/invites",
		Tags: []string{"invites"}, Security: needsAll(revocation.ScopeRevoke, revocation.ScopeInvites),
		Summary: "Import invites",
		Description: `Adds invites, or changes those with the same report_id. The service reads the body as a stream and writes it in parts. A revoked invite stays revoked. A column or member that is absent leaves what is stored, and so does an empty state; an empty assessment_id or language removes it.

Rows that cannot be read are named in errors, the first 100; the others are written. If the request fails or the connection breaks, what was written stays, and the same body may be sent again. The bounds on the size of a body, on pauses and on compressed bodies are those of POST /jobs.

sent_at is in RFC 3339 format, also with a space instead of the T, and with offsets such as +00 and +0530. Without a zone it is a time in timezone; without timezone, the row cannot be read. Of a time that occurs twice, because clocks were set back, the first is meant; a time that does not exist makes the row bad. Control characters in names become spaces.` + onlyDatabase,
		Parameters: []*huma.Param{
			optional("timezone", "The IANA name of the zone of times without a zone.", &huma.Schema{Type: "string", Examples: []any{"Europe/Berlin"}}),
			optional("sheet", "The name of the workbook's sheet to read. The default is the first sheet with the columns. For tables only.", &huma.Schema{Type: "string", MaxLength: new(maxText)}),
			{
				Name: "Content-Encoding", In: "header", Description: "gzip if the body is compressed.",
				Schema: &huma.Schema{Type: "string", Enum: []any{"gzip", "identity"}},
			},
		},
		RequestBody: &huma.RequestBody{
			Required: true,
			Content: map[string]*huma.MediaType{
				mediaCSV: {
					Schema:  text("A header row, then one invite in each row, as in POST /jobs. The columns report_id, candidate_name, candidate_email, assessment_name and sent_at are needed; assessment_id (up to 255 characters), language (a BCP 47 tag) and state (PENDING, STARTED or COMPLETED) are optional."),
					Example: "report_id,candidate_name,candidate_email,assessment_name,sent_at\n318,Ada Lovelace,ada@example.com,Backend,2026-01-01T00:00:00Z\n",
				},
				mediaNDJSON: {
					Schema:  text("An object in each line, whose members are the columns of text/csv."),
					Example: "{\"report_id\":318,\"candidate_name\":\"Ada Lovelace\",\"candidate_email\":\"ada@example.com\",\"assessment_name\":\"Backend\",\"sent_at\":\"2026-01-01T00:00:00Z\"}\n",
				},
				mediaXLSX:  {Schema: bytesOf("An .xlsx workbook of at most 20 MiB with a sheet that has the columns of text/csv.")},
				mediaBytes: {Schema: bytesOf("A table of text/csv or an .xlsx workbook, recognised by its content.")},
				mediaExcel: {Schema: bytesOf("The same as application/octet-stream.")},
			},
		},
		Responses: map[string]*huma.Response{"200": {
			Description: "At least one invite is written.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema: schemaOf[importBody](schemas, "What became of the rows."),
				Example: json.RawMessage(jsonOf(importBody{Read: 2, Written: 1, Errors: []rowErrorBody{{
					Row: 2, Code: "invalid_format", Detail: "Line 3: candidate_email: not an email address.",
				}}})),
			}},
		}},
	}
	addProblems(op, codeMalformedJSON, codeRequestTimeout, codeTooLarge, codeUnsupportedMedia, revocation.CodeNotSupported, revocation.CodeOutcomeUnknown)
	setExample(op, newProblem(codeUnsupportedMedia).withDetail(otherImportMedia))
	setExample(op, newProblem(codeMalformedJSON).withDetail(notGzipDetail))
	return op
}

func listInvitesOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "listInvites", Method: http.MethodGet, Path: "/invites",
		Tags: []string{"invites"}, Security: needs(revocation.ScopeInvites),
		Summary:     "List invites",
		Description: "Returns the account's invites that match all filters, newest first. Personal data must not be in a URL: to find a person, use POST /invites/search." + onlyDatabase,
		Parameters: []*huma.Param{
			optional("assessment_id", "Only invites with this assessment_id, compared exactly. White space around it does not count.", &huma.Schema{Type: "string"}),
			optional("assessment_name", "Only invites with this assessment_name, compared without case. White space around it does not count.", &huma.Schema{Type: "string"}),
			optional("revoked", "Only invites that are revoked, or that are not.", &huma.Schema{Type: "boolean"}),
			optional("state", "Only invites in this state. Separate several by commas.", &huma.Schema{Type: "string", Examples: []any{"STARTED,COMPLETED"}}),
			optional("sent_after", "Only invites that were sent at this time or later.", &huma.Schema{Type: "string", Format: "date-time"}),
			optional("sent_before", "Only invites that were sent before this time.", &huma.Schema{Type: "string", Format: "date-time"}),
			limitParam(), cursorParam(),
		},
		Responses: map[string]*huma.Response{"200": invitePage(schemas)},
	}
	addProblems(op, revocation.CodeNotSupported)
	return op
}

func searchInvitesOperation(schemas huma.Registry) *huma.Operation {
	member := func(description string) *huma.Schema { return maybe(text(description)) }
	op := &huma.Operation{
		OperationID: "searchInvites", Method: http.MethodPost, Path: "/invites/search",
		Tags: []string{"invites"}, Security: needs(revocation.ScopeInvites),
		Summary:     "Find invites by person or assessment",
		Description: "Returns the account's invites that match all members. Without q the newest come first. With q, those whose name begins with it come first, then those whose address does, then those whose assessment name does, each in the order of that text. Texts are compared without case, and white space around them does not count; one of white space alone is a fault. null counts as not given." + onlyDatabase,
		RequestBody: &huma.RequestBody{
			Required: true, Description: "At most 64 KiB.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema: named(schemas, "InviteSearch", &huma.Schema{
					Type: "object", AdditionalProperties: false,
					Properties: map[string]*huma.Schema{
						"candidate_email": member("Only invites to this address."),
						"q":               {Type: "string", Nullable: true, Description: "Only invites whose name, address or assessment name begins with this. 2 characters or more."},
						"assessment_id":   member("As in GET /invites."), "assessment_name": member("As in GET /invites."),
						"revoked": {Type: "boolean", Nullable: true, Description: "As in GET /invites."},
						"state":   member("As in GET /invites."), "sent_after": maybe(instant("As in GET /invites.")), "sent_before": maybe(instant("As in GET /invites.")),
						"limit":  {Type: "integer", Nullable: true, Minimum: new(1.0), Maximum: new(float64(maxLimit)), Default: defaultLimit, Description: "The largest number of entries in a page. " + shortPages},
						"cursor": member("The next_cursor of the previous page of the same search."),
					},
				}),
				Examples: map[string]*huma.Example{
					"a person": {Value: json.RawMessage(`{"candidate_email":"ada@example.com"}`)},
					"a word":   {Value: json.RawMessage(`{"q":"ada","revoked":false,"limit":20}`)},
				},
			}},
		},
		Responses: map[string]*huma.Response{"200": invitePage(schemas)},
	}
	addProblems(op, codeMalformedJSON, codeRequestTimeout, codeTooLarge, codeUnsupportedMedia, revocation.CodeNotSupported)
	return op
}

func getInviteOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "getInvite", Method: http.MethodGet, Path: "/invites/{report_id}",
		Tags: []string{"invites"}, Security: needs(revocation.ScopeInvites),
		Summary:     "Get an invite",
		Description: "Returns the invite, with the revocation that revoked it. The response for another account's invite is the same 404 as for an unknown one." + onlyDatabase,
		Parameters: []*huma.Param{{
			Name: "report_id", In: "path", Required: true, Schema: &huma.Schema{Type: "integer", Format: "int64", Minimum: new(1.0)},
		}},
		Responses: map[string]*huma.Response{"200": {
			Description: "The invite.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema:  schemaOf[inviteDetailsBody](schemas, "An invite with the revocation that revoked it."),
				Example: json.RawMessage(jsonOf(inviteDetailsOf(&exampleInvite))),
			}},
		}},
	}
	addProblems(op, revocation.CodeNotFound, revocation.CodeNotSupported)
	return op
}

func forgetInviteOperation() *huma.Operation {
	op := &huma.Operation{
		OperationID: "forgetInvite", Method: http.MethodDelete, Path: "/invites/{report_id}",
		Tags: []string{"invites"}, Security: needsAll(revocation.ScopeRevoke, revocation.ScopeInvites),
		Summary:     "Forget a candidate",
		Description: "Erases the candidate's name and address from the invite, and its emails that are not sent yet. The invite and its revocations stay, and an import leaves the erased values empty. The response is the same if the candidate is forgotten already." + onlyDatabase,
		Parameters: []*huma.Param{{
			Name: "report_id", In: "path", Required: true, Schema: &huma.Schema{Type: "integer", Format: "int64", Minimum: new(1.0)},
		}},
		Responses: map[string]*huma.Response{"204": {Description: "The candidate is forgotten."}},
	}
	addProblems(op, revocation.CodeNotFound, revocation.CodeNotSupported)
	return op
}

func invitePage(schemas huma.Registry) *huma.Response {
	return &huma.Response{
		Description: "A page.",
		Content: map[string]*huma.MediaType{mediaJSON: {
			Schema:  schemaOf[pageBody[InviteBody]](schemas, "A page of invites."),
			Example: json.RawMessage(jsonOf(pageOf([]revocation.StoredInvite{exampleInvite}, inviteOf, ""))),
		}},
	}
}

var exampleInvite = revocation.StoredInvite{
	Invite: revocation.Invite{
		ReportID: 318, CandidateName: "Ada Lovelace", CandidateEmail: "ada@example.com", AssessmentName: "Backend",
		AssessmentID: new("backend-1"), Language: new("en"), Progress: revocation.ProgressPending,
		SentAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	},
	Predicted: revocation.StatusRevoked,
}
