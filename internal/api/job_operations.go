package api

import (
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

func getJobOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "getJob", Method: http.MethodGet, Path: "/jobs/{id}",
		Tags: []string{"jobs"}, Security: needs(revocation.ScopeRead, revocation.ScopeApprove),
		Summary:     "Poll a job",
		Description: "Returns the job in its present state. The response for another account's job is the same 404 as for an unknown one.",
		Parameters: []*huma.Param{
			idParam(),
			preferParam("wait=N waits up to N seconds, at most 30, until the job has ended or waits for a person or a time: PREVIEWED, AWAITING_APPROVAL or SCHEDULED. Other preferences are ignored."),
			ifNoneMatchParam(),
		},
		Responses: map[string]*huma.Response{
			"200": jobResponse(schemas, "The job in its present state.", examplePreviewed, exampleRunning, exampleCompleted),
			"304": {Description: "Nothing has changed."},
		},
	}
	addTags(op, "Identifies this state of the job, including its speed.")
	addProblems(op, revocation.CodeNotFound)
	return op
}

func listJobsOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "listJobs", Method: http.MethodGet, Path: "/jobs",
		Tags: []string{"jobs"}, Security: needs(revocation.ScopeRead, revocation.ScopeApprove),
		Summary:     "List jobs",
		Description: "The account's jobs, newest first, in pages. " + shortPages + " A parameter without a value counts as not given. Each parameter may be given once.",
		Parameters:  []*huma.Param{stateFilterParam(), limitParam(), cursorParam()},
		Responses: map[string]*huma.Response{"200": {
			Description: "A page.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema:  schemaOf[pageBody[jobBody]](schemas, "A page of jobs."),
				Example: json.RawMessage(jsonOf(pageOf([]revocation.Job{exampleRunning}, jobOf, ""))),
			}},
		}},
	}
	return op
}

func jobResultsOperation(schemas huma.Registry) *huma.Operation {
	var lines []byte
	rows := []byte(resultColumns)
	for i := range exampleResults {
		lines = appendResultLine(lines, &exampleResults[i])
		rows = appendResultRow(rows, &exampleResults[i])
	}
	op := &huma.Operation{
		OperationID: "getJobResults", Method: http.MethodGet, Path: "/jobs/{id}/results",
		Tags: []string{"jobs"}, Security: needs(revocation.ScopeRead, revocation.ScopeApprove),
		Summary: "Get a job's items",
		Description: `Returns the items in the order of the input, also while the job runs. Each item appears once, in its state at the time of reading. An EXPIRED job has no items.

Accept selects the format. application/json, the default, is paged. ` + shortPages + ` application/x-ndjson and text/csv are streams of all items, without limit and cursor. If an error or a stop of the service ends a stream early, the service breaks the connection, so that the client can detect an incomplete response and repeat the request. Among media types of equal weight, the service selects the one that is named most exactly, then the one that is named first. If no media type is acceptable, the response is JSON.

In CSV, missing values are empty cells. The service puts an apostrophe before a text that a spreadsheet may run as a formula: a text that starts with =, +, -, @ or a control character, also after white space and quotes. It does the same within a text after a semicolon, a tab, a | and a line break, where some spreadsheets begin a new cell. To restore the text, remove each apostrophe at such a place if the text after it would get one.`,
		Parameters: []*huma.Param{
			idParam(),
			statusFilterParam(), predictedFilterParam(),
			limitParam(), cursorParam(),
			optional("bom", "Whether the response begins with a byte order mark, which makes Excel recognise UTF-8. For text/csv only.", &huma.Schema{Type: "boolean", Default: false}),
		},
		Responses: map[string]*huma.Response{"200": {
			Description: "A page, or all items as a stream.",
			Content: map[string]*huma.MediaType{
				mediaJSON: {
					Schema:  schemaOf[pageBody[*resultBody]](schemas, "A page of a job's items."),
					Example: json.RawMessage(jsonOf(pageOf(exampleResults, resultOf, ""))),
				},
				mediaNDJSON: {Schema: text("One Result in each line."), Example: string(lines)},
				mediaCSV:    {Schema: text("A header row, then one item in each row (RFC 4180), in UTF-8."), Example: string(rows)},
			},
		}},
	}
	addHeader(op.Responses["200"], "Content-Disposition", text("The name of the file. For text/csv only."),
		`attachment; filename="job-0197a3c2-8f4e-7b1a-9c3d-5e6f00000000-results.csv"`)
	sometimes(op.Responses["200"], "Content-Disposition")
	addProblems(op, revocation.CodeNotFound, revocation.CodeInvalid, revocation.CodeUnavailable, revocation.CodeInternal)
	for status, response := range op.Responses {
		addHeader(response, "Vary", text("Accept"), "Accept")
		if status >= "500" { // the service may fail before it reads Accept
			sometimes(response, "Vary")
		}
	}
	return op
}

