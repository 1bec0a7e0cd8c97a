package api

import (
	"math"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

// The schemas below describe the JSON that this package decodes by hand.

func named(schemas huma.Registry, name string, schema *huma.Schema) *huma.Schema {
	schemas.Map()[name] = schema
	return &huma.Schema{Ref: schemaPrefix + name}
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
		Description: "UNKNOWN: the mail server, or an upstream that the account used before, may have sent the email; it is not sent again. SKIPPED: an email was requested, but the outcome was not REVOKED, or the candidate was forgotten first; an INVALID row has the default of its job. DELEGATED: the upstream sends the email. BOUNCED (it was sent and came back) and SUPPRESSED (its address is known to refuse mail) are reserved.",
	}
}

func instant(description string) *huma.Schema {
	return &huma.Schema{Type: "string", Format: "date-time", Description: description}
}

func amount(description string) *huma.Schema {
	return &huma.Schema{Type: "integer", Minimum: new(0.0), Description: description}
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
