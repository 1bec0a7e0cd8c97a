package api

import (
	"math"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

// The schemas below describe the JSON that this package encodes and decodes by hand. Response schemas allow additional
// members, because later versions may add some.

func named(schemas huma.Registry, name string, schema *huma.Schema) *huma.Schema {
	schemas.Map()[name] = schema
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

func revocationRef(schemas huma.Registry) *huma.Schema {
	return named(schemas, "Revocation", revocationSchema())
}

func submissionSchema() *huma.Schema {
	return &huma.Schema{
		Type: "object", AdditionalProperties: false, Required: []string{"report_id"},
		Properties: map[string]*huma.Schema{
			"report_id":        {Type: "integer", Format: "int64", Minimum: new(1.0), Maximum: new(float64(math.MaxInt64)), Description: "Identifies the invite within the account. From 1 to 9223372036854775807, in digits only."},
			"notify_candidate": {Type: "boolean", Default: false, Description: "Whether the candidate gets an email when the invite is revoked."},
			"client_reference": {Type: "string", MaxLength: new(maxText), Description: "Returned with the revocation. At most 255 characters, without NUL."},
			"reason":           {Type: "string", MaxLength: new(maxText), Description: "Why the invite is revoked. Returned with the revocation and never mailed. At most 255 characters, without NUL."},
			"candidate_message": {Type: "string", MaxLength: new(maxMessage), Description: "Shown to the candidate in the email. Plain text of at most 1000 characters, without control characters except line breaks. " +
				"Web and email addresses are refused unless the operator allows them for the account. An account on an upstream cannot have it (not_supported)."},
			"not_before": instant("Nothing is done before this time, which is at most 90 days ahead. A past time counts as now."),
		},
	}
}

func revocationSchema() *huma.Schema {
	return &huma.Schema{
		Type: "object",
		Description: "One request to revoke one invite, with its outcome. The documented endpoint's members come first, in its order.\n\n" +
			"A final status never changes. ERROR_REVOKING is final after the last attempt. Until then the service makes another attempt.",
		Required: []string{
			"status", "message", "id", "report_id", "notify_candidate", "client_reference", "reason", "candidate_message", "not_before", "final", "attempts",
			"next_attempt_at", "last_error", "notification", "job_id", "requested_by", "created_at", "updated_at", "completed_at",
		},
		Properties: map[string]*huma.Schema{
			"status":            statusSchema(),
			"message":           text("The status as a sentence; for INVALID, the faults of the row."),
			"timestamp":         text("Present for NOT_ALLOWED only: the account's latest plan change, in UTC, as 2025-01-15 10:32:45."),
			"inferred":          {Type: "boolean", Enum: []any{true}, Description: "Present if REVOKED was inferred: the account's upstream reported that the invite was already revoked, after an earlier attempt of this service that may have revoked it."},
			"id":                {Type: "string", Format: "uuid", Description: "The id of the revocation. Ids sort by the time of creation."},
			"report_id":         {Type: "integer", Format: "int64", Minimum: new(1.0), Nullable: true, Description: "null for INVALID only."},
			"notify_candidate":  {Type: "boolean", Description: "Whether the candidate gets an email when the invite is revoked."},
			"client_reference":  maybe(text("The client_reference that was sent.")),
			"reason":            maybe(text("Why the first request wanted it; of an item without its own, the reason of its job.")),
			"candidate_message": maybe(text("The first request's message for the candidate; of an item, the message of its job.")),
			"not_before":        maybe(instant("The not_before of the first request; of an item, that of its job. Whether another request or a hold has moved it, next_attempt_at shows.")),
			"final":             {Type: "boolean", Description: "Whether the status is final. A final status never changes."},
			"attempts":          {Type: "integer", Minimum: new(0.0), Description: "The number of ended attempts."},
			"next_attempt_at":   maybe(instant("When the next attempt is due, or the first one that waits for not_before or the account's hold.")),
			"last_error": {
				Type: "object", Nullable: true, Description: "Why the last attempt failed.", Required: []string{"code", "detail"},
				Properties: map[string]*huma.Schema{"code": text("For programs."), "detail": text("For people.")},
			},
			"notification": {
				Type: "object", Description: "The email to the candidate.", Required: []string{"status", "attempts"},
				Properties: map[string]*huma.Schema{
					"status":   notificationStatusSchema(),
					"attempts": {Type: "integer", Minimum: new(0.0)},
				},
			},
			"job_id":       {Type: "string", Format: "uuid", Nullable: true, Description: "The job of the revocation; null for a single submission."},
			"requested_by": {Type: "string", Format: "uuid", Description: "The id of the API key that submitted it first."},
			"created_at":   instant("When the request was accepted."),
			"updated_at":   instant("When the revocation last changed."),
			"completed_at": maybe(instant("When the status became final.")),
		},
	}
}

func statusSchema() *huma.Schema {
	return &huma.Schema{
		Type: "string", Enum: oneOf(revocation.Statuses...),
		Description: "PENDING and ERROR_REVOKING can still change; see final.",
	}
}

func notificationStatusSchema() *huma.Schema {
	return &huma.Schema{
		Type:        "string",
		Enum:        oneOf(revocation.ShownNotifications...),
		Description: "UNKNOWN: the mail server, or an upstream that the account used before, may have sent the email; it is not sent again. SKIPPED: an email was requested, but the outcome was not REVOKED; an INVALID row has the default of its job. DELEGATED: the upstream sends the email.",
	}
}

func instant(description string) *huma.Schema {
	return &huma.Schema{Type: "string", Format: "date-time", Description: description}
}

// maybe makes a schema nullable and returns it.
func maybe(s *huma.Schema) *huma.Schema {
	s.Nullable = true
	return s
}

// oneOf returns the values of an enum as strings, because huma compares them with decoded JSON.
func oneOf[S ~string](values ...S) []any {
	enum := make([]any, len(values))
	for i, value := range values {
		enum[i] = string(value)
	}
	return enum
}
