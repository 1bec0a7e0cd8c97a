package api

import (
	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

func jobRef(schemas huma.Registry) *huma.Schema { return named(schemas, "Job", jobSchema()) }

func resultRef(schemas huma.Registry) *huma.Schema { return named(schemas, "Result", resultSchema()) }

func jobPageRef(schemas huma.Registry) *huma.Schema {
	return named(schemas, "JobPage", pageSchema(jobRef(schemas)))
}

func resultPageRef(schemas huma.Registry) *huma.Schema {
	return named(schemas, "ResultPage", pageSchema(resultRef(schemas)))
}

// pageSchema returns the schema of a page of a list.
func pageSchema(entry *huma.Schema) *huma.Schema {
	return &huma.Schema{
		Type: "object", Required: []string{"data", "next_cursor"},
		Properties: map[string]*huma.Schema{
			"data":        {Type: "array", Items: entry},
			"next_cursor": {Type: "string", Nullable: true, Description: "The cursor of the next page. Only null is the end of the list."},
		},
	}
}

func jobSchema() *huma.Schema {
	return &huma.Schema{
		Type:        "object",
		Description: "A bulk request: many revocations under one id. At every read, total equals the sum of pending, retrying and counts.",
		Required: []string{
			"id", "label", "state", "retry_of", "total", "pending", "retrying", "counts", "notifications", "file", "progress",
			"items_per_second", "eta", "requested_by", "created_at", "started_at", "finished_at",
		},
		Properties: map[string]*huma.Schema{
			"id":    {Type: "string", Format: "uuid", Description: "The id of the job."},
			"label": maybe(text("The label that was sent.")),
			"state": {
				Type:        "string",
				Enum:        oneOf(revocation.JobQueued, revocation.JobRunning, revocation.JobCompleted, revocation.JobCancelling, revocation.JobCancelled),
				Description: "QUEUED until the first attempt starts. COMPLETED and CANCELLED are final: all items are final, but emails may still be sent. CANCELLED follows CANCELLING.",
			},
			"retry_of": {Type: "string", Format: "uuid", Nullable: true, Description: "The job whose failed items this job retries."},
			"total":    amount("The number of items."),
			"pending":  amount("The items that are not final and have no ended attempt."),
			"retrying": amount("The items that wait for another attempt."),
			"counts": countsSchema("The final items, by status.", oneOf(
				revocation.StatusRevoked, revocation.StatusAlreadyRevoked, revocation.StatusNotAllowed, revocation.StatusAlreadyStarted,
				revocation.StatusNotFound, revocation.StatusErrorRevoking, revocation.StatusInvalid, revocation.StatusCancelled,
			)),
			"notifications": countsSchema("The emails about REVOKED items, by status. PENDING counts the emails without a final status.", oneOf(
				revocation.NotificationPending, revocation.NotificationSent, revocation.NotificationFailed,
				revocation.NotificationUnknown, revocation.NotificationDelegated,
			)),
			"file":             fileSchema(),
			"progress":         {Type: "number", Minimum: new(0.0), Maximum: new(1.0), Description: "The part of the items that are final, from 0 to 1, rounded down to four decimals. It is 1 only when all items are final."},
			"items_per_second": {Type: "number", Minimum: new(0.0), Description: "How many items became final per second: lately while the job runs, on average when it has ended."},
			"eta":              maybe(instant("When the job will end at its present speed; null if that cannot be computed.")),
			"requested_by":     {Type: "string", Format: "uuid", Description: "The id of the API key that submitted the job."},
			"created_at":       instant("When the upload began."),
			"started_at":       maybe(instant("When the first attempt started; null before that. It stays null if the job was cancelled first.")),
			"finished_at":      maybe(instant("When the last item became final.")),
		},
	}
}

func resultSchema() *huma.Schema {
	return &huma.Schema{
		Type:        "object",
		Description: "An item of a job. GET /revocations/{id} returns all its members.",
		Required:    []string{"row", "id", "report_id", "client_reference", "status", "message", "timestamp", "attempts", "notification"},
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
		},
	}
}

// fileSchema returns the schema of a job's file.
func fileSchema() *huma.Schema {
	name := func(description string) *huma.Schema {
		return &huma.Schema{Type: "string", MaxLength: new(64), Description: description}
	}
	return &huma.Schema{
		Type: "object", Nullable: true,
		Description: "The format and the columns that the service recognised in the uploaded table; null for JSON, NDJSON and a retry. It holds names of columns, cut to 64 characters, but no other cell.",
		Required:    []string{"format", "separator", "encoding", "sheet", "columns", "ignored"},
		Properties: map[string]*huma.Schema{
			"format":    {Type: "string", Enum: []any{"csv", "xlsx"}},
			"separator": maybe(text("The separator of the cells; for CSV.")),
			"encoding":  {Type: "string", Nullable: true, Enum: []any{"utf-8", "utf-16le", "utf-16be", nil}, Description: "The encoding; for CSV."},
			"sheet":     maybe(name("The sheet that was read; for a workbook.")),
			"columns": {
				Type: "object", AdditionalProperties: name("The name of the column in the file."),
				Description: "The columns that were recognised, each with its name in the file.",
			},
			"ignored": {Type: "array", MaxItems: new(50), Items: name("The name of a column."), Description: "The ignored columns; at most the first 50."},
		},
	}
}

func amount(description string) *huma.Schema {
	return &huma.Schema{Type: "integer", Minimum: new(0.0), Description: description}
}

// countsSchema returns the schema of an object with a count for each name.
func countsSchema(description string, names []any) *huma.Schema {
	s := &huma.Schema{Type: "object", Description: description, Properties: map[string]*huma.Schema{}}
	for _, name := range names {
		s.Required = append(s.Required, name.(string))
		s.Properties[name.(string)] = &huma.Schema{Type: "integer", Minimum: new(0.0)}
	}
	return s
}
