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
			"id", "label", "reason", "candidate_message", "not_before", "state", "retry_of", "total", "pending", "retrying", "counts",
			"notifications", "preview", "file", "progress", "items_per_second", "eta", "requested_by", "confirmed_by",
			"approved_by", "cancelled_by", "created_at", "started_at", "finished_at", "expires_at",
		},
		Properties: map[string]*huma.Schema{
			"id":                {Type: "string", Format: "uuid", Description: "The id of the job."},
			"label":             maybe(text("The label that was sent.")),
			"reason":            maybe(text("The reason that was sent. The service never mails it.")),
			"candidate_message": maybe(text("The message in the emails to the candidates.")),
			"not_before":        maybe(instant("The time before which nothing must be done, as it was sent. A hold of the account can make the job begin later.")),
			"state":             jobStateSchema(),
			"retry_of":          {Type: "string", Format: "uuid", Nullable: true, Description: "The job whose failed items this job retries."},
			"total":             amount("The number of items."),
			"pending":           amount("The items that are not final and have no ended attempt."),
			"retrying":          amount("The items that wait for another attempt."),
			"counts": countsSchema("The final items, by status.", oneOf(
				revocation.StatusRevoked, revocation.StatusAlreadyRevoked, revocation.StatusNotAllowed, revocation.StatusAlreadyStarted,
				revocation.StatusNotFound, revocation.StatusErrorRevoking, revocation.StatusInvalid, revocation.StatusCancelled,
			)),
			"notifications": countsSchema("The emails about REVOKED items, by status. PENDING counts the emails without a final status.", oneOf(
				revocation.NotificationPending, revocation.NotificationSent, revocation.NotificationFailed,
				revocation.NotificationUnknown, revocation.NotificationDelegated, "BOUNCED", "SUPPRESSED",
			)),
			"preview":          previewSchema(),
			"file":             fileSchema(),
			"progress":         {Type: "number", Minimum: new(0.0), Maximum: new(1.0), Description: "The part of the items that are final, from 0 to 1, rounded down to four decimals. It is 1 only when all items are final. In PREVIEWING it is the part of the items whose outcome is predicted."},
			"items_per_second": {Type: "number", Minimum: new(0.0), Description: "How many items became final per second: lately while the job runs, on average when it has ended."},
			"eta":              maybe(instant("When the job will end at its present speed; null if that cannot be computed.")),
			"requested_by":     {Type: "string", Format: "uuid", Description: "The id of the API key that submitted the job."},
			"confirmed_by":     keySchema("The id of the API key that confirmed the preview."),
			"approved_by":      keySchema("The id of the API key that approved the job."),
			"cancelled_by":     keySchema("The id of the API key that cancelled the job; null if the service cancelled it."),
			"created_at":       instant("When the upload began."),
			"started_at":       maybe(instant("When the first attempt started; null before that. It stays null if the job was cancelled first.")),
			"finished_at":      maybe(instant("When the last item became final, or the job expired.")),
			"expires_at":       maybe(instant("When the job expires in its present state. Only PREVIEWED and AWAITING_APPROVAL have such a time.")),
		},
	}
}

func jobStateSchema() *huma.Schema {
	return &huma.Schema{
		Type: "string", Enum: oneOf(revocation.JobStates...),
		Description: `A job enters the first of these states that applies to it, and moves on in this order. PREVIEWING: outcomes are being predicted. PREVIEWED: it waits for a confirmation. AWAITING_APPROVAL: it waits for another key. SCHEDULED: it waits for not_before or the end of the account's hold. QUEUED: it has begun, and no item was taken up yet. RUNNING: items are being carried out. CANCELLING: the remaining items are being ended.

COMPLETED, CANCELLED and EXPIRED are final: all items are final, but emails may still be sent. EXPIRED: it was not confirmed or approved in time and has done nothing; its items are deleted, and counts shows the readable ones as CANCELLED.`,
	}
}

func keySchema(description string) *huma.Schema {
	return &huma.Schema{Type: "string", Format: "uuid", Nullable: true, Description: description}
}

func previewSchema() *huma.Schema {
	return &huma.Schema{
		Type: "object", Nullable: true, Required: []string{"predicted", "emails", "predicted_at"},
		Description: "What the job would do; null for a job without a preview and in PREVIEWING.",
		Properties: map[string]*huma.Schema{
			"predicted": countsSchema("The items by their predicted outcome. They add up to total. UNKNOWN counts the items that an upstream decides about.",
				oneOf(revocation.PredictedStatuses...)),
			"emails":       {Type: "integer", Minimum: new(0.0), Nullable: true, Description: "The most emails that can be sent; null if an upstream sends them."},
			"predicted_at": instant("When the preview was complete."),
		},
	}
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
