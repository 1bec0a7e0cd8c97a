package api

import (
	"math"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

// The schemas of what is read and written by hand stand here. Whoever reads answers must expect more members
// to come.

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
			"report_id":        {Type: "integer", Format: "int64", Minimum: new(1.0), Maximum: new(float64(math.MaxInt64)), Description: "Names the invite within the account. From 1 to 9223372036854775807, in digits alone."},
			"notify_candidate": {Type: "boolean", Default: false, Description: "Whether the candidate gets an email when the invite is revoked."},
			"client_reference": {Type: "string", MaxLength: new(maxText), Description: "Comes back with the revocation. At most 255 characters, without NUL."},
		},
	}
}

func revocationSchema() *huma.Schema {
	return &huma.Schema{
		Type: "object",
		Description: "One request to revoke one invite, with its outcome. The documented endpoint's members come first, in its order.\n\n" +
			"A final status never changes. ERROR_REVOKING is final after the last attempt; until then another follows by itself.",
		Required: []string{
			"status", "message", "id", "report_id", "notify_candidate", "client_reference", "final", "attempts",
			"next_attempt_at", "last_error", "notification", "job_id", "requested_by", "created_at", "updated_at", "completed_at",
		},
		Properties: map[string]*huma.Schema{
			"status":           statusSchema(),
			"message":          text("The status as a sentence; with INVALID, what is wrong with the row."),
			"timestamp":        text("With NOT_ALLOWED only: the account's latest plan change, in UTC, as 2025-01-15 10:32:45."),
			"inferred":         {Type: "boolean", Enum: []any{true}, Description: "Only where REVOKED was concluded: the account's upstream told that the invite is revoked already, after an attempt of ours that may have done it."},
			"id":               {Type: "string", Format: "uuid", Description: "Names the revocation; its age in the order of ids."},
			"report_id":        {Type: "integer", Format: "int64", Minimum: new(1.0), Nullable: true, Description: "null with INVALID alone."},
			"notify_candidate": {Type: "boolean", Description: "Whether the candidate is to be told."},
			"client_reference": maybe(text("As it was sent.")),
			"final":            {Type: "boolean", Description: "Whether the status will not change any more."},
			"attempts":         {Type: "integer", Minimum: new(0.0), Description: "How many attempts have ended."},
			"next_attempt_at":  maybe(instant("When the next attempt becomes due.")),
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
			"job_id":       {Type: "string", Format: "uuid", Nullable: true, Description: "The job that it is part of; null for a single one."},
			"requested_by": {Type: "string", Format: "uuid", Description: "The id of the API key that asked first."},
			"created_at":   instant("When it was accepted."),
			"updated_at":   instant("When it last changed."),
			"completed_at": maybe(instant("When it became final.")),
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
		Type: "string",
		Enum: oneOf(
			revocation.NotificationNotRequested, revocation.NotificationPending, revocation.NotificationSent,
			revocation.NotificationFailed, revocation.NotificationUnknown, revocation.NotificationSkipped,
			revocation.NotificationDelegated,
		),
		Description: "UNKNOWN: the mail server, or an upstream that the account has left, may have sent it; it is not sent again. SKIPPED: wanted, but the outcome was not REVOKED; an INVALID row, whose own wish cannot be read, has the default of its job. DELEGATED: another platform sends it.",
	}
}

func instant(description string) *huma.Schema {
	return &huma.Schema{Type: "string", Format: "date-time", Description: description}
}

// maybe lets a value be null as well.
func maybe(s *huma.Schema) *huma.Schema {
	s.Nullable = true
	return s
}

// oneOf lists the values of a schema as plain strings, which is what decoded JSON is compared with.
func oneOf[S ~string](values ...S) []any {
	enum := make([]any, len(values))
	for i, value := range values {
		enum[i] = string(value)
	}
	return enum
}
