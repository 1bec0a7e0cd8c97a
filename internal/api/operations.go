package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rescind/internal/revocation"
)

func submitOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "revokeInvite", Method: http.MethodPost, Path: "/assessments/invite/revoke",
		Tags: []string{"revocations"}, Security: needs(revocation.ScopeRevoke),
		Summary: "Revoke a candidate's invite",
		Description: `The request is durable before it is answered: whatever happens afterwards, it is carried out.

Without Prefer the answer waits a moment (2 s, unless the operator chose otherwise) for the outcome of the first attempt. It is 200 when the outcome is final and 202 when it is not yet: PENDING, or ERROR_REVOKING with attempts to come. Poll the address in Location then.

Submitting a report_id whose revocation is not final yet returns that same revocation, and the candidate is told if either request asked for it. After a final one, a new one starts.

Members are taken strictly: each once, by its exact name and type, and no others. A report_id is written in digits alone: 318.0 and "318" are not integers here. A byte order mark before the JSON is skipped.`,
		Parameters: []*huma.Param{
			preferParam("respond-async answers at once; wait=N waits up to N seconds for the first outcome, 30 at most. Others are ignored."),
			idempotencyKeyParam("Makes the request repeatable for at least 24 hours: the same key with the same values returns the same revocation, by its present state. It counts within an account."),
		},
		RequestBody: &huma.RequestBody{
			Required: true, Description: "At most 64 KiB.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema: named(schemas, "Submission", submissionSchema()),
				Examples: map[string]*huma.Example{
					"silently":  {Value: json.RawMessage(`{"report_id":318}`)},
					"with mail": {Value: json.RawMessage(`{"report_id":318,"notify_candidate":true,"client_reference":"ticket 4711"}`)},
				},
			}},
		},
		Responses: map[string]*huma.Response{
			"200": revocationResponse(schemas, "The outcome is final.", exampleRevoked, exampleNotAllowed, exampleAlreadyRevoked),
			"202": revocationResponse(schemas, "Accepted and durable; the outcome is not final yet.", examplePending, exampleFailing),
		},
	}
	addHeader(op.Responses["202"], "Location", text("Where to poll."), "/revocations/0197a3c2-8f4e-7b1a-9c3d-5e6f70819203")
	addHeader(op.Responses["202"], "Retry-After", text("Whole seconds until the next attempt is due, at least 1."), "1")
	addProblems(op, codeMalformedJSON, revocation.CodeNotFound, codeRequestTimeout, codeTooLarge, codeUnsupportedMedia,
		revocation.CodeIdempotencyMismatch, revocation.CodeOutcomeUnknown)
	setExample(op, noSuchInvite())
	return op
}

func getOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "getRevocation", Method: http.MethodGet, Path: "/revocations/{id}",
		Tags: []string{"revocations"}, Security: needs(revocation.ScopeRead),
		Summary:     "Poll a revocation",
		Description: "Tells how far it has come. Another account's revocation is not found, like one that never was.",
		Parameters: []*huma.Param{
			idParam(),
			preferParam("wait=N waits up to N seconds, 30 at most, until the revocation is final. Others are ignored."),
			ifNoneMatchParam(),
		},
		Responses: map[string]*huma.Response{
			"200": revocationResponse(schemas, "The revocation as it stands.", exampleRevoked, exampleFailing),
			"304": {Description: "Nothing has changed."},
		},
	}
	addTags(op, "Names this state of the revocation.")
	addProblems(op, revocation.CodeNotFound)
	return op
}