func jobEventsOperation() *huma.Operation {
	op := &huma.Operation{
		OperationID: "getJobEvents", Method: http.MethodGet, Path: "/jobs/{id}/events",
		Tags: []string{"jobs"}, Security: needs(revocation.ScopeRead, revocation.ScopeApprove),
		Summary: "Follow a job",
		Description: `Server-sent events, each with the job as JSON. The service sends progress at once, and about twice a second in PREVIEWING, QUEUED, RUNNING and CANCELLING. When the job has ended, or waits for a person or a time (PREVIEWED, AWAITING_APPROVAL, SCHEDULED), it sends done and ends the stream. For a job that has already ended or waits, it sends one progress and one done.

A stream that ends without done is incomplete, for example after a restart of the service. Open it again. A browser's EventSource does that by itself; close it after done.`,
		Parameters: []*huma.Param{idParam()},
		Responses: map[string]*huma.Response{"200": {
			Description: "The stream.",
			Content: map[string]*huma.MediaType{mediaEvents: {
				Schema:  text("Events named progress and done; their data is a Job."),
				Example: string(appendEvent(appendEvent([]byte(eventRetry), eventProgress, &exampleRunning), eventDone, &exampleCompleted)),
			}},
		}},
	}
	addHeader(op.Responses["200"], "X-Accel-Buffering", text("Makes proxies forward each event at once."), "no")
	addProblems(op, revocation.CodeNotFound)
	return op
}

func retryJobOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "retryJob", Method: http.MethodPost, Path: "/jobs/{id}/retry",
		Tags: []string{"jobs"}, Security: needs(revocation.ScopeRevoke),
		Summary: "Retry a job's failed items",
		Description: `Creates a new job with the items that ended as ERROR_REVOKING, in their order, with their notify_candidate, client_reference and reason, and with the job's label, reason and candidate_message, but not its not_before. If there are no such items, the response is 422.

The account's hold and limits apply to the new job: it can be SCHEDULED, or be previewed and wait for a confirmation.

A job has one retry at a time. Until that has ended, the response is 409 retry_running, and job_id names the retry that runs. That job can be polled once the request that created it has been answered.

The body is ignored.`,
		Parameters: []*huma.Param{
			idParam(),
			idempotencyKeyParam("Makes the request repeatable for at least 24 hours: the same key for the same job returns the same new job in its present state, before any other check. Keys of different accounts are independent."),
		},
		Responses: map[string]*huma.Response{
			"202": jobResponse(schemas, "The new job. It is durable.", exampleRetry),
		},
	}
	addHeader(op.Responses["202"], "Location", text("Where to poll."), "/jobs/"+exampleRetry.ID.String())
	addHeader(op.Responses["202"], "Retry-After", text("When to poll, in seconds."), "1")
	addProblems(op, revocation.CodeNotFound, revocation.CodeJobRunning, revocation.CodeRetryRunning,
		revocation.CodeUploadInProgress, revocation.CodeInvalid, revocation.CodeIdempotencyMismatch, revocation.CodeOutcomeUnknown)
	setExample(op, problemOf(&revocation.Error{Code: revocation.CodeRetryRunning, Job: exampleRetry.ID}))
	op.Responses["422"].Content[mediaProblem].Examples["nothing to retry"] = &huma.Example{Summary: "nothing to retry", Value: nothingToRetry()}
	return op
}

func jobResponse(schemas huma.Registry, description string, examples ...revocation.Job) *huma.Response {
	response := &huma.Response{
		Description: description,
		Content: map[string]*huma.MediaType{mediaJSON: {
			Schema: jobRef(schemas), Examples: map[string]*huma.Example{},
		}},
	}
	for _, j := range examples {
		response.Content[mediaJSON].Examples[string(j.State)] = &huma.Example{
			Summary: string(j.State), Value: json.RawMessage(jsonOf(jobOf(&j))),
		}
	}
	return response
}
