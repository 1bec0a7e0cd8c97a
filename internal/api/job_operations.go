package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

func getJobOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "getJob", Method: http.MethodGet, Path: "/jobs/{id}",
		Tags: []string{"jobs"}, Security: needs(revocation.ScopeRead),
		Summary:     "Poll a job",
		Description: "Tells how far it has come. Another account's job is not found, like one that never was.",
		Parameters: []*huma.Param{
			idParam(),
			preferParam("wait=N waits up to N seconds, 30 at most, until the job has ended. Others are ignored."),
			ifNoneMatchParam(),
		},
		Responses: map[string]*huma.Response{
			"200": jobResponse(schemas, "The job as it stands.", exampleRunning, exampleCompleted),
			"304": {Description: "Nothing has changed."},
		},
	}
	addTags(op, "Names this state of the job, its speed included.")
	addProblems(op, revocation.CodeNotFound)
	return op
}

func listJobsOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "listJobs", Method: http.MethodGet, Path: "/jobs",
		Tags: []string{"jobs"}, Security: needs(revocation.ScopeRead),
		Summary:     "List jobs",
		Description: "The account's jobs, newest first, in pages. A parameter without a value counts as not given; each may be given once.",
		Parameters:  []*huma.Param{limitParam(), cursorParam()},
		Responses: map[string]*huma.Response{"200": {
			Description: "A page.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema:  jobPageRef(schemas),
				Example: json.RawMessage(appendPage(nil, []revocation.Job{exampleRunning}, appendJob, "")),
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
		Tags: []string{"jobs"}, Security: needs(revocation.ScopeRead),
		Summary: "Get a job's items",
		Description: `The items in the order of the input, also while the job runs: each is told once, as it stands when it is read.

Accept chooses the form. application/json, the default, comes in pages. application/x-ndjson and text/csv are streamed whole, without limit and cursor; one that ends in an error, or at a stop of the service, breaks the connection, so that a part is not taken for the whole: ask again. Of several that are liked as much, the one counts that is named more exactly, then the one that is named first. When none of them is acceptable, the answer is JSON.

In CSV, values that are not there are empty cells. A text that a spreadsheet may run as a formula begins with an apostrophe: one that starts with =, +, -, @ or a control character, whatever white space and quotes stand before it. The same is done within a text after a semicolon, a tab, a | and a line break, where some spreadsheets begin a cell. So an apostrophe was added where one stands at such a place and what follows it would get one.`,
		Parameters: []*huma.Param{
			idParam(),
			statusFilterParam(),
			limitParam(), cursorParam(),
			optional("bom", "Begins with a byte order mark, by which Excel knows UTF-8; with text/csv only.", &huma.Schema{Type: "boolean", Default: false}),
		},
		Responses: map[string]*huma.Response{"200": {
			Description: "A page, or all items as a stream.",
			Content: map[string]*huma.MediaType{
				mediaJSON: {
					Schema:  resultPageRef(schemas),
					Example: json.RawMessage(appendPage(nil, exampleResults, appendResult, "")),
				},
				mediaNDJSON: {Schema: text("A Result a line."), Example: string(lines)},
				mediaCSV:    {Schema: text("A header row, then an item a row (RFC 4180), in UTF-8."), Example: string(rows)},
			},
		}},
	}
	addHeader(op.Responses["200"], "Content-Disposition", text("A name for the file; with text/csv only."),
		`attachment; filename="job-0197a3c2-8f4e-7b1a-9c3d-5e6f00000000-results.csv"`)
	sometimes(op.Responses["200"], "Content-Disposition")
	addProblems(op, revocation.CodeNotFound, revocation.CodeInvalid, revocation.CodeUnavailable, revocation.CodeInternal)
	for status, response := range op.Responses {
		addHeader(response, "Vary", text("Accept"), "Accept")
		if status >= "500" { // they may come before the header is looked at
			sometimes(response, "Vary")
		}
	}
	return op
}

func jobEventsOperation() *huma.Operation {
	op := &huma.Operation{
		OperationID: "getJobEvents", Method: http.MethodGet, Path: "/jobs/{id}/events",
		Tags: []string{"jobs"}, Security: needs(revocation.ScopeRead),
		Summary: "Follow a job",
		Description: `Server-sent events, each with the job as JSON: progress at once and about twice a second while the job runs, then done, and the stream ends. Of a job that has ended there are one of each.

A stream that ends without done was cut off, as by a restart of the service: ask again. A browser's EventSource does that by itself; close it at done.`,
		Parameters: []*huma.Param{idParam()},
		Responses: map[string]*huma.Response{"200": {
			Description: "The stream.",
			Content: map[string]*huma.MediaType{mediaEvents: {
				Schema:  text("Events named progress and done; their data is a Job."),
				Example: string(appendEvent(appendEvent([]byte(eventRetry), eventProgress, &exampleRunning), eventDone, &exampleCompleted)),
			}},
		}},
	}
	addHeader(op.Responses["200"], "X-Accel-Buffering", text("Has proxies hand on each event at once."), "no")
	addProblems(op, revocation.CodeNotFound)
	return op
}

func cancelJobOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "cancelJob", Method: http.MethodPost, Path: "/jobs/{id}/cancel",
		Tags: []string{"jobs"}, Security: needs(revocation.ScopeRevoke),
		Summary: "Cancel a job",
		Description: `Items that are not carried out yet become CANCELLED, and so do those that wait for another attempt, except one that an upstream may have carried out, which gets its attempt. Those under way end. What is revoked stays revoked.

The job is CANCELLING until its last item is final, and then CANCELLED. Cancelling it again, even after it has ended, answers with the job as it is. A COMPLETED job is refused. A body is ignored.`,
		Parameters: []*huma.Param{idParam()},
		Responses: map[string]*huma.Response{
			"202": jobResponse(schemas, "The job is being cancelled, or was cancelled before.", exampleCancelling),
		},
	}
	addProblems(op, revocation.CodeNotFound, revocation.CodeJobEnded, revocation.CodeOutcomeUnknown)
	return op
}

func retryJobOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "retryJob", Method: http.MethodPost, Path: "/jobs/{id}/retry",
		Tags: []string{"jobs"}, Security: needs(revocation.ScopeRevoke),
		Summary: "Try a job's failed items again",
		Description: `Makes a new job of the items that ended as ERROR_REVOKING, in their order, with their wishes for an email, their client_reference and the label. It is 422 when there are none.

A job has one retry at a time: until that has ended, another is 409 retry_running, and job_id names the retry that has not. It is found from when its own request has been answered.

A body is not looked at.`,
		Parameters: []*huma.Param{
			idParam(),
			idempotencyKeyParam("Makes the request repeatable for at least 24 hours: the same key for the same job returns the same new job, by its present state, before anything else is checked. It counts within an account."),
		},
		Responses: map[string]*huma.Response{
			"202": jobResponse(schemas, "The new job, which is durable.", exampleRetry),
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

// The examples are written by the code that writes the answers.
var (
	exampleQueued  = exampleJob(func(*revocation.Job) {})
	exampleRunning = exampleJob(func(j *revocation.Job) {
		j.State, j.StartedAt = revocation.JobRunning, j.CreatedAt().Add(2*time.Second)
		j.Retrying = 12
		j.Counts = revocation.Counts{Revoked: 590_000, NotAllowed: 9000, NotFound: 888, Invalid: 100}
		j.ReadAt = j.CreatedAt().Add(30 * time.Second)
		j.Since, j.SinceDone = j.ReadAt.Add(-10*time.Second), 389_988
	})
	exampleCompleted = exampleJob(func(j *revocation.Job) {
		j.State, j.StartedAt = revocation.JobCompleted, j.CreatedAt().Add(2*time.Second)
		j.FinishedAt = j.StartedAt.Add(48 * time.Second)
		j.Counts = revocation.Counts{Revoked: 990_000, NotAllowed: 9000, NotFound: 890, ErrorRevoking: 10, Invalid: 100}
	})
	exampleCancelling = exampleJob(func(j *revocation.Job) {
		*j = exampleRunning
		j.State = revocation.JobCancelling
	})
	exampleRetry = exampleJob(func(j *revocation.Job) {
		j.RetryOf = j.ID
		j.ID, _ = revocation.ParseID("0197a3c4-1b2c-7d3e-8f40-516200000000")
		j.Total = 10
	})

	exampleResults = []revocation.Revocation{
		exampleResult(1, revocation.StatusRevoked, func(r *revocation.Revocation) {
			r.ClientReference = new("ticket 4711")
			r.Notification.Status = revocation.NotificationPending
		}),
		exampleResult(2, revocation.StatusNotAllowed, func(r *revocation.Revocation) {
			r.Timestamp = "2025-01-15 10:32:45"
		}),
		exampleResult(3, revocation.StatusInvalid, func(r *revocation.Revocation) {
			r.Invalid, r.Attempts = "report_id must be an integer.", 0
		}),
	}
)

func exampleJob(change func(*revocation.Job)) revocation.Job {
	j := revocation.Job{
		ID: revocation.JobID(exampleRevoked.ID), Label: new("closed positions"), State: revocation.JobQueued,
		RequestedBy: exampleRevoked.RequestedBy, Total: 1_000_000,
	}
	change(&j)
	return j
}

func exampleResult(row int, status revocation.Status, change func(*revocation.Revocation)) revocation.Revocation {
	return exampleRevocation(status, func(r *revocation.Revocation) {
		r.Job = revocation.JobID(r.ID)
		r.ID, r.ReportID = r.Job.Item(row), int64(317+row)
		change(r)
	})
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
			Summary: string(j.State), Value: json.RawMessage(appendJob(nil, &j)),
		}
	}
	return response
}