func listOperation(schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: "listRevocations", Method: http.MethodGet, Path: "/revocations",
		Tags: []string{"revocations"}, Security: needs(revocation.ScopeRead),
		Summary:     "List revocations",
		Description: "The account's revocations, newest first, in pages. A parameter without a value counts as not given; each may be given once.",
		Parameters: []*huma.Param{
			optional("report_id", "Those of one invite.", &huma.Schema{Type: "integer", Format: "int64", Minimum: new(1.0)}),
			statusFilterParam(),
			optional("job_id", "Those of one job.", &huma.Schema{Type: "string", Format: "uuid"}),
			optional("created_after", "Those created later than this.", &huma.Schema{Type: "string", Format: "date-time"}),
			optional("created_before", "Those created earlier than this.", &huma.Schema{Type: "string", Format: "date-time"}),
			limitParam(), cursorParam(),
		},
		Responses: map[string]*huma.Response{"200": {
			Description: "A page.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema:  pageSchema(revocationRef(schemas)),
				Example: json.RawMessage(appendPage(nil, []revocation.Revocation{exampleRevoked}, appendRevocation, "")),
			}},
		}},
	}
	return op
}

func livenessOperation() *huma.Operation {
	return &huma.Operation{
		OperationID: "getLiveness", Method: http.MethodGet, Path: "/healthz", Tags: []string{"service"},
		Summary: "Is the process alive?", Description: "It says nothing about what the process depends on.",
		Responses: map[string]*huma.Response{"200": {
			Description: "It is.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema:  &huma.Schema{Type: "object", Properties: map[string]*huma.Schema{"state": {Type: "string", Enum: oneOf(StateOK)}}},
				Example: json.RawMessage(alive),
			}},
		}},
	}
}

func readinessOperation(schemas huma.Registry) *huma.Operation {
	schema := schemas.Schema(reflect.TypeFor[readiness](), true, "")
	op := &huma.Operation{
		OperationID: "getReadiness", Method: http.MethodGet, Path: "/readyz", Tags: []string{"service"},
		Summary:     "Can the service do its work?",
		Description: "Names each part and its state. Without its queue the service is degraded: it accepts as before, and carries out when the queue is back.",
		Responses: map[string]*huma.Response{"200": {
			Description: "It can.",
			Content: map[string]*huma.MediaType{mediaJSON: {
				Schema: schema,
				Example: readiness{State: StateDegraded, Parts: []partHealth{
					{Name: "database", State: StateOK}, {Name: "redis", State: StateUnavailable, Reason: "It cannot be reached."},
				}},
			}},
		}},
	}
	addProblems(op, revocation.CodeUnavailable)
	op.Responses["503"].Content[mediaProblem].Examples[string(revocation.CodeUnavailable)].Value = newUnready(readiness{
		State: StateUnavailable, Parts: []partHealth{
			{Name: "database", State: StateUnavailable, Reason: "It cannot be reached."}, {Name: "redis", State: StateOK},
		},
	})
	op.Responses["503"].Description = "It cannot. The problem has the members of the other answer as well."
	op.Responses["503"].Content[mediaProblem].Schema = &huma.Schema{
		AllOf: []*huma.Schema{{Ref: "#/components/schemas/Problem"}, schema},
	}
	return op
}

func optional(name, description string, schema *huma.Schema) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: schema}
}

func statusFilterParam() *huma.Param {
	p := optional("status", "Those with one of these statuses now, separated by commas.", &huma.Schema{Type: "array", Items: statusSchema()})
	p.Style, p.Explode = "form", new(false)
	return p
}

func limitParam() *huma.Param {
	return optional("limit", "How many a page has at most.", &huma.Schema{
		Type: "integer", Minimum: new(1.0), Maximum: new(float64(maxLimit)), Default: defaultLimit,
	})
}

func cursorParam() *huma.Param {
	return optional("cursor", "The next_cursor of the page before. It holds for the same list alone, and there for any filter and limit.", &huma.Schema{Type: "string"})
}

