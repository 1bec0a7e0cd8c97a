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

// pageSchema is a page of a list.
func pageSchema(entry *huma.Schema) *huma.Schema {
	return &huma.Schema{
		Type: "object", Required: []string{"data", "next_cursor"},
		Properties: map[string]*huma.Schema{
			"data":        {Type: "array", Items: entry},
			"next_cursor": {Type: "string", Nullable: true, Description: "Asks for the next page; null on the last."},
		},
	}
}

func jobSchema() *huma.Schema {
	return &huma.Schema{
		Type:        "object",
		Description: "A bulk request: many revocations under one id. At every read, total is pending and retrying and the sum of counts.",
		Required: []string{
			"id", "label", "state", "retry_of", "total", "pending", "retrying", "counts", "notifications", "file", "progress",
			"items_per_second", "eta", "requested_by", "created_at", "started_at", "finished_at",
		},
		Properties: map[string]*huma.Schema{
			"id":    {Type: "string", Format: "uuid", Description: "Names the job."},
			"label": maybe(text("As it was sent.")),
			"state": {
				Type:        "string",
				Enum:        oneOf(revocation.JobQueued, revocation.JobRunning, revocation.JobCompleted, revocation.JobCancelling, revocation.JobCancelled),
				Description: "QUEUED until the first item is taken up. COMPLETED and CANCELLED, after CANCELLING, are the ends: all items are final, and emails may still be on their way.",
			},
			"retry_of": {Type: "string", Format: "uuid", Nullable: true, Description: "The job whose failed items this one tries again."},
			"total":    amount("How many items it has."),
			"pending":  amount("Items of which no attempt has ended."),
			"retrying": amount("Items that wait for another attempt."),
			"counts": tally("Items that are final, by their status.", oneOf(
				revocation.StatusRevoked, revocation.StatusAlreadyRevoked, revocation.StatusNotAllowed, revocation.StatusNotFound,
				revocation.StatusErrorRevoking, revocation.StatusInvalid, revocation.StatusCancelled,
			)),
			"notifications": tally("Emails about REVOKED items, by their status. PENDING are those that are not settled.", oneOf(
				revocation.NotificationPending, revocation.NotificationSent, revocation.NotificationFailed,
				revocation.NotificationUnknown, revocation.NotificationDelegated,
			)),
			"file":             fileSchema(),
			"progress":         {Type: "number", Minimum: new(0.0), Maximum: new(1.0), Description: "The part of the items that are final, rounded down to four digits: 1 at the end alone."},
			"items_per_second": {Type: "number", Minimum: new(0.0), Description: "How many items became final a second: of late while it runs, over all of it when it has ended."},
			"eta":              maybe(instant("When it will end if it goes on as of late; null when that cannot be told.")),
			"requested_by":     {Type: "string", Format: "uuid", Description: "The id of the API key that asked."},
			"created_at":       instant("When its upload began."),
			"started_at":       maybe(instant("When its first item was taken up; null before, and for good when it was cancelled first.")),
			"finished_at":      maybe(instant("When its last item became final.")),
		},
	}
}

func resultSchema() *huma.Schema {
	return &huma.Schema{
		Type:        "object",
		Description: "An item of a job. GET /revocations/{id} tells more of it.",
		Required:    []string{"row", "id", "report_id", "client_reference", "status", "message", "timestamp", "attempts", "notification"},
		Properties: map[string]*huma.Schema{
			"row":              {Type: "integer", Minimum: new(1.0), Description: "Its place in what was sent, from 1; rows that were blank are not counted."},
			"id":               {Type: "string", Format: "uuid", Description: "Names the revocation."},
			"report_id":        {Type: "integer", Format: "int64", Minimum: new(1.0), Nullable: true, Description: "null with INVALID."},
			"client_reference": maybe(text("As it was sent.")),
			"status":           statusSchema(),
			"message":          text("The status as a sentence; with INVALID, what is wrong with the row."),
			"timestamp":        maybe(text("With NOT_ALLOWED: the account's latest plan change, in UTC, as 2025-01-15 10:32:45.")),
			"attempts":         amount("How many attempts have ended."),
			"notification":     notificationStatusSchema(),
		},
	}
}

// fileSchema describes what was recognised of a job's file.
func fileSchema() *huma.Schema {
	name := func(description string) *huma.Schema {
		return &huma.Schema{Type: "string", MaxLength: new(64), Description: description}
	}
	return &huma.Schema{
		Type: "object", Nullable: true,
		Description: "What was recognised of the table that it came in; null for JSON and NDJSON, and for a retry. It holds names of columns, cut to 64 characters, and never a cell.",
		Required:    []string{"format", "separator", "encoding", "sheet", "columns", "ignored"},
		Properties: map[string]*huma.Schema{
			"format":    {Type: "string", Enum: []any{"csv", "xlsx"}},
			"separator": maybe(text("What separates the cells of CSV.")),
			"encoding":  {Type: "string", Nullable: true, Enum: []any{"utf-8", "utf-16le", "utf-16be", nil}, Description: "Of CSV."},
			"sheet":     maybe(name("The sheet of a workbook that was read.")),
			"columns": {
				Type: "object", AdditionalProperties: name("Its name in the file."),
				Description: "The columns that were found, each with its name in the file.",
			},
			"ignored": {Type: "array", MaxItems: new(50), Items: name("A column's name."), Description: "The columns that are ignored, the first 50."},
		},
	}
}

func amount(description string) *huma.Schema {
	return &huma.Schema{Type: "integer", Minimum: new(0.0), Description: description}
}

// tally is an object with a number for each of names.
func tally(description string, names []any) *huma.Schema {
	s := &huma.Schema{Type: "object", Description: description, Properties: map[string]*huma.Schema{}}
	for _, name := range names {
		s.Required = append(s.Required, name.(string))
		s.Properties[name.(string)] = &huma.Schema{Type: "integer", Minimum: new(0.0)}
	}
	return s
}