func idParam() *huma.Param {
	return &huma.Param{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string", Format: "uuid"}}
}

func ifNoneMatchParam() *huma.Param {
	return &huma.Param{
		Name: "If-None-Match", In: "header", Description: "The ETag of an earlier answer: 304 while nothing has changed.",
		Schema: &huma.Schema{Type: "string"},
	}
}

func idempotencyKeyParam(description string) *huma.Param {
	return &huma.Param{
		Name: "Idempotency-Key", In: "header", Example: "b0c7a0a6-order-17", Description: description,
		Schema: &huma.Schema{Type: "string", MinLength: new(1), MaxLength: new(maxIdempotencyKey)},
	}
}

// addTags adds the ETag of what can be polled, which the description explains, and what it depends on.
func addTags(op *huma.Operation, description string) {
	for _, status := range []string{"200", "304"} {
		addPreferences(op.Responses[status])
	}
	const example = `"kq9fYv3hT0m2wXn7bB1c8A"`
	addHeader(op.Responses["200"], "ETag", text(description), example)
	addHeader(op.Responses["304"], "ETag", text("The same as before."), example)
}

func preferParam(description string) *huma.Param {
	return &huma.Param{
		Name: "Prefer", In: "header", Description: description + " Preference-Applied tells what was honoured.",
		Schema: &huma.Schema{Type: "string"}, Example: "wait=10",
	}
}

// The examples are written by the code that writes the answers.
var (
	exampleRevoked = exampleRevocation(revocation.StatusRevoked, func(r *revocation.Revocation) {
		r.Notify, r.Notification.Status = true, revocation.NotificationPending
	})
	exampleNotAllowed = exampleRevocation(revocation.StatusNotAllowed, func(r *revocation.Revocation) {
		r.Timestamp = "2025-01-15 10:32:45"
	})
	exampleAlreadyRevoked = exampleRevocation(revocation.StatusAlreadyRevoked, func(*revocation.Revocation) {})
	examplePending        = exampleRevocation(revocation.StatusPending, func(r *revocation.Revocation) {
		r.Final, r.Attempts, r.UpdatedAt, r.CompletedAt = false, 0, r.CreatedAt(), time.Time{}
	})
	exampleFailing = exampleRevocation(revocation.StatusErrorRevoking, func(r *revocation.Revocation) {
		r.Final, r.CompletedAt = false, time.Time{}
		r.NextAttemptAt = r.CreatedAt().Add(2 * time.Second)
		r.LastError = &revocation.Failure{Code: revocation.CodeLockTimeout, Detail: "The invite's data was locked by another transaction for too long."}
	})
)

func exampleRevocation(status revocation.Status, change func(*revocation.Revocation)) revocation.Revocation {
	id, _ := revocation.ParseID("0197a3c2-8f4e-7b1a-9c3d-5e6f70819203")
	key, _ := revocation.ParseID("01979d10-2f3c-7a4e-8b5d-1c2e3f405162")
	r := revocation.Revocation{
		ID: id, ReportID: 318, RequestedBy: key, Status: status, Final: true, Attempts: 1,
		Notification: revocation.Notification{Status: revocation.NotificationNotRequested},
		UpdatedAt:    id.Time().Add(4 * time.Millisecond), CompletedAt: id.Time().Add(4 * time.Millisecond),
	}
	change(&r)
	return r
}

func revocationResponse(schemas huma.Registry, description string, examples ...revocation.Revocation) *huma.Response {
	response := &huma.Response{
		Description: description,
		Content: map[string]*huma.MediaType{mediaJSON: {
			Schema: revocationRef(schemas), Examples: map[string]*huma.Example{},
		}},
	}
	for _, r := range examples {
		response.Content[mediaJSON].Examples[string(r.Status)] = &huma.Example{
			Summary: string(r.Status), Value: json.RawMessage(appendRevocation(nil, &r)),
		}
	}
	addPreferences(response)
	return response
}

func addPreferences(response *huma.Response) {
	addHeader(response, "Preference-Applied", text("What was honoured of Prefer."), "wait=10")
	sometimes(response, "Preference-Applied")
	addHeader(response, "Vary", text("Prefer"), "Prefer")
}
